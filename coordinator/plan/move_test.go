package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestUnansweredTransferLeavesDoubt(t *testing.T) { // S2
	d := holding(t)
	c := d.v.etcd.claims["web"]
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	d.want(fmt.Sprintf("commit offer web if %d, b/%d here", c.mod, b[0].Create))
	d.acts = []Action{Commit{Writes: d.inFlight(Offer, "b")}}
	d.commit()
	accepted := d.v.etcd.claims["web"].Claim
	accepted.Accept, accepted.Writes = b[0].Create, accepted.Writes+1
	e := d.put("claims/web", accepted, accepted.Writes)
	e.Create = c.create
	d.tell(d.batch(e))
	d.want("del web")
	d.tell(AddressesDeleted{VIP: "web"})
	d.want(fmt.Sprintf("commit transfer web if %d, b/%d here", e.Mod, b[0].Create))
	d.tell(ClaimsFailed{Writes: []ClaimWrite{{VIP: "web", Kind: Transfer}}, InDoubt: true})
	d.wait(300*ms, true)
	d.want(fmt.Sprintf("commit re-stamp web if %d", e.Mod)) // not: raise
}

func TestAcceptsOnlyWhatItCouldRaiseAtOnce(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	d.register(append(b, d.put("claims/web", c, 1))...)
	d.wait(2*time.Second, true)
	offer := c
	offer.To, offer.Writes = "a", 2
	e := d.put("claims/web", offer, 2)
	d.tell(d.batch(e))
	d.wait(500*ms, true)
	d.want("") // joining
	d.wait(3*time.Second, true)
	d.want(fmt.Sprintf("commit accept web if %d", e.Mod))
}

func TestTargetWithALongerHoldAsksForItsOwnWaitWhenItAccepts(t *testing.T) { // S10
	cfg := testConfig("a", "web")
	cfg.Wait = 9 * time.Second
	d := start(t, cfg)
	b := d.member("b")
	offer := claimOf("b", b[0].Create, 1)
	offer.To = "a"
	d.register(append(b, d.put("claims/web", offer, 1))...)
	d.wait(5100*ms, true)
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Accept && c.Writes[0].Claim.WaitMS == 9000 {
			return
		}
	}
	t.Fatalf("it wants %v", d.acts)
}

// An offer that takes etcd 300 ms to write would be taken back before the target can have seen it.
func TestOfferTimeCountsFromItsCommit(t *testing.T) {
	d := holding(t)
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	if s := fmt.Sprint(d.acts); !strings.Contains(s, "offer web") {
		t.Fatal(s)
	}
	var offer Commit
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			offer = c
		}
	}
	d.acts = nil
	d.wait(310*ms, true)
	d.acts = []Action{offer}
	d.commit()
	d.want("")
}

// etcd takes 160 ms for a write.
func TestDrainSucceedsThoughWritesAreSlow(t *testing.T) {
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
