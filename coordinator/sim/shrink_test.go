package sim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// TestShrinks draws schedules with rapid, which makes one that breaks a promise as small as it can before it prints it.
func TestShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		if o := run(s, mutant{}, false); o.Verdict != "" {
			t.Fatalf("event %d: %s\n%#v", o.Events, o.Verdict, s)
		}
	})
}

func drawSchedule(t *rapid.T) Schedule {
	s := Schedule{
		Seed: rapid.Uint64Max(1000).Draw(t, "seed"), Nodes: rapid.IntRange(2, 4).Draw(t, "nodes"), VIPs: rapid.IntRange(1, 4).Draw(t, "VIPs"),
		Pace: brisk, Skew: rapid.Bool().Draw(t, "skew"), Noise: rapid.IntRange(0, 3).Draw(t, "noise"),
	}
	s.Policy = Policy{
		Moves: rapid.IntRange(-1, 2).Draw(t, "moves"), Prefer: rapid.Bool().Draw(t, "prefer"), Stay: rapid.Bool().Draw(t, "stay"), Uneven: rapid.Bool().Draw(t, "uneven"),
	}
	at := s.wait() + s.timers().mature
	for range rapid.IntRange(1, 7).Draw(t, "faults") {
		at += time.Duration(rapid.IntRange(0, 2000).Draw(t, "after")) * ms
		s.Faults = append(s.Faults, Fault{
			At: at, For: time.Duration(rapid.IntRange(0, 4000).Draw(t, "for")) * ms, Kind: Kind(rapid.IntRange(0, int(Upgrade)-1).Draw(t, "kind")),
			Node: rapid.IntRange(0, s.Nodes-1).Draw(t, "node"), VIP: rapid.IntRange(0, s.VIPs-1).Draw(t, "VIP"),
			Calls: calls(rapid.IntRange(1, int(allCalls)).Draw(t, "calls")), On: moment(rapid.IntRange(0, int(moments)-1).Draw(t, "on")), Actor: rapid.Bool().Draw(t, "actor"),
		})
	}
	return s
}

// shrink takes away from a schedule what is not needed for it to break the same promise: for one that a hunt has found.
func shrink(s Schedule, m mutant) Schedule {
	verdict := run(s, m, false).Verdict
	if len(verdict) < len("promise 1") {
		return s
	}
	same := func(s Schedule) bool {
		got := run(s, m, false).Verdict
		return len(got) >= len("promise 1") && got[:len("promise 1")] == verdict[:len("promise 1")]
	}
	for smaller := true; smaller; {
		smaller = false
		for _, try := range smallerSchedules(s) {
			if same(try) {
				s, smaller = try, true
				break
			}
		}
	}
	return s
}

// smallerSchedules are the schedules that have a little less of everything, one thing each.
func smallerSchedules(s Schedule) []Schedule {
	var list []Schedule
	for i := range s.Faults {
		less := s
		less.Faults = slices.Delete(slices.Clone(s.Faults), i, i+1)
		list = append(list, less)
	}
	add := func(change func(*Schedule)) {
		less := s
		change(&less)
		list = append(list, less)
	}
	if s.Noise > 0 {
		add(func(s *Schedule) { s.Noise = 0 })
		add(func(s *Schedule) { s.Noise-- })
	}
	if s.Policy != (Policy{}) {
		add(func(s *Schedule) { s.Policy = Policy{} })
		if s.Policy.Prefer {
			add(func(s *Schedule) { s.Policy.Prefer = false })
		}
		if s.Policy.Uneven {
			add(func(s *Schedule) { s.Policy.Uneven = false })
		}
	}
	if s.Skew {
		add(func(s *Schedule) { s.Skew = false })
	}
	if s.Pace != brisk && s.Still == 0 {
		add(func(s *Schedule) { s.Pace = brisk })
	}
	if s.Nodes > 2 {
		add(func(s *Schedule) { s.Nodes-- })
	}
	if s.VIPs > 1 {
		add(func(s *Schedule) { s.VIPs-- })
	}
	for i, f := range s.Faults {
		if f.On != atOnce {
			less := s
			less.Faults = slices.Clone(s.Faults)
			less.Faults[i].On, less.Faults[i].Actor = atOnce, false
			list = append(list, less)
		}
	}
	return list
}
