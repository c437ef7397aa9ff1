package sim

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSchedules says how many schedules and how many events this machine goes through in a second, on all its cores, and in a second of processor
// time, which does not depend as much on what else runs there; how many events a schedule has, and the shortest of them. A turn of a loop that has nothing to
// do is no event.
func BenchmarkSchedules(b *testing.B) {
	var next, events, least atomic.Int64
	least.Store(1 << 62)
	spent := processorTime()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := int64(run(Random(uint64(next.Add(1))), mutant{}, false).Events)
			events.Add(n)
			for old := least.Load(); n < old && !least.CompareAndSwap(old, n); old = least.Load() {
			}
		}
	})
	spent = processorTime() - spent
	b.ReportMetric(float64(b.N)/spent.Seconds(), "schedules/core-s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
	b.ReportMetric(float64(events.Load())/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(events.Load())/float64(b.N), "events/schedule")
	b.ReportMetric(float64(least.Load()), "least-events")
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
