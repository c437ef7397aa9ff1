package plan

import (
	"strings"
	"testing"
	"time"

	"viplease/sentinel"
)

// unaskedHolder holds web, and its guards ask it no more.
func unaskedHolder(t *testing.T) *dialogue {
	d := fastHolder(t)
	d.wait(500*ms, true)
	d.said()
	d.tell(SentinelDecided{sentinel.Contact{Link: "net1", Basis: true, Unasked: true}})
	return d
}

// F4: a node that its guards ask no more checks often, and keeps what it shows as long as each check is followed by a good one within the grace.
func TestUnaskedNodeLivesOnItsChecks(t *testing.T) {
	d := unaskedHolder(t)
	began := d.now().Boot
	checks := 0
	for range 100 {
		d.ms += 10
		d.tell()
		for _, a := range d.acts {
			switch a.(type) {
			case Check:
				checks++
			case DelAddresses:
				t.Fatalf("%v after its guards stopped asking it takes the address down, and etcd answers", d.now().Boot-began)
			}
		}
		d.answer()
	}
	if checks < 10 || checks > 25 {
		t.Errorf("%d checks in a second, want one in 50 ms", checks)
	}
	d.tell(connected)
	d.wait(150*ms, true)
	if until, want := d.v.keepUntil(d.v.local["web"]), d.v.local["web"].t0+d.v.cfg.Hold; until != want {
		t.Errorf("asked again, it keeps the address until %v, want %v", until, want)
	}
}

// F4: without an answer it takes its VIPs down before the guards can have evicted it: when it counts as cut off, or a grace after its last good check.
func TestUnaskedNodeThatEtcdDoesNotAnswerWithdraws(t *testing.T) {
	for _, answered := range []time.Duration{0, 80 * ms} {
		d := unaskedHolder(t)
		began := d.now().Boot
		d.wait(answered, true)
		want := max(began+usualFast.Unasked(), d.v.self.good.t0+usualFast.Grace)
		for d.now().Boot+10*ms < want {
			d.wait(10*ms, false)
		}
		if got := d.said(); strings.Contains(got, "del") {
			t.Fatalf("%v after the last answer it already wants %q", d.now().Boot-began, got)
		}
		d.wait(20*ms, false)
		if got := d.said(); !strings.Contains(got, "del web") {
			t.Fatalf("answered for %v, at %v it wants %q", answered, d.now().Boot-began, got)
		}
	}
}

// F2: who consented and hears the ward again takes the consent back, and the eviction that rests on it fails.
func TestConsentIsTakenBack(t *testing.T) {
	d := start(t, fastConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	c.Fast = kept
	d.register(append(b, d.put("claims/web", c, 1))...)
	d.wait(6*time.Second, true)
	challenge := d.put("challenges/b", Challenge{V: 1, MemberRev: b[0].Create, VIP: "web", ClaimMod: d.v.etcd.claims["web"].mod, By: "c", ByRev: 7}, 1)
	d.tell(d.batch(challenge))
	d.said()
	ward := sentinel.Ref{Node: "b", Rev: b[0].Create}
	d.tell(SentinelDecided{sentinel.Dissent{Ward: ward, Mod: challenge.Mod}})
	d.want("") // it has not consented
	consent := d.put("challenges/b/a", Challenge{V: 1, MemberRev: b[0].Create, By: "a", ByRev: d.v.self.reg.MemberRev}, 1)
	d.tell(d.batch(consent), SentinelDecided{sentinel.Dissent{Ward: ward, Mod: challenge.Mod}})
	contest := d.acts[len(d.acts)-1].(Contest)
	d.want("dissent b")
	if want := (Guard{Key: "challenges/b/a", Rev: consent.Mod}); len(contest.Guards) != 1 || contest.Guards[0] != want || len(contest.Deletes) != 1 || contest.Deletes[0] != want.Key {
		t.Errorf("%+v", contest)
	}
}

// A challenge that such a node sees it refutes, with what it shows up: no eviction commits within a grace after its last good check.
func TestUnaskedNodeThatIsChallengedHasAGraceToRefute(t *testing.T) {
	d := unaskedHolder(t)
	d.wait(300*ms, true)
	d.said()
	c := d.challenged()
	d.tell(d.batch(c), SentinelDecided{sentinel.Refute{Mod: c.Mod}})
	if got := d.said(); !strings.Contains(got, "refute a") || strings.Contains(got, "del") {
		t.Errorf("challenged, it wants %q", got)
	}
	until, _ := d.v.unasked(d.v.local["web"])
	if want := d.v.self.good.t0 + usualFast.Grace; until != want {
		t.Errorf("it keeps the address until %v, want %v", until, want)
	}
}
