package sim

import (
	"flag"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seedFlag      = flag.Uint64("sim.seed", 0, "TestOneHolder runs this schedule alone and prints its trace")
	fromFlag      = flag.Uint64("sim.from", 1, "the first schedule of TestOneHolder")
	schedulesFlag = flag.Int("sim.schedules", 5000, "how many schedules TestOneHolder runs")
	themeFlag     = flag.String("sim.theme", "", "only schedules of this theme")
	promiseFlag   = flag.String("sim.promise", "", "only verdicts that begin with this count")
	findFlag      = flag.Int("sim.find", 5, "TestOneHolder gives up after this many")
)

// TestOneHolder is the safety rule of package plan under thousands of random schedules: two machines never have one VIP up. The other promises are judged
// with it, and that all settles. A schedule that breaks one is run again, with its trace, by
//
//	go test ./coordinator/sim -run TestOneHolder -v -sim.seed N
func TestOneHolder(t *testing.T) {
	if *seedFlag != 0 {
		s := Random(*seedFlag)
		o := run(s, mutant{}, true)
		t.Logf("%s\n%s", s, strings.Join(o.Lines, "\n"))
		t.Logf("%d events in %v", o.Events, o.Now)
		if o.Verdict != "" {
			t.Fatal(o.Verdict)
		}
		return
	}
	found, events := hunt(mutant{}, *findFlag)
	for _, f := range found {
		t.Errorf("schedule %d, event %d: %s", f.seed, f.Events, f.Verdict)
	}
	t.Logf("%d events", events)
}

// finding is a schedule that broke a promise.
type finding struct {
	seed uint64
	outcome
}

// hunt runs the schedules that the flags ask for on two cores, until it has found some that break a promise.
func hunt(m mutant, most int) ([]finding, int64) {
	var (
		next    atomic.Uint64
		events  atomic.Int64
		lock    sync.Mutex
		found   []finding
		workers sync.WaitGroup
	)
	for range 2 {
		workers.Go(func() {
			for {
				n := next.Add(1) - 1
				lock.Lock()
				enough := len(found) >= most
				lock.Unlock()
				if n >= uint64(*schedulesFlag) || enough {
					return
				}
				seed := *fromFlag + n
				if t, ok := themeNames[*themeFlag]; ok {
					seed = themed(t, seed)
				}
				o := run(Random(seed), m, false)
				events.Add(int64(o.Events))
				if o.Verdict != "" && strings.HasPrefix(o.Verdict, *promiseFlag) {
					lock.Lock()
					found = append(found, finding{seed, o})
					lock.Unlock()
				}
			}
		})
	}
	workers.Wait()
	slices.SortFunc(found, func(a, b finding) int { return int(a.seed) - int(b.seed) })
	return found, events.Load()
}

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // worlds are small and short-lived
	os.Exit(m.Run())
}
