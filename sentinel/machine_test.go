package sentinel

import (
	"slices"
	"testing"
	"time"
)

var (
	usual = Config{Interval: 50 * ms, Misses: 4, Grace: 150 * ms}
	tight = Config{Interval: 10 * ms, Misses: 3, Grace: 30 * ms}
)

func TestADeadWardIsEvicted(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     Config
		members int
		witness bool
		most    time.Duration
	}{
		"two and a gateway":    {usual, 2, true, 420 * ms},
		"three, no gateway":    {usual, 3, false, 420 * ms},
		"three and a gateway":  {usual, 3, true, 420 * ms},
		"tight, three":         {tight, 3, true, 90 * ms},
		"ten":                  {usual, 10, true, 420 * ms},
		"one miss is a lot":    {Config{50 * ms, 1, 100 * ms}, 3, true, 220 * ms},
		"many misses":          {Config{10 * ms, 20, 50 * ms}, 3, true, 290 * ms},
		"two members, tight":   {tight, 2, true, 90 * ms},
		"five, slow questions": {Config{time.Second, 2, 150 * ms}, 5, true, 3300 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, c.cfg, c.members, c.witness).settle()
			l.kill(c.members) // the last in the ring: a comes after it
			began := l.now
			for l.count("evict") == 0 && l.now-began < 10*time.Second {
				l.run(ms)
			}
			if took := l.now - began; took > c.most || took < c.cfg.Terms().Silence-c.cfg.Interval {
				t.Errorf("evicted after %v, want at most %v:\n%v", took, c.most, l.orders)
			}
			l.run(10 * time.Second)
			l.want("challenge", 1)
			l.want("evict", 1)
		})
	}
}

func TestNoWitnessNoChallenge(t *testing.T) {
	l := start(t, usual, 2, false).settle()
	l.kill(2)
	l.run(10 * time.Second)
	l.want("challenge", 0)
	if l.m.links["net1"].told.Basis {
		t.Error("a node without a witness has a basis")
	}
}

// F10.
func TestWitnessMustAnswerMeanwhile(t *testing.T) {
	l := start(t, usual, 2, true).settle()
	l.kill(2)
	l.dead[gateway.Addr] = true
	l.run(200 * ms) // before this node takes itself for cut off
	l.want("challenge", 0)
	l.run(5 * time.Second)
	l.want("challenge", 0)
	l.want("contact net1 basis true lost true", 1)
}

// F10: a router that answers for everything is not the ward.
func TestProxyIsNotTheWard(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.kill(3)
	l.drop = func(p Probe) bool {
		if p.Addr == vip(3) {
			l.later(ms, func() { l.m.Apply(Answered{Host: p.Host, MAC: MAC{254}}, l.now) })
		}
		return false
	}
	l.run(time.Second)
	l.want("evict", 1)
}

// F2.
func TestAnswerCancels(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.kill(3)
	for l.count("challenge") == 0 {
		l.run(ms)
	}
	l.run(100 * ms)
	delete(l.dead, vip(3))
	l.run(500 * ms)
	l.want("cancel", 1)
	l.want("evict", 0)
}

// F8.
func TestRefutedGuardBacksOff(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.refutes = true
	l.kill(3)
	l.run(3 * time.Minute)
	if n := l.count("challenge"); n < 5 || n > 9 {
		t.Errorf("%d challenges in three minutes of refutations, want some 7: after 1, 2, 4, 8, 16, 32, 60 s\n%v", n, l.orders)
	}
	l.want("evict", 0)
}

// F9.
func TestFreshClaimIsNotGuarded(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.kill(3)
	for range 30 {
		l.view.Claims[2].Seen = l.now
		l.observe()
		l.run(100 * ms)
	}
	l.want("challenge", 0)
}

// F9.
func TestStaleViewAccusesNobody(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.noCommit = true
	l.run(2 * time.Second)
	l.kill(3)
	l.run(5 * time.Second)
	l.want("challenge", 0)
}

// F7.
func TestOwnerWithoutMemberKeyIsGuarded(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.view.Members = l.view.Members[:2]
	l.observe()
	l.run(time.Second)
	l.want("challenge", 0)
	l.kill(3)
	l.run(time.Second)
	l.want("evict", 1)
}

// F11: where three or more share the LAN, the other guard has to agree.
func TestConsent(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.agree = false
	l.kill(3)
	l.run(1800 * ms)
	l.want("challenge", 1)
	l.want("evict", 0)
	l.run(400 * ms)
	l.want("cancel", 1)

	l = start(t, usual, 3, true).settle()
	l.kill(3)
	l.view.Challenges = []Standing{{Ward: l.view.Members[2].Ref, Mod: 700, By: l.view.Members[1].Ref, Seen: l.now}}
	l.observe()
	l.run(time.Second)
	l.want("consent c/12 to 700", 1)
	l.want("challenge", 0)
	l.want("evict", 0)
}

// F11: two of five may die together; half of the ring may not.
func TestMassSilence(t *testing.T) {
	l := start(t, usual, 5, true).settle()
	l.kill(5)
	l.kill(4)
	l.run(time.Second)
	l.want("evict", 2)

	l = start(t, usual, 5, true).settle()
	l.kill(5)
	l.kill(4)
	l.kill(3)
	l.run(3 * time.Second)
	l.want("challenge", 0)
}

// F11: one after the other waits.
func TestEvictionsAreRare(t *testing.T) {
	l := start(t, usual, 7, true).settle()
	l.kill(7)
	l.run(time.Second)
	l.want("evict", 1)
	l.kill(6)
	l.run(3 * time.Second)
	l.want("evict", 1)
	l.run(3 * time.Second)
	l.want("evict", 2)
}

func TestRefutation(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	l.view.Accused = Accused{Mod: 800, Link: "net1"}
	l.observe()
	l.run(20 * ms)
	l.want("refute 800", 1)

	l = start(t, usual, 3, true).settle()
	l.drop = func(Probe) bool { return true }
	l.view.Accused = Accused{Mod: 800, Link: "net1"}
	l.observe()
	l.run(80 * ms) // half of the grace
	l.want("refute", 0)
	l.want("contact net1 basis true lost true", 1)
}

// A process that did not run has proved nothing.
func TestStalledGuardAccusesNobody(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	for range 20 {
		l.now += 220 * ms // nothing is read or sent
		l.events = nil
		l.observe()
		l.run(2 * ms)
	}
	l.want("challenge", 0)
	l.want("contact net1 basis true lost true", 0)
}

// All wards are asked in one go: each wake-up costs more than its questions.
func TestWardsAreAskedTogether(t *testing.T) {
	l := start(t, usual, 5, true)
	l.run(2 * time.Second)
	l.view.Claims[1].Mod++ // one is looked at anew, at some odd moment
	l.now += 7 * ms
	l.observe()
	l.run(time.Second)
	at := map[time.Duration]int{}
	l.drop = func(Probe) bool { at[l.now]++; return false }
	l.run(time.Second)
	if most := int(time.Second / usual.Interval); len(at) > most {
		t.Errorf("asked at %d instants within a second, %d are enough", len(at), most)
	}
}

func TestSameInputSameOutput(t *testing.T) {
	run := func() []string {
		l := start(t, usual, 5, true).settle()
		l.kill(5)
		l.run(time.Second)
		return l.orders
	}
	first := run()
	for range 5 {
		if again := run(); !slices.Equal(first, again) {
			t.Fatalf("%v\n%v", first, again)
		}
	}
}
