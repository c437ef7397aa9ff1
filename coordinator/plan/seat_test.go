package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// asks puts a move of web to b, asked for of a registration of b.
func (d *dialogue) asks(memberRev int64) Entry {
	return d.put("moves/web", Intent{V: 1, Node: "b", MemberRev: memberRev, By: "root@a"}, 1)
}

// offers answers the offer that the node wants, and returns the claim as it stands then.
func (d *dialogue) offers(to MemberRef) claim {
	d.t.Helper()
	c := d.v.etcd.claims["web"]
	i := slices.IndexFunc(d.acts, func(a Action) bool {
		return strings.HasPrefix(a.String(), fmt.Sprintf("commit offer web if %d, %s/%d here", c.mod, to.Node, to.MemberRev))
	})
	if i < 0 {
		d.t.Fatalf("it makes no offer: %v", d.acts)
	}
	d.commit()
	return d.v.etcd.claims["web"]
}

// accepts lets the target of the offer accept it.
func (d *dialogue) accepts(memberRev int64) {
	c := d.v.etcd.claims["web"]
	n := c.Claim
	n.Accept, n.Writes = memberRev, c.version+1
	e := d.put("claims/web", n, n.Writes)
	e.Create = c.create
	d.tell(d.batch(e))
}

func TestMoveIsMadeByTheHolderAndStays(t *testing.T) {
	d := holding(t)
	d.acts = nil
	b := d.member("b")
	move := d.asks(b[0].Create)
	d.tell(d.batch(append(b, move)...))
	if c := d.offers(MemberRef{"b", b[0].Create}); c.Moved != move.Mod || c.Stay || c.Why != "move" {
		t.Fatalf("the offer is %+v", c.Claim)
	}
	d.acts = nil
	d.accepts(b[0].Create)
	d.want("del web")
	d.tell(AddressesDeleted{VIP: "web"})
	d.commit()
	c := d.v.etcd.claims["web"]
	if c.Node != "b" || !c.Stay || c.Moved != move.Mod || c.Why != "moved from a: move" {
		t.Fatalf("the claim is %+v", c.Claim)
	}
	if made, failed := d.v.MoveOutcome("web", "b", move.Mod, d.now()); !made || failed != "" {
		t.Errorf("made %v, %s", made, failed)
	}
	if pin := d.v.PlacementInput().VIPs[0].Pin; pin != "b" {
		t.Errorf("its seat is %q", pin)
	}
	// The next holder did not get it by that move, although the request still stands.
	c.Node, c.Reg, c.MemberRev, c.Stay, c.Writes = "a", d.v.self.reg.ID, d.v.self.reg.MemberRev, false, c.version+1
	e := d.put("claims/web", c.Claim, c.Writes)
	e.Create = c.create
	d.tell(d.batch(e))
	if wishes := d.v.wishes("web"); len(wishes) > 0 {
		t.Errorf("the move is due again: %v", wishes)
	}
}

func TestMoveThatIsNotAcceptedIsNotTriedAgain(t *testing.T) {
	d := holding(t)
	d.acts = nil
	why := d.v.etcd.claims["web"].Why
	b := d.member("b")
	move := d.asks(b[0].Create)
	d.tell(d.batch(append(b, move)...))
	d.offers(MemberRef{"b", b[0].Create})
	d.wait(310*ms, true)
	d.commit() // cancel
	if c := d.v.etcd.claims["web"]; c.To != "" || c.Why != why || c.Node != "a" {
		t.Fatalf("the claim is %+v, want it as before the offer: %s", c.Claim, why)
	}
	if made, failed := d.v.MoveOutcome("web", "b", move.Mod, d.now()); made || failed != "b did not take it within 300ms" {
		t.Errorf("made %v, %s", made, failed)
	}
	d.wait(20*time.Second, true)
	d.want("")
	again := d.asks(b[0].Create) // asked for once more, it is tried once more, and at once
	d.tell(d.batch(again))
	d.offers(MemberRef{"b", b[0].Create})
}

