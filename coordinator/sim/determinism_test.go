package sim

import "testing"

// TestSameScheduleSameRun: a seed is worth something only if it always gives the same run.
func TestSameScheduleSameRun(t *testing.T) {
	sums := map[uint64]bool{}
	for seed := range uint64(4 * cycle) {
		s := Random(seed)
		a, b, traced := run(s, mutant{}, false), run(s, mutant{}, false), run(s, mutant{}, true)
		if a.Sum != b.Sum || a.Events != b.Events || a.Now != b.Now {
			t.Errorf("schedule %d gave %x after %d events, and then %x after %d", seed, a.Sum, a.Events, b.Sum, b.Events)
		}
		if a.Sum != traced.Sum {
			t.Errorf("schedule %d gave %x, and %x with its trace", seed, a.Sum, traced.Sum)
		}
		sums[a.Sum] = true
	}
	if len(sums) != 4*cycle {
		t.Errorf("%d schedules gave %d different runs", 4*cycle, len(sums))
	}
}
