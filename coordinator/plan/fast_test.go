package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/sentinel"
)

var usualFast = sentinel.Config{Interval: 50 * ms, Misses: 4, Grace: 150 * ms}

func fastConfig(node string, vips ...string) Config {
	cfg := testConfig(node, vips...)
	cfg.Fast = usualFast
	return cfg
}

// connected is what the sentinel says of an interface on which all is well.
var connected = SentinelDecided{sentinel.Contact{Link: "net1", Basis: true}}

// fastHolder brings node a to hold web, with its terms in the claim.
func fastHolder(t *testing.T) *dialogue {
	t.Helper()
	d := start(t, fastConfig("a", "web"))
	d.register()
	d.tell(connected)
	d.wait(5100*ms, true)
	d.commit()
	d.wait(30*ms, true)
	if got := d.v.etcd.claims["web"].Fast; got != termsOf(usualFast.Terms()) {
		t.Fatalf("the claim says %+v", got)
	}
	d.said()
	return d
}

// fastTaker is node a, ready, beside b who holds web by these terms and is then evicted; the eviction names a registration.
func fastTaker(t *testing.T, cfg Config, terms, kept Terms, otherReg int64) *dialogue {
	t.Helper()
	d := start(t, cfg)
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	c.Fast = terms
	d.register(append(b, d.put("claims/web", c, 1))...)
	d.tell(connected)
	d.wait(6*time.Second, true)
	d.said()
	e := d.put("evictions/b", Eviction{V: 1, MemberRev: b[0].Create + otherReg, Kept: kept, By: "c", At: d.now().Wall, Count: 1}, 1)
	d.tell(BatchSeen{Revision: d.rev, Changed: []Entry{e}, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	return d
}

var kept = termsOf(usualFast.Terms())

func TestTakesOverAtOnceFromWhoWasEvicted(t *testing.T) {
	d := fastTaker(t, fastConfig("a", "web"), kept, kept, 0)
	d.want("probe +web")
	d.tell(AddressesProbed{VIP: "web", Quick: true})
	if got := d.said2(); !strings.Contains(got, "commit take web") {
		t.Fatalf("after silence it wants %q", got)
	}
	d.commit()
	d.wait(20*ms, true)
	d.want("raise +web\nannounce web")
}

// An operator sees who is missing, and can have it forgotten.
func TestEvictedNodeIsShownAsGone(t *testing.T) {
	d := fastTaker(t, fastConfig("a", "web"), kept, kept, 0)
	if m := d.v.Members(); len(m) != 2 || m[1].Node != "b" || m[1].State != "gone" || !strings.HasPrefix(m[1].Why, "evicted by c") || m[1].Since.IsZero() {
		t.Errorf("the members are %+v", m)
	}
	if left := d.v.LeftOfNode("b"); left.InUse != "" || !slices.Contains(left.Keys, "evictions/b") {
		t.Errorf("b has left %+v", left)
	}
}

// F5: somebody answers, or nothing can be said.
func TestAnswerToTheQuickProbeMeansW(t *testing.T) {
	for name, f := range map[string]AddressesProbed{
		"somebody": {VIP: "web", Quick: true, Rival: "02:00:00:00:00:09"},
		"nothing":  {VIP: "web", Quick: true, Err: errForeign},
	} {
		t.Run(name, func(t *testing.T) {
			d := fastTaker(t, fastConfig("a", "web"), kept, kept, 0)
			d.want("probe +web")
			d.tell(f)
			d.wait(4600*ms, true)
			d.want("")
			d.wait(20*ms, true)
			if got := d.said(); !strings.Contains(got, "commit take web") {
				t.Fatalf("after W it wants %q", got)
			}
		})
	}
}

func TestEvictionThatIsNoEvidence(t *testing.T) {
	short := Terms{GraceMS: 30, SilenceMS: 60}
	for name, d := range map[string]*dialogue{
		"of another registration":                     fastTaker(t, fastConfig("a", "web"), kept, kept, 1), // F3
		"on shorter terms":                            fastTaker(t, fastConfig("a", "web"), kept, short, 0),
		"of one that took no part":                    fastTaker(t, fastConfig("a", "web"), Terms{}, kept, 0),
		"for a node in strict mode":                   fastTaker(t, testConfig("a", "web"), kept, kept, 0),
		"of one whose terms ask for no shorter grace": fastTaker(t, fastConfig("a", "web"), Terms{GraceMS: 200, SilenceMS: 350}, kept, 0),
	} {
		d.t = t
		d.wait(4500*ms, true)
		if got := d.said(); got != "" {
			t.Errorf("%s: before W it wants %q", name, got)
		}
	}
}

// challenged tells the node of a challenge against it, in the next check or by the watch.
func (d *dialogue) challenged() Entry {
	return d.put("challenges/a", Challenge{V: 1, MemberRev: d.v.self.reg.MemberRev, VIP: "web", ClaimMod: d.v.etcd.claims["web"].mod, By: "b", ByRev: 5}, 1)
}

func (d *dialogue) check(challenge, eviction *Entry, memberRev int64) CheckAnswered {
	v := d.v
	return CheckAnswered{
		T0: d.now().Boot, Cluster: 1, Since: v.etcd.rev, Keys: v.etcd.oldKeys(v.etcd.rev), Revision: d.rev, MemberRev: memberRev, Member: d.memberValue(),
		Changed: d.changed(v.etcd.rev), Count: v.etcd.oldKeys(v.etcd.rev) + d.born(v.etcd.rev), Challenge: challenge, Eviction: eviction,
	}
}

// F1.
func TestChallengedNodeGainsNoAuthority(t *testing.T) {
	d := fastHolder(t)
	before := d.v.Authority()
	c := d.challenged()
	d.ms += 50
	d.tell(d.check(&c, nil, d.v.self.reg.MemberRev))
	if d.v.Authority() != before {
		t.Error("a check that saw a challenge gave authority")
	}
	d.tell(SentinelDecided{sentinel.Refute{Mod: c.Mod}})
	d.want("refute a")
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"challenges/a", d.rev}}}, d.check(nil, nil, d.v.self.reg.MemberRev))
	if d.v.Authority() == before {
		t.Error("a check after the refutation gave none")
	}
}

