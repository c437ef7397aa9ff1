package plan

import (
	"strings"
	"testing"
	"time"
)

func TestStoreThatWentBackIsForgotten(t *testing.T) { // S11
	d := holding(t)
	d.tell(BatchSeen{Revision: d.rev})
	d.rev = 9
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: []Entry{{Key: "claims/web", Value: Encode(claimOf("a", 11, 1)), Create: 12, Mod: 12, Version: 1}}})
	d.want("del web\nrevoke\nregister a-2 joining")
	if _, ok := d.v.mayShow("web", d.now().Boot); ok {
		t.Fatal("it may show a VIP by what it knew")
	}
}

func TestStoreThatWentBackIsReadAgainAndForgottenOnce(t *testing.T) {
	d := holding(t)
	d.tell(BatchSeen{Revision: d.rev})
	d.ms += 310
	d.tell()
	var sent Check
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			sent = c
		}
	}
	d.acts = nil
	d.rev = 1
	d.tell(SnapshotRead{Cluster: 1, Revision: 1})
	d.acts = nil
	d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: sent.Since, Keys: sent.Keys, Revision: 1})
	if !d.v.etcd.synced {
		t.Fatal("an answer to a check from before made it forget the new store as well")
	}
	e := holding(t)
	e.tell(BatchSeen{Revision: e.rev})
	e.acts = nil
	e.tell(CheckAnswered{T0: e.now().Boot, Cluster: 1, Since: e.rev, Revision: 1})
	if got := e.said(); !strings.Contains(got, "reread") {
		t.Fatalf("a check that sees the store go back leads to %q", got)
	}
}

func TestCheckThatLacksAKnownChangeMeansThatTheStoreWentBack(t *testing.T) {
	d := holding(t) // its claim is known at a revision that its view has not reached
	d.ms += 310
	d.tell()
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			d.acts = nil
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: c.Since, Keys: c.Keys, Revision: d.rev + 5, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Count: c.Keys})
			break
		}
	}
	if got := d.said(); !strings.HasPrefix(got, "del web") {
		t.Fatalf("it wants %q", got)
	}
}

func TestProcessThatStartsDuringARestoreKnowsThatTheStoreWentBack(t *testing.T) {
	d := holding(t)
	d.rev = 1000
	d.tell(BatchSeen{Revision: 1000})
	left := d.v.Remember()
	cfg := testConfig("a", "web")
	e := &dialogue{t: t, ms: d.ms + 500, rev: 30}
	e.v = New(cfg, e.now())
	// The backup is of revision 30: a held web then. It was moved to b at revision 900, which b's kernel still has.
	e.tell(left, placesOf(cfg), AddressesObserved{})
	c := claimOf("a", left.Last.MemberRev, 3)
	c.Reg = left.Last.ID
	e.tell(SnapshotRead{Cluster: 1, Revision: 30, Entries: []Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: left.Last.ID}), Create: left.Last.MemberRev, Mod: left.Last.MemberRev, Version: 1},
		{Key: "states/a", Value: Encode(State{V: 1, State: StateReady, Weight: 1, Digest: e.v.digest, Planner: Planner, WaitMS: 4610}), Create: left.Last.MemberRev, Mod: left.Last.MemberRev, Version: 1},
		{Key: "claims/web", Value: Encode(c), Create: 9, Mod: 20, Version: 3},
	}})
	said := e.play(300 * ms)
	t.Log(strings.Join(said, "; "))
	if e.v.local["web"].up {
		t.Fatal("it shows web at once, by a store that has gone back from revision 1000 to 30")
	}
}

// A write or a registration that was answered at a lower revision than the node knew of when it asked: no linearizable store says that [S11].
func TestAnswerFromBelowWhatWasKnownMeansThatTheStoreWentBack(t *testing.T) {
	d := holding(t)
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	offer := d.pending()
	d.acts = nil
	d.tell(ClaimsCommitted{MemberRev: offer.MemberRev, Writes: offer.Writes, Highest: offer.Highest, Revision: offer.Highest - 1, Member: true, Results: []WriteResult{{Won: true}}})
	d.want("del web\nrevoke\nreread")

	e := start(t, testConfig("a", "web"))
	e.tell(SnapshotRead{Cluster: 1, Revision: 24})
	register := e.acts[len(e.acts)-1].(Register)
	e.acts = nil
	e.tell(Registered{Registration: Registration{"a-1", 14, 77, 3 * time.Second}, Highest: register.Highest, Revision: 14, State: register.State})
	e.want("revoke\nreread") // the lease of that registration too, for it keeps the name from the next
	if e.v.etcd.synced || e.v.self.phase != unregistered {
		t.Fatal("it goes on with a view of the store as it was")
	}
}

// The watch may be faster than the answer, which is then older than the view.
func TestAnswerThatTheWatchHasOvertakenIsNothing(t *testing.T) {
	d := holding(t)
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	offer := d.pending()
	d.acts = nil
	answered := d.rev + 1
	d.rev += 7
	d.tell(BatchSeen{Revision: d.rev})
	d.tell(ClaimsCommitted{MemberRev: offer.MemberRev, Writes: offer.Writes, Highest: offer.Highest, Revision: answered, Member: true, Results: []WriteResult{{Won: true}}})
	if !d.v.etcd.synced || d.v.etcd.claims["web"].To != "b" {
		t.Fatalf("it wants %v", d.acts)
	}
}

// An answer to what was asked of the store as it was says nothing about the store as it is: the write is in doubt.
func TestAnswerToAForgottenViewLeavesDoubt(t *testing.T) {
	d := holding(t)
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	offer := d.pending()
	d.tell(SnapshotRead{Cluster: 2, Revision: 5})
	d.acts = nil
	d.tell(ClaimsCommitted{MemberRev: offer.MemberRev, Writes: offer.Writes, Highest: offer.Highest, Revision: d.rev + 1, Member: true, Results: []WriteResult{{Won: true}}})
	l := d.v.local["web"]
	if _, known := d.v.etcd.claims["web"]; known || !d.v.etcd.synced || !l.doubt || l.write {
		t.Fatalf("it takes %+v for what the new store holds; in doubt %t, a write under way %t", d.v.etcd.claims["web"], l.doubt, l.write)
	}
}

// One claim that went back ends every write of the same transaction.
func TestStoreThatWentBackLeavesNoWriteUnderWay(t *testing.T) {
	d := start(t, testConfig("a", "web", "dns"))
	d.register()
	d.wait(5100*ms, true)
	take := d.pending()
	if len(take.Writes) != 2 {
		t.Fatalf("it wants %v", take)
	}
	older := d.put("claims/web", claimOf("b", 3, 1), 1)
	older.Mod = take.Writes[0].IfMod - 1
	d.rev += 3
	d.tell(ClaimsCommitted{MemberRev: take.MemberRev, Writes: take.Writes, Highest: take.Highest, Revision: d.rev, Member: true, Results: []WriteResult{{Current: &older}, {Current: &older}}})
	for vip, l := range d.v.local {
		if l.write {
			t.Errorf("a write of %s is under way for ever", vip)
		}
	}
}
