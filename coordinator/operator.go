package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"viplease/coordinator/placement"
	"viplease/coordinator/plan"
)

// Intents writes what an operator asks for; it survives restarts.
type Intents interface {
	// Edit replaces one key by what change makes of it (nil: absent, or delete), as one read-modify-write, and returns the revision at which the key got
	// what it has now.
	Edit(ctx context.Context, key string, change func(old []byte) ([]byte, error)) (rev int64, err error)
}

// Operator carries out what the commands ask for, on any node, through etcd. It serves a running daemon and a host whose daemon is down alike. Its
// methods may be called concurrently. What they return besides the error is a sentence for the operator; their errors are refusals, or what went
// wrong with etcd.
type Operator struct {
	Node    string                           // this node: the default
	By      func(ctx context.Context) string // who asks, for the others to read
	Intents Intents
	Show    func() Snapshot // what is known now
	// Look runs f on what is known now, or says why nothing is.
	Look func(ctx context.Context, f func(*plan.View, plan.Now)) error
	Now  func() plan.Now
}

// refusal is an answer to the operator: understood, and no.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) Refused() bool   { return true }

// Snapshot returns what is known now.
func (o Operator) Snapshot() Snapshot { return o.Show() }

// look runs f, which returns why the operator is refused, if it is.
func (o Operator) look(ctx context.Context, f func(*plan.View, plan.Now) string) error {
	why := ""
	err := o.Look(ctx, func(v *plan.View, now plan.Now) {
		if why = "etcd has not been read yet"; v.Known() {
			why = f(v, now)
		}
	})
	if err == nil && why != "" {
		err = refusal(why)
	}
	return err
}

// intent is what this operator asks for now.
func (o Operator) intent(ctx context.Context) plan.Intent {
	return plan.Intent{V: plan.Format, By: o.By(ctx), At: o.Now().Wall}
}

// ask writes an intent unless one stands: it keeps the time and the name of the first.
func (o Operator) ask(ctx context.Context, key string) error {
	_, err := o.edit(ctx, key, func(old []byte) []byte {
		if old != nil {
			return old
		}
		return plan.Encode(o.intent(ctx))
	})
	return err
}

// drop removes an intent, and tells whether there was one.
func (o Operator) drop(ctx context.Context, key string) (had bool, err error) {
	_, err = o.edit(ctx, key, func(old []byte) []byte {
		had = old != nil
		return nil
	})
	return had, err
}

// editWithin is how long etcd may take to write a request.
const editWithin = 2 * time.Second

// edit writes one key and says, if that goes wrong, what the operator has to expect.
func (o Operator) edit(ctx context.Context, key string, change func(old []byte) []byte) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, editWithin)
	defer cancel()
	rev, err := o.Intents.Edit(ctx, key, func(old []byte) ([]byte, error) { return change(old), nil })
	switch {
	case errors.Is(err, ErrNotApplied):
		err = fmt.Errorf("nothing was changed: etcd: %w", err)
	case err != nil:
		err = fmt.Errorf("etcd did not say whether it was written, so ask again: %w", err)
	}
	return rev, err
}

// Drain makes a node shed its VIPs and stay out until Undrain, across restarts. It returns when that is written. A node that nobody knows is refused.
func (o Operator) Drain(ctx context.Context, node string) error {
	node, err := o.known(ctx, node)
	if err != nil {
		return err
	}
	return o.ask(ctx, "drains/"+node)
}

// Undrain ends what Drain began.
func (o Operator) Undrain(ctx context.Context, node string) error {
	node, err := o.known(ctx, node)
	if err != nil {
		return err
	}
	_, err = o.drop(ctx, "drains/"+node)
	return err
}

// known completes a node's name and refuses one that is in no record.
func (o Operator) known(ctx context.Context, node string) (string, error) {
	if node == "" || node == o.Node {
		return o.Node, nil
	}
	return node, o.look(ctx, func(v *plan.View, _ plan.Now) string { return noNode(v, node) })
}

// noNode refuses a node that nobody knows, noVIP a VIP; "" for one that is known.
func noNode(v *plan.View, node string) string {
	if names := v.NodeNames(); !slices.Contains(names, node) {
		return fmt.Sprintf("no node is called %s; there are: %s", node, list(names))
	}
	return ""
}

func noVIP(v *plan.View, vip string) string {
	names := v.VIPNames()
	if slices.Contains(names, vip) {
		return ""
	}
	if name := v.NameOfAddress(vip); name != "" {
		return fmt.Sprintf("no VIP is called %s; it is an address of %s", vip, name)
	}
	return fmt.Sprintf("no VIP is called %s; there are: %s", vip, list(names))
}

// listMost is how many names an answer lists.
const listMost = 20

func list(names []string) string {
	switch n := len(names) - listMost; {
	case len(names) == 0:
		return "none"
	case n > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:listMost], ", "), n)
	}
	return strings.Join(names, ", ")
}

// Plan returns, as JSON, what would move if the nodes of without were drained.
func (o Operator) Plan(ctx context.Context, without []string) (text []byte, err error) {
	var in placement.Input
	if err := o.look(ctx, func(v *plan.View, _ plan.Now) string { in = v.PlacementInput(); return "" }); err != nil {
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
			var names []string
			for _, m := range in.Members {
				names = append(names, m.Node)
			}
			return refusal(fmt.Sprintf("no member is called %s; there are: %s", node, list(names)))
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

// Look runs f in the loop on what this node knows now, and waits for it, two seconds at the most.
func (c *Coordinator) Look(ctx context.Context, f func(*plan.View, plan.Now)) error {
	return c.ask(ctx, f)
}

// ObserveView is what etcd holds, for a host whose daemon does not run.
func ObserveView(cfg plan.Config, read plan.SnapshotRead, now plan.Now) *plan.View {
	v := plan.New(cfg, now)
	v.Apply(read, now)
	return v
}
