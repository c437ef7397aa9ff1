package sim

import "testing"

// TestRestingLeavesNothingOut: a decision that passes over VIPs that rest is the one that looks at everything, whatever happens.
func TestRestingLeavesNothingOut(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 100
	}
	for _, h := range []hunted{{from: 1, most: n, find: 1}, {from: 1, most: n / 20, find: 1, fast: true}} {
		h.mutant.afresh = true
		found, events := hunt(h)
		for _, f := range found {
			t.Errorf("schedule %d, fast %v, event %d: %s", f.seed, h.fast, f.Events, f.Verdict)
		}
		t.Logf("%d events", events)
	}
}
