package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// reborn is a new process of node a, which adopts registration a-1 (create revision 11) and finds these entries and addresses.
func reborn(t *testing.T, cfg Config, places map[string]Place, present map[Address]bool, entries ...Entry) *dialogue {
	t.Helper()
	d := &dialogue{t: t, ms: 10_000, rev: 100}
	d.v = New(cfg, d.now())
	d.tell(Remembered{Last: Registration{"a-1", 11, 77, 3 * time.Second}, Known: []string{"a-1"}}, PlacesObserved{places}, AddressesObserved{Present: present})
	all := append([]Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: "a-1"}), Create: 11, Mod: 11, Version: 1},
		{Key: "states/a", Value: Encode(State{V: 1, State: StateReady, Weight: 1, Digest: "old", Planner: Planner, WaitMS: 4610}), Create: 11, Mod: 11, Version: 1},
	}, entries...)
	d.tell(SnapshotRead{Cluster: 1, Revision: 100, Entries: all})
	return d
}

func claimWith(vip, node string, memberRev, writes int64, addrs ...string) Claim {
	c := claimOf(node, memberRev, writes)
	c.VIP, c.Addresses = vip, addrs
	return c
}

// play answers everything at once and successfully, and returns what was done, routine left out.
func (d *dialogue) play(dur time.Duration) (said []string) {
	for end := d.ms + int(dur/ms); d.ms < end; d.ms += 10 {
		d.tell()
		for len(d.acts) > 0 {
			a := d.acts[0]
			d.acts = d.acts[1:]
			switch a := a.(type) {
			case Check:
				d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: max(d.rev, a.Since), MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Changed: d.changed(a.Since), Count: a.Keys + d.born(a.Since)})
				continue
			case Renew:
				d.tell(Renewed{d.v.self.reg.Lease, 3 * time.Second})
				continue
			case WriteState:
				d.tell(StateWritten{a.State})
			case WriteLayout:
				d.tell(LayoutWritten{})
				continue
			case ReadAddresses:
				present := map[Address]bool{}
				for _, l := range d.v.local {
					if l.up {
						for _, addr := range l.set {
							present[addr] = true
						}
					}
				}
				d.tell(AddressesObserved{Present: present})
				continue
			case ProbeAddresses:
				for _, it := range a.Items {
					d.tell(AddressesProbed{VIP: it.VIP})
				}
			case RaiseAddresses:
				for _, it := range a.Items {
					d.tell(AddressesRaised{VIP: it.VIP, T0: a.T0})
				}
				if !a.Items[0].Fresh {
					continue
				}
			case DelAddresses:
				for _, it := range a.Items {
					d.tell(AddressesDeleted{VIP: it.VIP})
				}
			case Commit:
				rest := d.acts
				d.acts = []Action{a}
				d.commit()
				d.acts = append(rest, d.acts...)
				d.tell(BatchSeen{Revision: d.rev}) // the view is up to date
			}
			said = append(said, fmt.Sprint(d.ms, ": ", a))
		}
	}
	return said
}

func (d *dialogue) born(since int64) (n int64) {
	for _, c := range d.v.etcd.claims {
		if !c.absent && c.create > since {
			n++
		}
	}
	return n
}

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// dev changed to an interface that is not there (or the place cannot be resolved): released while the address is up on eth0.
func TestReleasedWhileUpOnTheFormerInterface(t *testing.T) {
	cfg := testConfig("a", "web")
	here := Address{"eth0", cfg.VIPs[0].Prefixes[0]}
	d := reborn(t, cfg, map[string]Place{"web": {Why: "this host has no interface eth9"}}, map[Address]bool{here: true},
		Entry{Key: "claims/web", Value: Encode(claimOf("a", 11, 3)), Create: 9, Mod: 12, Version: 3})
	said := d.play(500 * ms)
	t.Log(strings.Join(said, "; "))
	deleted := false
	for _, s := range said {
		deleted = deleted || strings.Contains(s, "del web")
		if strings.Contains(s, "commit release web") && !deleted {
			t.Fatalf("released while %v is up and was never deleted", here)
		}
	}
}

// the same in one process: an interface is renamed, and the reading of places and addresses is folded in one turn.
func TestReleasedWhileUpOnARenamedInterface(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(PlacesObserved{map[string]Place{"web": {Why: "this host has no interface net1"}}},
		AddressesObserved{Present: map[Address]bool{{"lan1", d.v.cfg.VIPs[0].Prefixes[0]}: true}})
	said := d.play(100 * ms)
	t.Log(strings.Join(said, "; "))
	deleted := false
	for _, s := range said {
		deleted = deleted || strings.Contains(s, "del web")
		if strings.Contains(s, "commit release web") && !deleted {
			t.Fatal("released while the address is up on lan1")
		}
	}
}

