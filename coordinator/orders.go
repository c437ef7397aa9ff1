package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"viplease/coordinator/placement"
	"viplease/coordinator/plan"
)

const (
	// moveWithin is how long a move may take before it is taken back. One takes some milliseconds, and etcd a little more when it is busy.
	moveWithin = 1500 * time.Millisecond
	// moveLook is how often it is looked for.
	moveLook = 50 * time.Millisecond
	// takeBack is what taking a request back may take.
	takeBack = time.Second
)

// Move moves a VIP to a node now, once, without waiting for a round. It returns when the node holds it, or with a refusal that says why it does not: then
// the request has been taken back. The VIP stays there, whatever balance and preferences say, until it leaves that node or Balance is asked for.
func (o Operator) Move(ctx context.Context, vip, node string) (string, error) {
	from, target := "", int64(0)
	err := o.look(ctx, func(v *plan.View, now plan.Now) string {
		if why := noVIP(v, vip) + noNode(v, node); why != "" {
			return why
		}
		if from = v.Holder(vip); from == node {
			return ""
		}
		target = v.MemberRev(node)
		return v.CannotMove(vip, node, now)
	})
	if err != nil {
		return "", err
	}
	if from == node {
		return fmt.Sprintf("%s is on %s", vip, node), nil
	}
	want := o.intent(ctx)
	want.Node, want.MemberRev = node, target
	value := plan.Encode(want)
	rev, err := o.edit(ctx, "moves/"+vip, func([]byte) []byte { return value })
	if err == nil {
		err = o.moved(ctx, vip, node, rev)
	}
	return fmt.Sprintf("%s moved from %s to %s", vip, from, node), o.takeBack(ctx, "moves/"+vip, value, err)
}

// moved waits for the end of a move.
func (o Operator) moved(ctx context.Context, vip, node string, rev int64) error {
	limit := time.NewTimer(moveWithin)
	defer limit.Stop()
	tick := time.NewTicker(moveLook)
	defer tick.Stop()
	for {
		made := false
		err := o.look(ctx, func(v *plan.View, now plan.Now) (why string) {
			made, why = v.MoveOutcome(vip, node, rev, now)
			return why
		})
		if made || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return refusal(fmt.Sprintf("%s did not get %s within %v", node, vip, moveWithin))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeBack removes a request that has been carried out or has not been, unless another has replaced it. err is what came of it.
func (o Operator) takeBack(ctx context.Context, key string, value []byte, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
	defer cancel()
	_, failed := o.edit(ctx, key, func(old []byte) []byte {
		if bytes.Equal(old, value) {
			return nil
		}
		return old
	})
	if err != nil && failed != nil && !errors.Is(err, ErrNotApplied) {
		return fmt.Errorf("%w; it may still be carried out, for it could not be taken back", err)
	}
	return err // a request that was carried out is used up
}

// Pin puts a VIP on a node for good: whenever that node is ready and can hold it.
func (o Operator) Pin(ctx context.Context, vip, node string) (string, error) {
	said := ""
	err := o.look(ctx, func(v *plan.View, _ plan.Now) string {
		said = fmt.Sprintf("%s is pinned to %s", vip, node)
		switch why := v.CannotPin(vip, node); {
		case v.Holder(vip) == node:
			said += ", where it is"
		case why != "":
			said += "; it goes there as soon as that is possible: " + why
		default:
			said += "; it goes there now"
		}
		return noVIP(v, vip) + noNode(v, node)
	})
	if err != nil {
		return "", err
	}
	_, err = o.edit(ctx, "pins/"+vip, func(old []byte) []byte {
		if plan.PinnedTo(old, node) {
			return old // asked for twice: it keeps the time and the name of the first
		}
		pin := o.intent(ctx)
		pin.Node = node
		return plan.Encode(pin)
	})
	return said, err
}

// Unpin ends what Pin began.
func (o Operator) Unpin(ctx context.Context, vip string) (string, error) {
	err := o.look(ctx, func(v *plan.View, _ plan.Now) string {
		if v.Pin(vip) != nil {
			return "" // also of a VIP that nobody configures any more
		}
		return noVIP(v, vip)
	})
	if err != nil {
		return "", err
	}
	had, err := o.drop(ctx, "pins/"+vip)
	if !had {
		return vip + " is not pinned", err
	}
	return vip + " is no longer pinned", err
}

// Balance asks for the moves that even the load, now: the next round does not wait for its time, and VIPs that were moved by hand are no exception any more.
func (o Operator) Balance(ctx context.Context) (string, error) {
	moves := 0
	err := o.look(ctx, func(v *plan.View, _ plan.Now) string {
		moves = len(placement.Place(v.BalancedInput()).Moves)
		return v.CannotBalance()
	})
	if err != nil {
		return "", err
	}
	_, err = o.edit(ctx, "balance", func([]byte) []byte { return plan.Encode(o.intent(ctx)) })
	switch moves {
	case 0:
		return "the load is even: nothing moves", err
	case 1:
		return "1 VIP moves; `viplease status --watch` shows it", err
	}
	return fmt.Sprintf("%d VIPs move; `viplease status --watch` shows them", moves), err
}

// Freeze makes the whole cluster move nothing. VIPs that nobody holds are still claimed.
func (o Operator) Freeze(ctx context.Context) (string, error) {
	return "frozen: nothing is moved until `viplease unfreeze`; VIPs that nobody holds are still claimed", o.ask(ctx, "frozen")
}

// Unfreeze ends what Freeze began.
func (o Operator) Unfreeze(ctx context.Context) (string, error) {
	had, err := o.drop(ctx, "frozen")
	if !had {
		return "nothing was frozen", err
	}
	return "no longer frozen", err
}

// Forget removes what a node that is gone, or a VIP that nobody configures, left in etcd. It refuses a name that is in use.
func (o Operator) Forget(ctx context.Context, name string) (string, error) {
	var left []string
	err := o.look(ctx, func(v *plan.View, _ plan.Now) string {
		why := noNode(v, name)
		if why == "" {
			of := v.LeftOfNode(name)
			left, why = of.Keys, of.InUse
		} else if noVIP(v, name) == "" || v.Pin(name) != nil {
			of := v.LeftOfVIP(name)
			left, why = of.Keys, of.InUse
		} else {
			why = fmt.Sprintf("%s; nor is there a VIP of that name", why)
		}
		return why
	})
	if err != nil {
		return "", err
	}
	var gone []string
	for _, key := range left {
		had, err := o.drop(ctx, key)
		if err != nil {
			return "", fmt.Errorf("removed so far: %s: %w", list(gone), err)
		}
		if had {
			gone = append(gone, key)
		}
	}
	return "removed: " + list(gone), nil
}