// F1: what is not up cannot be vouched for.
func TestChallengedVIPThatIsDownIsReleased(t *testing.T) {
	d := fastHolder(t)
	c := d.challenged()
	d.tell(d.batch(c), AddressesObserved{}) // its address is gone
	d.tell(SentinelDecided{sentinel.Refute{Mod: c.Mod}})
	if got := d.said(); !strings.Contains(got, "release web") || strings.Contains(got, "refute") || strings.Contains(got, "raise") {
		t.Fatalf("it wants %q", got)
	}
}

// F1: an address is added on a check younger than half of the grace, and refreshed on any that counts.
func TestAddingNeedsAYoungCheck(t *testing.T) {
	d := fastHolder(t)
	d.wait(400*ms, true)
	d.said()
	until, ok := d.v.mayShow("web", d.now().Boot)
	if want := d.v.self.good.t0 + 300*ms; !ok || until != want {
		t.Errorf("a refresh may be made until %v, %t, want %v", until, ok, want)
	}
	d.v.local["web"].up = false
	until, _ = d.v.mayShow("web", d.v.self.good.t0)
	if want := d.v.self.good.t0 + 75*ms; until != want {
		t.Errorf("an address may be added until %v, want %v", until, want)
	}
}

// F4, for who finds addresses up and cannot read etcd: what the process before promised in its claims still holds.
func TestNewProcessKeepsWhatTheOldOnePromised(t *testing.T) {
	cfg := fastConfig("a", "web")
	up := AddressesObserved{Present: map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true}}
	memory := fastHolder(t).v.Remember()
	if !slices.Equal(memory.Fast, []string{"net1"}) {
		t.Fatalf("the next process is told that %v was promised", memory.Fast)
	}
	d := start(t, cfg)
	d.tell(memory, placesOf(cfg), up)
	d.said()
	if own := d.v.Watched().Own; !slices.Equal(own, []sentinel.Own{{Link: "net1", Fast: true, Held: true}}) {
		t.Errorf("the sentinel is to look after %+v", own)
	}
	d.tell(SentinelDecided{sentinel.Contact{Link: "net1", Lost: true}})
	d.want("del web")

	memory.Fast = nil
	d = start(t, cfg)
	d.tell(memory, placesOf(cfg), up)
	if own := d.v.Watched().Own; len(own) > 0 {
		t.Errorf("nothing was promised, and the sentinel is to look after %+v", own)
	}
}

// F4.
func TestNodeThatIsCutOffTakesItsVIPsDown(t *testing.T) {
	d := fastHolder(t)
	d.tell(SentinelDecided{sentinel.Contact{Link: "net1", Basis: true, Lost: true}})
	d.want("del web")
	d.tell(AddressesDeleted{VIP: "web"})
	if got := d.said2(); !strings.Contains(got, "release web") {
		t.Fatalf("then it wants %q", got)
	}
	d.commit()
	d.said()
	d.wait(time.Second, true)
	d.want("") // nor does it take it again
	d.tell(connected)
	d.wait(50*ms, true)
	if got := d.said2(); !strings.Contains(got, "take web") {
		t.Fatalf("in contact again, it wants %q", got)
	}
}