func TestMoveToAnEarlierRegistrationIsVoid(t *testing.T) {
	d := holding(t)
	d.acts = nil
	b := d.member("b")
	move := d.asks(b[0].Create - 1)
	d.tell(d.batch(append(b, move)...))
	d.wait(time.Second, true)
	d.want("")
	if made, failed := d.v.MoveOutcome("web", "b", move.Mod, d.now()); made || failed != "b registered anew in between" {
		t.Errorf("made %v, %s", made, failed)
	}
}

// A VIP that was moved away from the node that it prefers stays away until the balance is asked for.
func TestMoveStaysUntilTheBalanceIsAskedFor(t *testing.T) {
	cfg := testConfig("a", "web")
	cfg.VIPs[0].Prefer = []string{"b"}
	d := start(t, cfg)
	b := d.member("b")
	c := claimOf("b", b[0].Create-5, 1)
	c.Node, c.Reg, c.MemberRev = "", "", 0
	d.register(append(b, d.put("claims/web", c, 1), d.put("drains/b", Intent{V: 1}, 1))...)
	d.wait(5100*ms, true)
	d.commit()
	d.wait(30*ms, true)
	d.want("raise +web\nannounce web")
	held := d.v.etcd.claims["web"]
	held.Stay, held.Moved, held.Writes = true, d.rev, held.version+1 // as if it had come by a move
	e := d.put("claims/web", held.Claim, held.Writes)
	e.Create = held.create
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Changed: []Entry{e}, Deleted: []Deleted{{"drains/b", d.rev}}})
	d.wait(5*time.Second, true)
	d.want("")
	if in := d.v.BalancedInput(); in.VIPs[0].Pin != "" {
		t.Errorf("asking for the balance would leave it pinned to %s", in.VIPs[0].Pin)
	}
	d.tell(d.batch(d.put("balance", Intent{V: 1}, 1)))
	d.offers(MemberRef{"b", b[0].Create})
}

