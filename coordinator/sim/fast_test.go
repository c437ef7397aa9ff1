package sim

import (
	"flag"
	"strings"
	"testing"
)

var (
	fastSeed      = flag.Uint64("sim.fast", 0, "TestOneHolderFast runs this schedule alone and prints its trace")
	fastThemeFlag = flag.String("sim.fast.theme", "", "only schedules of this theme")
	fastSchedules = flag.Int("sim.fast.schedules", 400, "how many schedules TestOneHolderFast runs")
)

// TestOneHolderFast is the promise of fast mode under random schedules: two machines that can exchange frames never have one VIP up, but for those whose
// daemon could not act while they were cut off.
func TestOneHolderFast(t *testing.T) {
	if *fastSeed != 0 {
		s := RandomFast(*fastSeed)
		o := run(s, mutant{}, true)
		t.Logf("%s\n%s", s, strings.Join(o.Lines, "\n"))
		if o.Verdict != "" {
			t.Fatal(o.Verdict)
		}
		return
	}
	h := hunted{fast: true, theme: *fastThemeFlag, from: *fromFlag, most: *fastSchedules, find: 5}
	if testing.Short() {
		h.most = min(h.most, 100)
	}
	found, events := hunt(h)
	for _, f := range found {
		t.Errorf("schedule %d, event %d: %s\nthe same with less:\n%#v", f.seed, f.Events, f.Verdict, shrink(RandomFast(f.seed), mutant{}))
	}
	t.Logf("%d events", events)
}
