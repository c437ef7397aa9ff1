package sim

import (
	"testing"
	"time"
)

// TestNothingMovesNeedlessly is promise 5: a crash with restart, a lost lease, a new leader of etcd, a watch that breaks: no address goes for a moment.
func TestNothingMovesNeedlessly(t *testing.T) {
	holds(t, 400, 40, still)
}

// holds runs the schedules of the first seeds, so many in short mode, and ends the test at the first that breaks a promise.
func holds(t *testing.T, n, short uint64, schedule func(seed uint64) Schedule) {
	t.Helper()
	if testing.Short() {
		n = short
	}
	for seed := range n {
		s := schedule(seed)
		if o := run(s, mutant{}, false); o.Verdict != "" {
			t.Fatalf("seed %d, event %d: %s\n%#v", seed, o.Events, o.Verdict, shrink(s, mutant{}))
		}
	}
}

// still is a schedule of what must not be noticed, one after the other, in a cluster that stands.
func still(seed uint64) Schedule {
	d := newDice(seed, 10)
	s := Schedule{Seed: seed, Nodes: 2 + d.n(3), VIPs: 1 + d.n(6), Still: 20 * time.Second, Checks: checking(seed % 3)}
	at := s.Still
	for range 1 + d.n(4) {
		f := Fault{At: at, Node: d.n(s.Nodes), Kind: []Kind{Kill, Revoke, DelMember, NoQuorum, Break, Compact, Lie, Hold}[d.n(8)], Calls: watching}
		switch f.Kind {
		case Kill: // systemd starts it again after 100 ms; an upgrade takes as long
			f.For = d.between(100*ms, 1000*ms)
		case NoQuorum: // while etcd elects a leader
			f.For = d.between(500*ms, 1600*ms)
		case Lie:
			f.Calls, f.For = leaseCalls, d.between(500*ms, 1500*ms)
		case Hold:
			f.For = d.between(500*ms, 6000*ms)
		}
		s.Faults = append(s.Faults, f)
		at += d.between(8*time.Second, 12*time.Second).Truncate(ms)
	}
	return s
}
