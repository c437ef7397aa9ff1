package plan

import (
	"fmt"
	"testing"
	"time"
)

func TestClaimThenCheckThenRaise(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.wait(290*ms, false) // the last check is old by now, and its successor unanswered
	d.commit()
	for _, a := range d.acts {
		if _, ok := a.(RaiseAddresses); ok {
			t.Fatalf("it raises on a check that is %v old", d.now().Boot-d.v.self.good.t0)
		}
	}
	d.answer()
	d.want("probe +web") // nobody knows who held it last: ask the LAN first
	d.tell(AddressesProbed{VIP: "web"})
	d.want("raise +web")
}

func TestReStampsBeforeItShowsAgain(t *testing.T) { // S1
	d := holding(t)
	d.rev++
	d.tell(RenewFailed{Lease: 77, Gone: true}, BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/a", d.rev}, {"states/a", d.rev}}})
	d.wait(600*ms, false)
	d.want("revoke\nregister a-2 ready")
	d.rev++
	d.tell(Registered{Registration: Registration{"a-2", d.rev, 78, 3 * time.Second}, Revision: d.rev, State: State{V: 1, State: StateReady, Digest: d.v.digest, Planner: Planner}})
	d.wait(10*ms, true)
	d.want(fmt.Sprintf("commit re-stamp web if %d", d.v.etcd.claims["web"].mod)) // and no refresh on the new check
	// The old stamp is not shown any longer, whatever checks say.
	if _, ok := d.v.mayShow("web", d.now().Boot); ok {
		t.Fatal("it may show a claim of an earlier registration")
	}
}

func TestWithdrawsAtHold(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(CheckFailed{fmt.Errorf("no answer")})
	last := d.v.self.good.t0
	for d.now().Boot < last+3*time.Second-10*ms {
		d.ms += 10
		d.tell()
		if s := d.said(); s != "" {
			t.Fatalf("%v before hold is over it wants %s", last+3*time.Second-d.now().Boot, s)
		}
		d.tell(CheckFailed{fmt.Errorf("no answer")})
	}
	d.wait(20*ms, false)
	d.want("del web")
}

func TestCheckThatMissesAClaimExtendsNothing(t *testing.T) { // S9
	d := holding(t)
	before := d.v.self.good.t0
	d.ms += 310
	d.tell()
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			d.acts = nil
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: c.Since, Keys: c.Keys, Revision: d.rev + 1, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Count: c.Keys - 1})
		}
	}
	if d.v.self.good.t0 != before {
		t.Fatal("a check that found a claim missing extended authority")
	}
	d.want("reread")
}

func TestAfterAPauseNothingIsSetBeforeACheck(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(Paused{"test"})
	if _, ok := d.v.mayShow("web", d.now().Boot); ok || d.v.MayAnnounce() > d.now().Boot {
		t.Fatal("it may set or announce on a check from before the pause")
	}
	if len(d.acts) == 0 {
		t.Fatal("it does not check at once")
	}
	d.ms++
	d.answer()
	if _, ok := d.v.mayShow("web", d.now().Boot); !ok || d.v.MayAnnounce() <= d.now().Boot {
		t.Fatal("it may not, after a check")
	}
}

func TestKernelLaneThatHangsEndsTheRegistration(t *testing.T) {
	d := holding(t)
	d.acts = nil
	renewals := 0
	for end := d.ms + 60_000; d.ms < end; {
		d.ms += 10
		d.tell()
		acts := d.acts
		d.acts = nil
		for _, a := range acts {
			switch a := a.(type) {
			case Check:
				d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: d.rev, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Changed: d.changed(a.Since), Count: a.Keys + d.born(a.Since)})
			case Renew:
				if d.ms > end-30_000 {
					renewals++
				}
				d.tell(Renewed{d.v.self.reg.Lease, 3 * time.Second})
			}
		}
	}
	if renewals > 0 {
		t.Fatalf("half a minute after its addresses have ended (raise unanswered), it still renews: %d times; nobody else can hold web", renewals)
	}
}

// Two configurations may give one address two names, and views lag: only a check that was sent after the claim was won is sure to see the other claim.
func TestAddressIsAddedOnlyAfterACheckSinceItsClaimWasWon(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	offer := claimOf("b", b[0].Create, 1)
	offer.To = "a"
	d.register(append(b, d.put("claims/web", offer, 1))...)
	d.wait(5100*ms, true)
	d.commit() // the accept
	d.answer()
	d.acts = nil
	d.v.self.good.t0 = d.now().Boot // as fresh as can be
	mine := claimOf("a", d.v.self.reg.MemberRev, 3)
	e := d.put("claims/web", mine, 3)
	e.Create = offer.MemberRev
	d.tell(d.batch(e))
	if len(d.acts) != 1 || d.acts[0].String() != fmt.Sprintf("check since %d, 1 keys", e.Mod) {
		t.Fatalf("transferred to it, it wants %v", d.acts)
	}
	d.answer()
	d.want("raise +web")
}

func TestChecksThatAreRefusedAreNotSentWithoutAPause(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit() // an address waits for a check
	n := 0
	for range 100 { // no time passes
		acts := d.acts
		d.acts = nil
		for _, a := range acts {
			if _, ok := a.(Check); ok {
				n++
				d.tell(CheckFailed{fmt.Errorf("connection refused")})
			}
		}
	}
	if n != 1 {
		t.Fatalf("%d checks in no time", n)
	}
}
