package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"viplease/coordinator/placement"
	"viplease/coordinator/plan"
)

// Intents writes what an operator asks for; it survives restarts.
type Intents interface {
	// Edit replaces one key by what change makes of it (nil: absent, or delete), as one read-modify-write.
	Edit(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error
}

// Operator carries out what the commands ask for, on any node, through etcd. It serves a running daemon and a host whose daemon is down alike. Its
// methods may be called concurrently.
type Operator struct {
	Node    string // this node: the default
	By      string // who asks, for the others to read
	Intents Intents
	View    func() Snapshot                 // what is known now
	State   func() (placement.Input, error) // the same, for planning
	Now     func() plan.Now
}

// refusal is an answer to the operator: understood, and no.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) Refused() bool   { return true }

// Snapshot returns what is known now.
func (o Operator) Snapshot() Snapshot { return o.View() }

// Drain makes a node shed its VIPs and stay out until Undrain, across restarts. It returns when that is written. A node that nobody knows is refused.
func (o Operator) Drain(ctx context.Context, node string) error {
	node, err := o.known(node)
	if err != nil {
		return err
	}
	return o.Intents.Edit(ctx, "drains/"+node, func(old []byte) ([]byte, error) {
		if old != nil {
			return old, nil // it keeps the time and the name of the first
		}
		return plan.Encode(plan.Intent{V: plan.Format, By: o.By, At: o.Now().Wall}), nil
	})
}

// Undrain ends what Drain began.
func (o Operator) Undrain(ctx context.Context, node string) error {
	node, err := o.known(node)
	if err != nil {
		return err
	}
	return o.Intents.Edit(ctx, "drains/"+node, func([]byte) ([]byte, error) { return nil, nil })
}

// known completes a node's name and refuses one that is in no record.
func (o Operator) known(node string) (string, error) {
	if node == "" {
		return o.Node, nil
	}
	if node == o.Node {
		return node, nil
	}
	view := o.View()
	if view.Revision == 0 {
		return "", refusal("etcd has not been read yet: " + view.Etcd.Trouble)
	}
	var names []string
	for _, m := range view.Members {
		names = append(names, m.Node)
	}
	if !slices.Contains(names, node) {
		return "", refusal(fmt.Sprintf("no node is called %s; there are %s", node, strings.Join(names, ", ")))
	}
	return node, nil
}

// Plan returns, as JSON, what would move if the nodes of without were drained.
func (o Operator) Plan(_ context.Context, without []string) ([]byte, error) {
	in, err := o.State()
	if err != nil {
		return nil, err
	}
	if err := Without(&in, without); err != nil {
		return nil, err
	}
	return json.MarshalIndent(placement.Place(in), "", "  ")
}

// Without makes the nodes unready in a placement's input: what draining them would do.
func Without(in *placement.Input, nodes []string) error {
	for _, node := range nodes {
		i := slices.IndexFunc(in.Members, func(m placement.Member) bool { return m.Node == node })
		if i < 0 {
			return refusal(fmt.Sprintf("no member is called %s", node))
		}
		in.Members[i].Ready = false
	}
	return nil
}

// PlanState is `plan --state`: it plans a state given as JSON.
func PlanState(state []byte, without []string) ([]byte, error) {
	in, err := placement.FromJSON(state)
	if err != nil {
		return nil, err
	}
	if err := Without(&in, without); err != nil {
		return nil, err
	}
	return json.MarshalIndent(placement.Place(in), "", "  ")
}

// State returns what this node would plan with now.
func (c *Coordinator) State() (in placement.Input, err error) {
	err = c.ask(context.Background(), func(v *plan.View, _ plan.Now) { in = v.PlacementInput() })
	return in, err
}

// ObserveState is State for a host whose daemon does not run.
func ObserveState(cfg plan.Config, read plan.SnapshotRead, now plan.Now) placement.Input {
	v := plan.New(cfg, now)
	v.Apply(read, now)
	return v.PlacementInput()
}