// Each reason for which a move cannot be had, as an operator reads it.
func TestCannotMove(t *testing.T) {
	since := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	asked := Intent{V: 1, By: "root@b", At: since}
	for name, c := range map[string]struct {
		key   string
		value any
		want  string
	}{
		"nothing against it": {"drains/a", asked, ""},
		"frozen":             {"frozen", asked, "frozen since 2026-03-14T12:00:00Z by root@b; `viplease unfreeze` first"},
		"drained":            {"drains/b", asked, "b is drained since 2026-03-14T12:00:00Z by root@b"},
		"pinned":             {"pins/web", Intent{V: 1, Node: "a", By: "root@b", At: since}, "web is pinned to a since 2026-03-14T12:00:00Z by root@b; `viplease unpin web` first"},
		"joining":            {"states/b", State{V: 1, State: StateJoining, Why: "ready soon", Since: since}, "b is joining since 2026-03-14T12:00:00Z: ready soon"},
		"another file":       {"states/b", State{V: 1, State: StateReady, Digest: "none"}, "the configuration of b is not known yet"},
		"link down": {"states/b", State{V: 1, State: StateReady, Cannot: []string{"dns", "web"}, Because: []string{"net1 is down", ""}},
			"b cannot hold web now: net1 is down"},
		"an older version": {"states/b", State{V: 1, State: StateReady, Cannot: []string{"web"}}, "b cannot hold web now"},
	} {
		t.Run(name, func(t *testing.T) {
			d := holding(t)
			if st, ok := c.value.(State); ok && st.Digest == "" {
				st.Digest, st.Planner = d.v.digest, Planner
				c.value = st
			}
			d.tell(d.batch(append(d.member("b"), d.put(c.key, c.value, 1))...))
			if got := d.v.CannotMove("web", "b", d.now()); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	d := holding(t)
	d.tell(d.batch(d.put("drains/c", asked, 1)))
	if got := d.v.CannotMove("web", "c", d.now()); got != "c is gone: it has no registration" {
		t.Errorf("gone: %q", got)
	}
}

// What may be forgotten is what nobody needs: not the claim that others wait to take over.
func TestLeftOver(t *testing.T) {
	d := holding(t)
	old := claimWith("old", "gone", 3, 1, "192.0.2.250/32")
	d.tell(d.batch(d.put("drains/gone", Intent{V: 1}, 1), d.put("pins/old", Intent{V: 1, Node: "gone"}, 1), d.put("pins/web", Intent{V: 1, Node: "gone"}, 1),
		d.put("claims/old", old, 1)))
	if got := fmt.Sprint(d.v.LeftOfNode("gone")); got != "{[claims/old drains/gone pins/old pins/web] }" {
		t.Errorf("of a node: %s", got)
	}
	waiting := start(t, testConfig("a", "web"))
	waiting.register(waiting.put("claims/web", claimOf("gone", 3, 1), 1), waiting.put("drains/gone", Intent{V: 1}, 1))
	if got := fmt.Sprint(waiting.v.LeftOfNode("gone")); got != "{[drains/gone] }" {
		t.Errorf("of a node whose VIP is taken over: %s", got)
	}
	if got := fmt.Sprint(d.v.LeftOfVIP("old")); got != "{[claims/old pins/old] }" {
		t.Errorf("of a VIP: %s", got)
	}
	if got := d.v.LeftOfVIP("web").InUse; !strings.HasPrefix(got, "a configures web") {
		t.Errorf("of a VIP in use: %q", got)
	}
	if got := d.v.LeftOfNode("a").InUse; !strings.HasPrefix(got, "a is a member") {
		t.Errorf("of a member: %q", got)
	}
}

// A request that cannot be met does not undo the one that was: the VIP stays where it was moved to.
func TestMoveThatCannotBeHadLeavesTheSeat(t *testing.T) {
	cfg := testConfig("a", "web")
	cfg.VIPs[0].Prefer = []string{"b"}
	d := start(t, cfg)
	b, c := d.member("b"), d.member("c")
	claim := claimOf("b", 5, 1)
	claim.Node, claim.Reg, claim.MemberRev = "", "", 0
	d.register(slices.Concat(b, c, []Entry{d.put("claims/web", claim, 1), d.put("drains/b", Intent{V: 1}, 1), d.put("drains/c", Intent{V: 1}, 1)})...)
	d.wait(5100*ms, true)
	d.commit()
	d.wait(30*ms, true)
	held := d.v.etcd.claims["web"]
	held.Stay, held.Moved, held.Writes = true, d.rev, held.version+1
	e := d.put("claims/web", held.Claim, held.Writes)
	e.Create = held.create
	d.acts = nil
	move := d.put("moves/web", Intent{V: 1, Node: "c", MemberRev: c[0].Create}, 1)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Changed: []Entry{e, move}, Deleted: []Deleted{{"drains/b", d.rev}}})
	d.wait(time.Second, true)
	d.want("")
}

// The log of the node that gives a VIP away says where to and why, whether the answer to its write comes first or the watch.
func TestTransferIsTold(t *testing.T) {
	for _, watchFirst := range []bool{false, true} {
		d := holding(t)
		d.acts = nil
		b := d.member("b")
		d.tell(d.batch(append(b, d.asks(b[0].Create))...))
		d.offers(MemberRef{"b", b[0].Create})
		d.acts = nil
		d.accepts(b[0].Create)
		d.tell(AddressesDeleted{VIP: "web"})
		d.v.Notes()
		var transfer Commit
		for _, a := range d.acts {
			if c, ok := a.(Commit); ok {
				transfer = c
			}
		}
		c := d.v.etcd.claims["web"]
		e := d.put("claims/web", transfer.Writes[0].Claim, c.version+1)
		e.Create = c.create
		facts := []Fact{ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: transfer.Writes, Revision: d.rev, Member: true, Results: []WriteResult{{Won: true}}}, d.batch(e)}
		if watchFirst {
			slices.Reverse(facts)
		}
		d.tell(facts...)
		if told := d.v.Notes(); !slices.ContainsFunc(told, func(n Note) bool {
			return n.VIP == "web" && n.Node == "a" && n.What == "transferred" && n.Why == "to b: move" && n.Grade == News
		}) {
			t.Errorf("watch first %v: it tells %+v", watchFirst, told)
		}
	}
}
