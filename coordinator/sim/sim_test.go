package sim

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seedFlag      = flag.Uint64("sim.seed", 0, "run this schedule alone and print its trace")
	schedulesFlag = flag.Int("sim.schedules", 3000, "how many schedules TestOneHolder runs")
	promiseFlag   = flag.String("sim.promise", "promise", "only verdicts that begin with this count, and the first ends the test")
	fromFlag      = flag.Uint64("sim.from", 1, "the first of them")
)

func TestOneHolder(t *testing.T) {
	if *seedFlag != 0 {
		s := Random(*seedFlag)
		o := run(s, mutant{}, true)
		t.Logf("%s\n%s", s, strings.Join(o.Lines, "\n"))
		t.Logf("%d events in %v: %q", o.Events, o.Now, o.Verdict)
		return
	}
	var events, failed atomic.Int64
	var next atomic.Uint64
	next.Store(*fromFlag)
	last := *fromFlag + uint64(*schedulesFlag)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for failed.Load() < 5 {
				seed := next.Add(1) - 1
				if seed >= last {
					return
				}
				o := run(Random(seed), mutant{}, false)
				events.Add(int64(o.Events))
				if strings.HasPrefix(o.Verdict, *promiseFlag) {
					failed.Add(1)
					t.Errorf("seed %d after %d events: %s", seed, o.Events, o.Verdict)
				}
			}
		})
	}
	group.Wait()
	t.Log(fmt.Sprintf("%d events", events.Load()))
}
