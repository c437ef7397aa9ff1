package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestFirstClaimWaitsForMatureAndW(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(4980*ms, true)
	d.want("")
	d.wait(40*ms, true)
	d.want("commit take web if 12") // which says since when nobody is known to hold it
}

func TestTakesOverOnlyAfterW(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	d.want("")
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wantAfterW(fmt.Sprintf("commit take web if 13, b/%d gone", b[0].Create))
}

func TestLargerWaitInTheClaimCounts(t *testing.T) { // S10
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	c.WaitMS = 7000
	d.register(append(b, d.put("claims/web", c, 1))...)
	d.wait(6*time.Second, true)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(6900*ms, true)
	d.want("")
	d.wait(120*ms, true)
	if got := d.said(); !strings.Contains(got, "take web") {
		t.Fatalf("not taken after the larger wait: %q", got)
	}
}

func TestTimerOfAnOwnerDoesNotRunForTheNext(t *testing.T) { // S6
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(4*time.Second, true)
	again := d.member("b")
	d.tell(d.batch(append(again, d.put("claims/web", claimOf("b", again[0].Create, 2), 2))...))
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(4600*ms, true)
	d.want("")
}

func TestOwnerIsNotJudgedFromAnOlderState(t *testing.T) { // S5
	d := start(t, testConfig("a", "web"))
	d.register(d.put("claims/web", Claim{V: 1, VIP: "web", WaitMS: 4610, Writes: 1, Try: "x", Addresses: []string{"192.0.2.100/32"}}, 1))
	d.wait(5030*ms, true)
	// b registered and took it; this node knows the claim from its lost write alone, its watch lags behind b's registration.
	b := d.put("members/b", Member{V: 1, Reg: "b-1"}, 1)
	newer := d.put("claims/web", claimOf("b", b.Create, 2), 2)
	var lost []ClaimWrite
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			lost = c.Writes
		}
	}
	d.acts = nil
	d.tell(ClaimsCommitted{Writes: lost, Revision: d.rev, Member: true, Results: []WriteResult{{Current: &newer}}})
	d.wait(10*time.Second, false)
	d.want("")
}

func TestEmptyClaimAsksForTheWidestWaitKnown(t *testing.T) { // S10
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	b[1] = d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, WaitMS: 9000}, 1)
	d.register(b...)
	if got := d.v.etcd.claims["web"]; !got.Empty || got.WaitMS != 9000 {
		t.Fatalf("the empty claim is %+v", got.Claim)
	}
}

func TestOldEmptyClaimCopiedBackIsWaitedOutWithTheWidestWait(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	b[1] = d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, WaitMS: 9000}, 1)
	d.register(append(b, d.put("claims/web", Claim{V: 1, VIP: "web", Empty: true, WaitMS: 1000, Writes: 1, Try: "x"}, 1))...)
	d.wait(8900*ms, true)
	d.want("")
}

func TestWaitOfAForgottenClaimIsNotThatOfOthers(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	old := claimWith("old", "gone", 3, 1, "192.0.2.250/32")
	old.Node, old.Reg, old.MemberRev = "", "", 0 // released long ago, in no configuration
	old.WaitMS = 3_600_000
	d.register(d.put("claims/old", old, 1))
	if got := d.v.etcd.claims["web"]; got.WaitMS > 10_000 {
		t.Fatalf("nobody takes web for %d s", got.WaitMS/1000)
	}
}

// A write is lost for a reason that the watch has yet to tell.
func TestLostWriteIsRepeatedWithAPause(t *testing.T) {
	d := holding(t)
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	n := 0
	for range 100 {
		acts := d.acts
		d.acts = nil
		for _, a := range acts {
			if c, ok := a.(Commit); ok {
				n++
				cl := d.v.etcd.claims["web"]
				same := Entry{Key: "claims/web", Value: Encode(cl.Claim), Create: cl.create, Mod: cl.mod, Version: cl.version}
				// b has lost its registration, which the watch has not told yet
				d.tell(ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: c.Writes, Revision: d.rev, Member: true, Results: []WriteResult{{Current: &same}}})
			}
		}
	}
	if n > 2 {
		t.Fatalf("%d transactions in no time", n)
	}
}
