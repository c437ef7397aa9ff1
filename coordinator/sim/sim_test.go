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
	schedulesFlag = flag.Int("sim.schedules", 4000, "how many schedules TestOneHolder runs")
	themeFlag     = flag.String("sim.theme", "", "only schedules of this theme")
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
	h := hunted{theme: *themeFlag, from: *fromFlag, most: *schedulesFlag, find: 5}
	if testing.Short() {
		h.most = min(h.most, 500)
	}
	found, events := hunt(h)
	for _, f := range found {
		t.Errorf("schedule %d, event %d: %s\nthe same with less:\n%#v", f.seed, f.Events, f.Verdict, shrink(Random(f.seed), mutant{}))
	}
	t.Logf("%d events", events)
}

// hunted says what hunt looks for.
type hunted struct {
	theme   string // "": all
	from    uint64
	most    int // schedules
	find    int // findings that are enough
	promise string
	mutant  mutant
	fast    bool // schedules of fast takeover
}

func (h hunted) schedule(seed uint64) Schedule {
	if h.fast {
		return RandomFast(seed)
	}
	return Random(seed)
}

// finding is a schedule that broke a promise.
type finding struct {
	seed uint64
	outcome
}

// hunt runs schedules on two cores, until it has found enough that break a promise.
func hunt(h hunted) (found []finding, total int64) {
	var (
		next    atomic.Uint64
		events  atomic.Int64
		lock    sync.Mutex
		workers sync.WaitGroup
	)
	for range 2 {
		workers.Go(func() {
			for {
				n := next.Add(1) - 1
				lock.Lock()
				enough := len(found) >= h.find
				lock.Unlock()
				if n >= uint64(h.most) || enough {
					return
				}
				seed := h.from + n
				if t, ok := fastThemeNames[h.theme]; ok && h.fast {
					seed = themedFast(t, seed)
				} else if t, ok := themeNames[h.theme]; ok {
					seed = themed(t, seed)
				}
				o := run(h.schedule(seed), h.mutant, false)
				events.Add(int64(o.Events))
				if o.Verdict != "" && strings.HasPrefix(o.Verdict, h.promise) {
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
	debug.SetGCPercent(2000) // worlds are small and do not live long
	os.Exit(m.Run())
}
