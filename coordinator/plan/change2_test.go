package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// after a pause longer than hold, the address is not "up all along" any more, but the claim is written again as if it were.
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

// the wait of a claim that means nothing any more is that of every VIP to come.
func TestWaitOfAForgottenClaim(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	old := claimWith("old", "gone", 3, 1, "192.0.2.250/32")
	old.Node, old.Reg, old.MemberRev = "", "", 0 // released long ago, in no configuration
	old.WaitMS = 3_600_000
	d.register(d.put("claims/old", old, 1))
	if got := d.v.etcd.claims["web"]; got.WaitMS > 10_000 {
		t.Fatalf("nobody takes web for %d s", got.WaitMS/1000)
	}
}

// SIGTERM with a claim of a VIP that left the configuration: leaves without giving it back.
func TestLeaveReleasesWhatIsNotConfigured(t *testing.T) {
	cfg := testConfig("a", "web")
	d := reborn(t, cfg, placesOf(cfg).Places, map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true},
		Entry{Key: "claims/web", Value: Encode(claimOf("a", 11, 3)), Create: 9, Mod: 12, Version: 3},
		Entry{Key: "claims/dns", Value: Encode(claimWith("dns", "a", 11, 3, "192.0.2.150/32")), Create: 10, Mod: 14, Version: 3})
	t.Log(d.play(time.Second), d.v.local["web"])
	d.tell(Leave{Deadline: d.now().Boot + 5*time.Second})
	began := d.ms
	said := ""
	for !strings.Contains(said, "deregister") && d.ms < began+10_000 {
		if got := d.play(10 * ms); len(got) > 0 {
			said += fmt.Sprint(d.ms-began, got)
		}
	}
	if d.v.etcd.claims["dns"].Node == "a" || d.ms-began > 1000 {
		t.Fatalf("it left after %d ms: %s", d.ms-began, said)
	}
}

// a drained node whose etcd takes 160 ms for a write never gets rid of its VIP.
func TestDrainWithSlowWrites(t *testing.T) {
	d := holding(t)
	d.acts = nil
	const write = 160
	b := d.member("b")
	later := map[int][]func(){}
	commit := func(c Commit) {
		w := c.Writes[0]
		cl := d.v.etcd.claims["web"]
		if cl.mod != w.IfMod {
			cur := Entry{Key: "claims/web", Value: Encode(cl.Claim), Create: cl.create, Mod: cl.mod, Version: cl.version}
			d.tell(ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: c.Writes, Revision: d.rev, Member: true, Results: []WriteResult{{Current: &cur}}})
			return
		}
		d.rev++
		d.tell(ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: c.Writes, Revision: d.rev, Member: true, Results: []WriteResult{{Won: true}}})
		if w.Kind == Offer { // b sees it at once, and its accept takes as long
			later[d.ms+write] = append(later[d.ms+write], func() {
				if cl := d.v.etcd.claims["web"]; cl.To == "b" && cl.Accept == 0 {
					n := cl.Claim
					n.Accept, n.Writes = b[0].Create, cl.version+1
					e := d.put("claims/web", n, n.Writes)
					e.Create = cl.create
					d.tell(d.batch(e))
				}
			})
		}
	}
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	for end := d.ms + 60_000; d.ms < end; d.ms += 10 {
		for _, f := range later[d.ms] {
			f()
		}
		d.tell()
		for len(d.acts) > 0 {
			a := d.acts[0]
			d.acts = d.acts[1:]
			switch a := a.(type) {
			case Check:
				d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: max(d.rev, a.Since), MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Changed: d.changed(a.Since), Count: a.Keys + d.born(a.Since)})
			case Renew:
				d.tell(Renewed{d.v.self.reg.Lease, 3 * time.Second})
			case RaiseAddresses:
				d.tell(AddressesRaised{VIP: "web", T0: a.T0})
			case DelAddresses:
				d.tell(AddressesDeleted{VIP: "web"})
			case ReadAddresses:
				d.tell(AddressesObserved{Present: map[Address]bool{{"net1", d.v.cfg.VIPs[0].Prefixes[0]}: d.v.local["web"].up}})
			case Commit:
				later[d.ms+write] = append(later[d.ms+write], func() { commit(a) })
			}
		}
	}
	if c := d.v.etcd.claims["web"]; c.Node == "a" {
		t.Fatalf("a minute after the drain web is still here, written %d times", c.version)
	}
}
