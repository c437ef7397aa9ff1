package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAddressSetByHandIsReplacedNotSharedAway(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(AddressesRaised{VIP: "web", Foreign: true})
	d.want("del web") // and no release, while it is up
	d.tell(AddressesDeleted{VIP: "web"})
	d.wait(400*ms, true)
	if got := d.said(); !strings.HasPrefix(got, "raise +web\nannounce web") {
		t.Fatalf("it does not set the address again: %q", got)
	}
}

func TestAddressThatKeepsVanishingIsGivenUp(t *testing.T) {
	d := holding(t)
	for i := range fightsMost + 1 {
		d.tell(AddressChanged{Address: Address{"net1", d.v.cfg.VIPs[0].Prefixes[0]}})
		d.acts = nil
		d.tell(AddressesObserved{})
		d.wait(20*ms, true)
		if i < fightsMost {
			d.want("raise +web\nannounce web")
		}
	}
	if got := d.said(); !strings.HasPrefix(got, "commit release web") {
		t.Fatalf("after %d fights in a minute it wants %q", fightsMost+1, got)
	}
}

func TestAddressThatAMachineOutsideTheClusterHasStaysDown(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.answer()
	d.want("probe +web")
	d.tell(AddressesProbed{VIP: "web", Rival: "02:00:00:00:00:01"})
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Release && c.Writes[0].Claim.Contested {
			d.commit()
			d.wait(5*time.Second, true)
			d.want("") // it tries again later
			d.wait(6*time.Second, true)
			if w := d.acts[0].(Commit).Writes[0]; w.Kind != Take || !w.Probe {
				t.Fatalf("it wants %v", w)
			}
			return
		}
	}
	t.Fatalf("it wants %v", d.acts)
}

// A node that comes up first claims all, asks the LAN, and has given half away before the answer is there.
func TestAnswerToAProbeOfAClaimSinceGivenAway(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.answer()
	d.want("probe +web")
	b := d.member("b")
	c := claimOf("b", b[0].Create, 3)
	d.tell(d.batch(append(b, d.put("claims/web", c, 3))...))
	d.tell(AddressesProbed{VIP: "web", Rival: "02:00:00:00:00:0b"}) // its new holder
	if why := d.v.local["web"].why; why != "" {
		t.Errorf("it cannot hold the VIP: %s", why)
	}
	for _, n := range d.v.Notes() {
		if n.What == "conflict" {
			t.Errorf("it says: %s", n.Why)
		}
	}
}

func TestRivalIsAnsweredAfterACheckOrNotAtAll(t *testing.T) {
	heard := RivalHeard{Address: Address{"net1", netip.MustParsePrefix("192.0.2.100/32")}, Hardware: "02:00:00:00:00:01"}
	d := holding(t)
	d.acts = nil
	d.tell(heard)
	d.wait(20*ms, true)
	if got := d.said(); !strings.Contains(got, "announce web") {
		t.Fatalf("after a good check it wants %q, no defence", got)
	}
	d.tell(heard)
	d.wait(9*time.Second, true)
	if got := d.said(); strings.Contains(got, "announce") {
		t.Fatal("it defends more than once in ten seconds")
	}
	e := holding(t)
	e.acts = nil
	e.tell(heard)
	e.wait(110*ms, false) // no answer from etcd
	if got := e.said(); got != "del web" {
		t.Fatalf("without a check in 100 ms it wants %q", got)
	}
}

// The same in one process: an interface is renamed, and the reading of places and addresses is folded in one turn.
func TestNothingIsReleasedWhileItIsUpOnARenamedInterface(t *testing.T) {
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

func TestRemovalDoesNotWaitForTheBackOffOfARaise(t *testing.T) {
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

// IPv6 with another prefix length, for instance.
func TestAddressThatIsForeignAgainAndAgainIsTriedWithAPause(t *testing.T) {
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
