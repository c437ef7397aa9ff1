package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"viplease/coordinator/plan"
)

// Edit is Intents.Edit.
func (e *fakeEtcd) Edit(ctx context.Context, key string, change func([]byte) ([]byte, error)) (int64, error) {
	if err := e.call(ctx, "edit"); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.entries[key]
	value, err := change(old.Value)
	if err != nil || string(value) == string(old.Value) && (value == nil) == (old.Value == nil) {
		return old.Mod, err
	}
	e.write(map[string][]byte{key: value})
	return e.rev, nil
}

// operator asks a node as its commands do.
func (n *node) operator() Operator {
	return Operator{Node: "a", By: func(context.Context) string { return "root@a" }, Intents: n.etcd, Show: n.Snapshot, Look: n.Look, Now: func() plan.Now { return plan.Now{Boot: boot(), Wall: time.Now()} }}
}

// joined lets another node join, which accepts every move that it is offered, and waits until it has its share.
func (n *node) joined(t *testing.T) {
	t.Helper()
	here, _ := n.etcd.get("states/a")
	n.etcd.mu.Lock()
	n.etcd.write(map[string][]byte{"members/b": plan.Encode(plan.Member{V: 1, Reg: "b-1", Machine: "mb", Boot: "bb"}), "states/b": here.Value})
	member := n.etcd.rev
	n.etcd.mu.Unlock()
	go func() {
		for n.etcd.has("members/a") {
			n.etcd.mu.Lock()
			for _, vip := range []string{"dns", "web"} {
				e := n.etcd.entries["claims/"+vip]
				if c := claimIn(e.Value); c.To == "b" && c.Accept == 0 {
					c.Accept, c.Writes = member, e.Version+1
					n.etcd.write(map[string][]byte{"claims/" + vip: plan.Encode(c)})
				}
			}
			n.etcd.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(time.Second)
	if len(n.held("a")) != 1 || len(n.held("b")) != 1 {
		t.Fatalf("a holds %v, b holds %v", n.held("a"), n.held("b"))
	}
}

func (e *fakeEtcd) has(key string) bool { _, ok := e.get(key); return ok }

// leave stops the node, which ends the other one too.
func (n *node) leave(t *testing.T) {
	n.stop()
	if err := n.over(t, time.Minute); err != nil {
		t.Error(err)
	}
	time.Sleep(10 * time.Millisecond) // of the bubble's clock: the other node looks again, and ends
}

// held names the VIPs on a node.
func (n *node) held(node string) (names []string) {
	for _, v := range n.Snapshot().VIPs {
		if v.Node == node {
			names = append(names, v.Name)
		}
	}
	return names
}

func TestOperatorMoves(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		defer n.leave(t)
		n.joined(t)
		vip, other, o := n.held("a")[0], n.held("b")[0], n.operator()
		began := time.Now()
		said, err := o.Move(t.Context(), vip, "b")
		if err != nil || said != vip+" moved from a to b" || len(n.held("b")) != 2 {
			t.Errorf("%q, %v; b holds %v", said, err, n.held("b"))
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if said, err := o.Move(t.Context(), vip, "b"); err != nil || said != vip+" is on b" {
			t.Errorf("again: %q, %v", said, err)
		}
		// Its holder, which is no real node here, makes no offer: the request does not stay behind.
		if _, err := o.Move(t.Context(), other, "a"); err == nil || err.Error() != "a did not get "+other+" within 1.5s" {
			t.Errorf("a move that nobody makes: %v", err)
		}
		for _, name := range []string{vip, other} {
			if e, ok := n.etcd.get("moves/" + name); ok {
				t.Errorf("left behind: %s", e.Value)
			}
		}
	})
}

func TestOperatorIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		defer n.leave(t)
		n.joined(t)
		o := n.operator()
		vip := n.held("a")[0]
		refused := func(want string, f func() (string, error)) {
			t.Helper()
			said, err := f()
			var r interface{ Refused() bool }
			if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.As(err, &r) {
				t.Errorf("%q, %v, want the refusal %s", said, err, want)
			}
		}
		move := func(vip, node string) func() (string, error) {
			return func() (string, error) { return o.Move(t.Context(), vip, node) }
		}
		refused("no VIP is called mail; there are: dns, web", move("mail", "b"))
		refused("no node is called c; there are: a, b", move(vip, "c"))
		refused("no VIP is called 192.0.2.2; it is an address of web", move("192.0.2.2", "b"))
		refused("no node is called c; there are: a, b", func() (string, error) { return o.Pin(t.Context(), vip, "c") })
		refused("no VIP is called mail; there are: dns, web", func() (string, error) { return o.Unpin(t.Context(), "mail") })
		refused("no node is called c; there are: a, b", func() (string, error) { return "", o.Drain(t.Context(), "c") })
		refused("no member is called c; there are: a, b", func() (string, error) { _, err := o.Plan(t.Context(), []string{"c"}); return "", err })
		refused("b is a member", func() (string, error) { return o.Forget(t.Context(), "b") })
		refused("a configures "+vip, func() (string, error) { return o.Forget(t.Context(), vip) })
		refused("no node is called c; there are: a, b; nor is there a VIP of that name", func() (string, error) { return o.Forget(t.Context(), "c") })
		if err := o.Drain(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		refused("b is drained since 2000-01-01T", move(vip, "b"))
		if said, err := o.Pin(t.Context(), vip, "b"); err != nil || !strings.HasPrefix(said, vip+" is pinned to b; it goes there as soon as that is possible: b is drained since") {
			t.Errorf("pin: %q, %v", said, err)
		}
		if _, err := o.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		refused("frozen since 2000-01-01T", move(vip, "b"))
		refused("frozen since 2000-01-01T", func() (string, error) { return o.Balance(t.Context()) })
	})
}