// two units are merged (or names change their addresses): a reload raises what another node holds by another name.
func TestReloadRaisesAnAddressThatAnotherNodeHolds(t *testing.T) {
	cfg := testConfig("a", "web")
	cfg.VIPs[0].Prefixes = append(cfg.VIPs[0].Prefixes, pfx("192.0.2.101/32")) // was dns, which b holds and still configures
	places := map[string]Place{"web": {Addresses: []Address{{"net1", cfg.VIPs[0].Prefixes[0]}, {"net1", cfg.VIPs[0].Prefixes[1]}}}}
	old := Layout{V: 1, VIPs: []LayoutVIP{{Name: "web", Addresses: []string{"192.0.2.100/32"}}, {Name: "dns", Addresses: []string{"192.0.2.101/32"}}}}
	d := reborn(t, cfg, places, map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true},
		Entry{Key: "members/b", Value: Encode(Member{V: 1, Reg: "b-1"}), Create: 13, Mod: 13, Version: 1},
		Entry{Key: "states/b", Value: Encode(State{V: 1, State: StateReady, Weight: 1, Digest: "old", Planner: Planner, WaitMS: 4610}), Create: 13, Mod: 13, Version: 1},
		Entry{Key: "configs/old", Value: Encode(old), Create: 8, Mod: 8, Version: 1},
		Entry{Key: "claims/web", Value: Encode(claimWith("web", "a", 11, 3, "192.0.2.100/32")), Create: 9, Mod: 12, Version: 3},
		Entry{Key: "claims/dns", Value: Encode(claimWith("dns", "b", 13, 3, "192.0.2.101/32")), Create: 10, Mod: 14, Version: 3})
	said := d.play(500 * ms)
	t.Log(strings.Join(said, "; "))
	if d.v.local["web"].up {
		t.Fatalf("192.0.2.101 is up here, while b holds it as dns: %v", d.v.local["web"].set)
	}
}

// a target accepts a VIP by whose name it means other addresses.
func TestAcceptsANameThatMeansOtherAddresses(t *testing.T) {
	cfg := testConfig("a", "web")
	cfg.VIPs[0].Prefixes[0] = pfx("192.0.2.200/32")
	d := start(t, cfg)
	b := d.member("b")
	offer := claimOf("b", b[0].Create, 2) // 192.0.2.100
	offer.To = "a"
	d.register(append(b, d.put("claims/web", offer, 2))...)
	d.wait(5100*ms, true)
	if s := d.said(); strings.Contains(s, "accept") {
		t.Fatalf("it wants %s", s)
	}
}

// a VIP that has left the configuration: its claim is never released.
func TestClaimOfAVIPThatLeftTheConfigurationIsReleased(t *testing.T) {
	cfg := testConfig("a", "web")
	cfg.Former = []Address{{"net1", pfx("192.0.2.150/32")}}
	d := reborn(t, cfg, placesOf(cfg).Places, map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true, cfg.Former[0]: true},
		Entry{Key: "claims/web", Value: Encode(claimOf("a", 11, 3)), Create: 9, Mod: 12, Version: 3},
		Entry{Key: "claims/dns", Value: Encode(claimWith("dns", "a", 11, 3, "192.0.2.150/32")), Create: 10, Mod: 14, Version: 3})
	said := d.play(60 * time.Second)
	t.Log(strings.Join(said, "; "))
	if c := d.v.etcd.claims["dns"]; c.Node == "a" {
		t.Fatal("after a minute the claim of dns still names this node, which does not configure it")
	}
}

// a VIP is renamed in all files: its address is never up again.
func TestRenamedVIPIsUpAgain(t *testing.T) {
	cfg := testConfig("a", "www") // 192.0.2.100, formerly web
	d := reborn(t, cfg, placesOf(cfg).Places, map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true},
		Entry{Key: "claims/web", Value: Encode(claimOf("a", 11, 3)), Create: 9, Mod: 12, Version: 3})
	said := d.play(5 * time.Minute)
	t.Log(strings.Join(said, "; "))
	if !d.v.local["www"].up {
		t.Fatalf("five minutes later www is down: %s", d.v.rivalName("www", d.now().Boot))
	}
}

