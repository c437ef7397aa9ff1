package plan

import (
	"strings"
	"testing"
	"time"
)

func TestAddressUnderTwoNamesIsTakenUnderNeither(t *testing.T) {
	d := start(t, testConfig("a", "www")) // 192.0.2.100; b still calls it web, and does not hold it
	b := d.member("b")
	old := Layout{V: 1, VIPs: []LayoutVIP{{Name: "web", Addresses: []string{"192.0.2.100/32"}}}}
	b[1] = d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: "old", Planner: Planner}, 1)
	d.register(append(b, d.put("configs/old", old, 1))...)
	d.wait(6*time.Second, true)
	d.want("")
	d.tell(d.batch(d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, Cannot: []string{"www"}}, 2)))
	d.wait(20*ms, true)
	d.want("commit take www if 16")
}

func TestAddressClaimedUnderAnotherNameIsNotTaken(t *testing.T) {
	d := start(t, testConfig("a", "www"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	d.register(append(b[:1], d.put("claims/web", c, 1))...)
	d.wait(6*time.Second, true)
	d.want("")
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}}})
	d.wantAfterW("commit take www if 15")
}

// Two units are merged, or names exchange their addresses.
func TestReloadRaisesNothingThatAnotherNodeHoldsByAnotherName(t *testing.T) {
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

func TestNameThatMeansOtherAddressesIsNotAccepted(t *testing.T) {
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

// A VIP is renamed in all files.
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
