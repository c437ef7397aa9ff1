package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMissingClaimIsWrittenAgainByItsHolderAlone(t *testing.T) { // S9
	d := holding(t)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"claims/web", d.rev}}})
	if _, ok := d.v.mayShow("web", d.now().Boot); ok {
		t.Fatal("it may show a VIP whose claim is missing")
	}
	if got := d.acts[len(d.acts)-1].String(); got != "commit re-stamp web if 0" {
		t.Fatalf("it wants %s", got)
	}
	d.commit() // the claim came out of nothing: it is written once more, while the address is up
	d.want("commit re-stamp web if 15")
	// Everybody else waits W.
	o := start(t, testConfig("o", "web"))
	b := o.member("b")
	o.register(append(b, o.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	o.wait(6*time.Second, true)
	o.rev++
	o.tell(BatchSeen{Revision: o.rev, Deleted: []Deleted{{"claims/web", o.rev}, {"members/b", o.rev}, {"states/b", o.rev}}})
	o.commit() // empty
	o.wantAfterW("commit take web if 16")
}

func TestHandWrittenClaimIsEvidenceOfNothing(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	released := Claim{V: 1, VIP: "web", Writes: 1, Try: "by hand"} // says write 1, but it is the second
	e := d.put("claims/web", released, 2)
	d.tell(d.batch(e))
	d.want("commit empty web if 15") // W runs from when that is seen
}

// TestReleaseOutOfNothingIsForeign: the protocol's first value of a claim is empty or has a holder. One that is released was put there by hand, over a key
// that was deleted; its holder may show the VIP.
func TestReleaseOutOfNothingIsForeign(t *testing.T) {
	released := Claim{V: Format, VIP: "web", Try: "by hand"}
	for version, want := range map[int64]error{1: errForeign, 2: nil} {
		released.Writes = version
		if _, err := decodeClaim("web", Encode(released), version); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", version, err, want)
		}
	}
}

func TestClaimCopiedFromAnotherKeyIsForeign(t *testing.T) {
	if _, err := decodeClaim("web", Encode(claimOf("b", 7, 2)), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := decodeClaim("dns", Encode(claimOf("b", 7, 2)), 2); err == nil {
		t.Fatal("the claim of web was taken for that of dns")
	}
}

func TestClaimOutOfNothingIsShownOnlyByWhomItsAddressIsUpAllAlong(t *testing.T) {
	d := holding(t)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"claims/web", d.rev}}})
	late := d.acts[len(d.acts)-1].(Commit)
	d.tell(ClaimsFailed{Writes: late.Writes, InDoubt: true})
	d.wait(3100*ms, false) // cut off: it withdraws
	d.tell(AddressesDeleted{VIP: "web"}, CheckFailed{}, ClaimsFailed{Writes: late.Writes, InDoubt: true})
	d.acts = nil
	// The write commits after all: others may have held and lost the VIP in between.
	c := late.Writes[0].Claim
	d.tell(d.batch(d.put("claims/web", c, 1)))
	d.wait(400*ms, true)
	if got := d.said(); !strings.HasPrefix(got, "commit empty web if ") || strings.Contains(got, "raise") {
		t.Fatalf("it wants %q", got)
	}
}

// After a pause longer than hold an address has not been "up all along", whatever this process believes.
func TestEmptiedClaimIsNotTakenBackAfterAPause(t *testing.T) {
	d := holding(t)
	d.acts = nil
	c := d.v.etcd.claims["web"]
	d.ms += 10_000 // stopped; ttl is longer than that here
	e := Claim{V: 1, VIP: "web", Empty: true, WaitMS: 4610, Addresses: c.Addresses, Try: "b/1", Writes: c.version + 1}
	entry := d.put("claims/web", e, c.version+1)
	d.tell(d.batch(entry), Paused{"test"})
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Restamp {
			t.Fatalf("10 s after its last check it wants %v", d.acts)
		}
	}
}

func TestStateDeletedByHandMovesNothing(t *testing.T) {
	d := holding(t)
	d.tell(d.batch(d.member("b")...))
	d.acts = nil
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"states/a", d.rev}, {"states/b", d.rev}}})
	if got := d.acts; len(got) != 1 || got[0].String() != "state ready" {
		t.Fatalf("it wants %v, not just its state again", got)
	}
	if !d.v.ready("b") {
		t.Fatal("b, which stands, counts as not ready")
	}
}

func TestOwnKeysThatWereOverwrittenByHandAreWrittenAgain(t *testing.T) {
	d := holding(t)
	d.ms += 310
	d.tell()
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			d.acts = nil
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: c.Since, Keys: c.Keys, Revision: d.rev, MemberRev: d.v.self.reg.MemberRev, Member: []byte("x"), Changed: d.changed(c.Since), Count: c.Keys + d.born(c.Since)})
			break
		}
	}
	var mend Commit
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			mend = c
		}
	}
	if len(mend.Puts) != 2 || mend.Puts[0].Lease != 77 || mend.Puts[0].Key != "members/a" {
		t.Fatalf("its member key was overwritten, and it wants %v", d.acts)
	}
	d.tell(ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Revision: d.rev, Member: true})
	d.acts = nil
	d.tell(LayoutWritten{Taken: true, Err: fmt.Errorf("configs/x is taken")})
	if got := d.said2(); !strings.Contains(got, "put configs/") {
		t.Fatalf("its configuration was overwritten, and it wants %q", got)
	}
}
