package sim

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSchedules says how many schedules, of at least 200 events each, and how many events this machine goes through in a second, on all its cores; and in
// a second of processor time, which does not depend on what else runs there.
func BenchmarkSchedules(b *testing.B) {
	var next, events, long atomic.Int64
	spent := processorTime()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o := run(Random(uint64(next.Add(1))), mutant{}, false)
			events.Add(int64(o.Events))
			if o.Events >= 200 {
				long.Add(1)
			}
		}
	})
	spent = processorTime() - spent
	b.ReportMetric(float64(long.Load())/spent.Seconds(), "schedules/core-s")
	b.ReportMetric(float64(long.Load())/b.Elapsed().Seconds(), "schedules/s")
	b.ReportMetric(float64(events.Load())/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(events.Load())/float64(b.N), "events/schedule")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process has used so far, on all cores.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // no such thing is possible
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