// hold made shorter by a reload: the claim promises the shorter wait while the old lifetime still runs.
func TestClaimPromisesAShorterWaitWhileTheLongLifetimeRuns(t *testing.T) {
	cfg := testConfig("a", "web") // hold 3 s, W 4.61 s; the process before had 30 s and 31.7 s
	c := claimOf("a", 11, 3)
	c.WaitMS = 31660
	d := reborn(t, cfg, placesOf(cfg).Places, map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true},
		Entry{Key: "claims/web", Value: Encode(c), Create: 9, Mod: 12, Version: 3})
	d.answer()
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Claim.WaitMS < 31660 {
			t.Fatalf("%v with wait_ms %d, before the address has been refreshed: killed now, it is up for 31 s, and others wait 4.6 s", c, c.Writes[0].Claim.WaitMS)
		}
	}
}

// a late answer to the lease of an earlier registration ends the one that stands.
func TestLateAnswerAboutAnEarlierRegistration(t *testing.T) {
	for name, late := range map[string]Fact{
		"renewal": RenewFailed{Gone: true},
		"commit":  ClaimsCommitted{Writes: []ClaimWrite{{VIP: "web", Kind: Restamp}}, Revision: 99, Member: false},
	} {
		t.Run(name, func(t *testing.T) {
			d := holding(t)
			d.rev++
			d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/a", d.rev}, {"states/a", d.rev}}})
			d.wait(600*ms, false)
			d.acts = nil
			d.rev++
			d.tell(Registered{Registration{"a-2", d.rev, 78, 3 * time.Second}, d.rev, State{V: 1, State: StateReady, Digest: d.v.digest, Planner: Planner}})
			d.acts = nil
			d.tell(late)
			if d.v.self.phase != registered {
				t.Fatalf("registration a-2, which stands, was given up: %v", d.acts)
			}
		})
	}
}

// an address that cannot be deleted is tried without a pause.
func TestFailedDeleteIsRetriedWithAPause(t *testing.T) {
	d := holding(t)
	d.acts = nil
	b := d.member("b")
	e := d.put("claims/web", claimOf("b", b[0].Create, d.v.etcd.claims["web"].version+1), d.v.etcd.claims["web"].version+1)
	d.tell(d.batch(append(b, e)...))
	n := 0
	for range 100 { // no time passes
		acts := d.acts
		d.acts = nil
		for _, a := range acts {
			if _, ok := a.(DelAddresses); ok {
				n++
				d.tell(AddressesDeleted{VIP: "web", Err: fmt.Errorf("EBUSY")})
			}
		}
	}
	if n > 2 {
		t.Fatalf("%d deletions in no time", n)
	}
}

// and one that was not raised before is deleted only after the back-off of the raise.
func TestRemovalWaitsForTheBackOffOfARaise(t *testing.T) {
	d := holding(t)
	d.acts = nil
	for range 5 {
		d.tell(AddressesRaised{VIP: "web", Err: fmt.Errorf("ENOBUFS"), Left: true})
	}
	d.acts = nil
	b := d.member("b")
	e := d.put("claims/web", claimOf("b", b[0].Create, d.v.etcd.claims["web"].version+1), d.v.etcd.claims["web"].version+1)
	d.tell(d.batch(append(b, e)...))
	d.wait(2*time.Second, false)
	for _, a := range d.acts {
		if _, ok := a.(DelAddresses); ok {
			return
		}
	}
	t.Fatal("the claim names b; an address that may be up here is not deleted for 2 s")
}

// IPv6 with another prefix length, or anything that is foreign again.
func TestForeignAgainAndAgain(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(AddressesRaised{VIP: "web", Foreign: true})
	n := 0
	for range 200 {
		acts := d.acts
		d.acts = nil
		for _, a := range acts {
			switch a.(type) {
			case RaiseAddresses:
				n++
				d.tell(AddressesRaised{VIP: "web", Foreign: true})
			case DelAddresses:
				d.tell(AddressesDeleted{VIP: "web"})
			}
		}
	}
	if n > 2 {
		t.Fatalf("raised %d times in no time", n)
	}
}

// a lost write is repeated without a pause while the watch lags.
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

// an offer that takes etcd 300 ms to write is taken back before the target can have seen it.
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

// the kernel lane hangs: the node renews and keeps its claims for ever.
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

// restarted while etcd is restored: nothing tells the new process that the store went back.
func TestRestartDuringARestore(t *testing.T) {
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