// A node that was evicted takes down what that registration held before anything else, however it learns of it.
func TestEvictedNodeWithdraws(t *testing.T) {
	for _, byCheck := range []bool{true, false} {
		d := fastHolder(t)
		e := d.put("evictions/a", Eviction{V: 1, MemberRev: d.v.self.reg.MemberRev, Kept: kept, By: "b", At: d.now().Wall, Count: 1}, 1)
		if byCheck {
			d.tell(d.check(nil, &e, 0))
		} else {
			d.tell(BatchSeen{Revision: d.rev, Changed: []Entry{e}, Deleted: []Deleted{{"members/a", d.rev}, {"states/a", d.rev}}})
		}
		if got := d.said(); !strings.HasPrefix(got, "del web") {
			t.Errorf("by check %t: it wants %q", byCheck, got)
		}
		if state, _, until := d.v.readiness(d.now().Boot); state != StateJoining || until-d.now().Boot != 10*time.Second { // F12: twice mature
			t.Errorf("it is %s for %v", state, until-d.now().Boot)
		}
	}
}

// A lease that is lost is no eviction: nothing moves.
func TestLostLeaseIsNoEviction(t *testing.T) {
	d := fastHolder(t)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/a", d.rev}, {"states/a", d.rev}}})
	if got := d.said(); strings.Contains(got, "del") {
		t.Errorf("it wants %q", got)
	}
}

// Without a witness there are no terms; when it goes, they go.
func TestTermsFollowTheWitness(t *testing.T) {
	d := fastHolder(t)
	d.tell(SentinelDecided{sentinel.Contact{Link: "net1"}})
	d.want("commit re-stamp web if 13")
	d = fastHolder(t)
	d.v.cfg.Fast = sentinel.Config{} // the next process is in strict mode
	if _, ok := d.v.mayShow("web", d.v.self.good.t0); ok {
		t.Error("a node in strict mode shows a VIP whose claim promises more")
	}
}

// What the sentinel wants is guarded by what it saw.
func TestContestsNameWhatWasSeen(t *testing.T) {
	d := start(t, fastConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	c.Fast = kept
	st := State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, Fast: true}
	d.register(append(b[:1], d.put("states/b", st, 1), d.put("claims/web", c, 1))...)
	d.tell(connected)
	d.wait(6*time.Second, true)
	d.said()
	ward := sentinel.Ref{Node: "b", Rev: b[0].Create}
	mod := d.v.etcd.claims["web"].mod
	d.tell(SentinelDecided{sentinel.Challenge{Ward: ward, VIP: "web", Mod: mod - 1}})
	d.want("") // the claim has changed since
	d.tell(SentinelDecided{sentinel.Challenge{Ward: ward, VIP: "web", Mod: mod}})
	contest := d.acts[len(d.acts)-1].(Contest)
	d.want("challenge b")
	if want := []Guard{{Key: "challenges/b"}, {Key: "claims/web", Rev: mod}, {Key: "members/b", Created: true, Rev: ward.Rev}}; len(contest.Guards) != 3 || contest.Guards[1] != want[1] || contest.Guards[0] != want[0] || contest.Guards[2] != want[2] {
		t.Errorf("its guards are %+v", contest.Guards)
	}
	d.rev++
	d.ms += 5
	stands := Entry{Key: "challenges/b", Value: contest.Puts[0].Value, Create: d.rev, Mod: d.rev, Version: 1}
	d.tell(ContestAnswered{Contest: contest, Applied: true}, d.batch(stands))
	if w := d.v.Watched(); len(w.Challenges) != 1 || w.Challenges[0].Read {
		t.Fatalf("the sentinel sees %+v", w.Challenges)
	}
	d.wait(20*ms, true) // a quick read of etcd follows at once
	if w := d.v.Watched(); !w.Challenges[0].Read {
		t.Error("etcd was not read")
	}
	d.said()
	d.tell(SentinelDecided{sentinel.Evict{Ward: ward, Mod: stands.Mod, Terms: usualFast.Terms()}})
	contest = d.acts[len(d.acts)-1].(Contest)
	d.want("evict b")
	if contest.Guards[0] != (Guard{Key: "challenges/b", Rev: stands.Mod}) || len(contest.Deletes) != 3 {
		t.Errorf("%+v", contest)
	}
}

// A VIP that was moved here says nothing of fast takeover yet. Its address comes first: the write would ask for another check.
func TestTermsFollowTheAddress(t *testing.T) {
	d := start(t, fastConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 2)
	c.To = "a"
	drain := d.put("drains/b", Intent{V: 1}, 1)
	d.register(append(b, drain, d.put("claims/web", c, 2))...)
	d.tell(connected)
	d.wait(5100*ms, true)
	d.commit() // accept
	d.wait(30*ms, true)
	d.said()
	known := d.v.etcd.claims["web"]
	c = known.Claim
	c.Node, c.Reg, c.MemberRev, c.To, c.Accept, c.Writes = "a", d.v.self.reg.ID, d.v.self.reg.MemberRev, "", 0, known.version+1
	e := d.put("claims/web", c, c.Writes)
	e.Create = known.create
	d.tell(d.batch(e))
	d.answer() // the check
	d.want("raise +web")
	d.tell(AddressesRaised{VIP: "web", T0: d.v.self.good.t0})
	if got := d.said(); !strings.HasPrefix(got, "announce web\ncommit re-stamp web") {
		t.Errorf("then it wants %q, not to announce and to write its terms", got)
	}
}
