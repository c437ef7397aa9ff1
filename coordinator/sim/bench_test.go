package sim

import "testing"

// BenchmarkSchedules says how many schedules, and events, one core goes through in a second.
func BenchmarkSchedules(b *testing.B) {
	events, long := 0, 0
	for i := 0; b.Loop(); i++ {
		o := run(Random(uint64(i)), mutant{}, false)
		events += o.Events
		if o.Events >= 200 {
			long++
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
	b.ReportMetric(float64(long)/b.Elapsed().Seconds(), "schedules-of-200/s")
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(events)/float64(b.N), "events/schedule")
}
