package plan

import (
	"strings"
	"testing"
	"time"
)

func TestNewProcessKeepsButDoesNotRefreshBeforeItHasWritten(t *testing.T) { // S3, A9
	cfg := testConfig("a", "web")
	d := &dialogue{t: t, ms: 10_000, rev: 20}
	d.v = New(cfg, d.now())
	reg := Registration{"a-1", 11, 77, 3 * time.Second}
	d.tell(Remembered{Last: reg, Known: []string{"a-1"}}, placesOf(cfg), AddressesObserved{Present: map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true}})
	d.want("")
	c := claimOf("a", 11, 1)
	d.tell(SnapshotRead{Cluster: 1, Revision: 20, Entries: []Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: "a-1"}), Create: 11, Mod: 11, Version: 1},
		{Key: "states/a", Value: Encode(State{V: 1, State: StateReady, Digest: d.v.digest, Planner: Planner}), Create: 11, Mod: 11, Version: 1},
		{Key: "claims/web", Value: Encode(c), Create: 12, Mod: 12, Version: 1},
	}})
	d.answer()
	d.want("commit re-stamp web if 12")
	d.acts = []Action{Commit{Writes: d.inFlight(Restamp, "")}}
	d.commit()
	d.want("raise web") // a refresh, not an add
	d.tell(AddressesRaised{VIP: "web", T0: d.v.self.good.t0})
	d.want("announce web (kept)")
}

func TestNewProcessGivesNothingAwayBeforeItHasLookedAtTheKernel(t *testing.T) {
	cfg := testConfig("a", "web")
	d := &dialogue{t: t, ms: 10_000, rev: 20}
	d.v = New(cfg, d.now())
	d.tell(Remembered{Last: Registration{"a-1", 11, 77, 3 * time.Second}, Known: []string{"a-1"}})
	d.tell(SnapshotRead{Cluster: 1, Revision: 20, Entries: []Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: "a-1"}), Create: 11, Mod: 11, Version: 1},
		{Key: "claims/web", Value: Encode(claimOf("a", 11, 1)), Create: 12, Mod: 12, Version: 1},
	}})
	d.v.Apply(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: 20, Keys: 1, Revision: 20, MemberRev: 11, Member: Encode(Member{V: 1, Reg: "a-1"}), Count: 1}, d.now())
	d.tell()
	d.want("") // its interface is not known yet, but its address may well be up
}

// dev was changed to an interface that is not there, and the address is still up on eth0.
func TestNothingIsReleasedWhileItIsUpOnAFormerInterface(t *testing.T) {
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

// A reload has made hold shorter.
func TestClaimKeepsTheLongerWaitWhileTheLongerLifetimeRuns(t *testing.T) {
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