// What is asked for twice keeps the time of the first, and what is not there is no error: a command that hears no answer asks again.
func TestOperatorAsksTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		defer n.leave(t)
		o := n.operator()
		said := map[string]string{}
		ask := func(what string, f func() (string, error)) {
			t.Helper()
			first, err := f()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			before := fmt.Sprint(n.etcd.intents())
			time.Sleep(time.Second)
			second, err := f()
			if after := fmt.Sprint(n.etcd.intents()); err != nil || after != before {
				t.Errorf("%s again: %v; from\n%s to\n%s", what, err, before, after)
			}
			said[what] = first + " / " + second
		}
		ask("drain", func() (string, error) { return "", o.Drain(t.Context(), "") })
		ask("freeze", func() (string, error) { return o.Freeze(t.Context()) })
		ask("pin", func() (string, error) { return o.Pin(t.Context(), "web", "a") })
		ask("unpin", func() (string, error) { return o.Unpin(t.Context(), "web") })
		ask("unfreeze", func() (string, error) { return o.Unfreeze(t.Context()) })
		ask("undrain", func() (string, error) { return "", o.Undrain(t.Context(), "a") })
		if left := n.etcd.intents(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		for what, want := range map[string]string{
			"pin":      "web is pinned to a, where it is / web is pinned to a, where it is",
			"unpin":    "web is no longer pinned / web is not pinned",
			"unfreeze": "no longer frozen / nothing was frozen",
		} {
			if said[what] != want {
				t.Errorf("%s says %q", what, said[what])
			}
		}
	})
}

// Whether something was done is said as far as it is known.
func TestOperatorWithoutEtcd(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		defer n.leave(t)
		o := n.operator()
		for want, failed := range map[string]error{
			"nothing was changed: etcd: ":                                ErrNotApplied,
			"etcd did not say whether it was written, so ask again: why": errors.New("why"),
		} {
			n.etcd.setHook(func(_ context.Context, call string) error {
				if call == "edit" {
					return failed
				}
				return nil
			})
			if _, err := o.Freeze(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		n.etcd.setHook(func(ctx context.Context, call string) error {
			if call == "edit" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		began := time.Now()
		if _, err := o.Freeze(t.Context()); err == nil || time.Since(began) > editWithin {
			t.Errorf("a silent etcd: %v after %v", err, time.Since(began))
		}
		n.etcd.setHook(nil)
	})
}

// intents are the keys that operators write.
func (e *fakeEtcd) intents() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]string{}
	for key, n := range e.entries {
		switch kind, _, _ := strings.Cut(key, "/"); kind {
		case "drains", "pins", "moves", "frozen", "balance":
			out[key] = string(n.Value)
		}
	}
	return out
}

func claimIn(value []byte) (c plan.Claim) {
	_ = json.Unmarshal(value, &c) // a key that is absent is a claim without a target
	return c
}
