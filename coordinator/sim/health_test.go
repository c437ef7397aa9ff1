package sim

import (
	"testing"
	"time"
)

// TestChecks is TestOneHolder where health checks fail as well, one after the other and all at once: all settles when they pass again.
func TestChecks(t *testing.T) {
	holds(t, 600, 100, sick)
}

// sick is a random schedule with failing checks.
func sick(seed uint64) Schedule {
	d := newDice(seed, 11)
	s := Random(seed + 1)
	s.Checks = optional + checking(d.n(2))
	for range 1 + d.n(2*s.Nodes) {
		at := d.upTo(3 * s.wait())
		s.Faults = append(s.Faults, Fault{At: at.Truncate(time.Millisecond), For: d.upTo(s.wait()).Truncate(time.Millisecond), Kind: Sick, Node: d.n(s.Nodes)})
	}
	return s
}

// TestNothingMovesWhenNoNodePasses: an optional check that fails everywhere, one node after the other, leaves every VIP up, and where it was in the end.
func TestNothingMovesWhenNoNodePasses(t *testing.T) {
	for seed := range uint64(50) {
		d := newDice(seed, 12)
		s := Schedule{Seed: seed, Nodes: 2 + d.n(3), VIPs: 1 + d.n(6), Checks: optional, Still: 30 * time.Second}
		for node := range s.Nodes { // all fail by 21 s, and what had to move has moved by 30 s
			s.Faults = append(s.Faults, Fault{At: 20*time.Second + d.upTo(time.Second).Truncate(time.Millisecond), For: 30 * time.Second, Kind: Sick, Node: node})
		}
		s.Faults = append(s.Faults, Fault{At: 35 * time.Second, For: 200 * time.Millisecond, Kind: Kill, Node: d.n(s.Nodes)})
		w := newWorld(s, mutant{}, false)
		w.run()
		if w.judge.verdict != "" && w.now < 50*time.Second {
			t.Fatalf("seed %d, at %v: %s", seed, w.now, w.judge.verdict)
		}
	}
}
