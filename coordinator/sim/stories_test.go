package sim

import "testing"

// stories are schedules that once broke a promise, as small as they could be made. Each is run with many seeds.
var stories = []struct {
	name string
	Schedule
}{
	{"a take that found the claim missing commits when it is missing again", Schedule{Nodes: 2, VIPs: 1, Pace: quick, Faults: []Fault{
		{At: 1500 * ms, For: 1500 * ms, Kind: Hold, Node: 0, Calls: writes},
		{At: 1500 * ms, For: 1700 * ms, Kind: Hold, Node: 0, Calls: watching | checks},
		{At: 1690 * ms, For: 5000 * ms, Kind: Drain, Node: 0},
		{At: 2900 * ms, For: 1500 * ms, Kind: Lose, Node: 1, Calls: checks | writes | watching},
		{At: 2990 * ms, Kind: DelClaim},
	}}},
	{"a claim goes missing whose holder has the longer hold", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Skew: true, Faults: []Fault{
		{At: 4620 * ms, Kind: DelClaim, VIP: 1},
		{At: 4620 * ms, For: 1800 * ms, Kind: Lose, Node: 1, Calls: checks | writes | leaseCalls | watching},
	}}},
	{"an old empty claim is copied back, whose writer had the shorter hold", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Skew: true, Faults: []Fault{
		{At: 3155 * ms, Kind: CopyClaim, Node: 1, VIP: 1},
		{At: 3177 * ms, For: 2701 * ms, Kind: Kill, Node: 1},
	}}},
	{"a registration ends before its answer comes", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Faults: []Fault{
		{At: 3000 * ms, For: 2573 * ms, Kind: Lose, Node: 1, Calls: checks | writes | leaseCalls},
		{At: 5179 * ms, For: 2820 * ms, Kind: Refuse, Node: 1, Calls: writes | reads},
		{At: 5587 * ms, For: 2692 * ms, Kind: DelMember, Node: 1, On: onOffer},
	}}},
	{"a late write of a state overtakes the next", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Skew: true, Noise: 1, Faults: []Fault{
		{At: 2153 * ms, For: 1709 * ms, Kind: Hold, Calls: writes, On: onDel, Actor: true},
		{At: 2153 * ms, For: 1015 * ms, Kind: Drain, Node: 1},
		{At: 2153 * ms, For: 469 * ms, Kind: Kill, On: onRelease, Actor: true},
		{At: 2790 * ms, For: 2802 * ms, Kind: Hold, Calls: writes, On: onRelease, Actor: true},
		{At: 2790 * ms, For: 2254 * ms, Kind: Leave},
		{At: 3466 * ms, For: 281 * ms, Kind: Drain},
		{At: 4960 * ms, For: 1972 * ms, Kind: Drain},
	}}},
	{"two VIPs become one on one node, while the other holds an address of it", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Change: join, Faults: []Fault{
		{At: 3458 * ms, For: 493 * ms, Kind: Upgrade, Node: 0},
		{At: 4823 * ms, For: 139 * ms, Kind: Upgrade, Node: 1},
	}}},
	{"two VIPs exchange their addresses", Schedule{Nodes: 3, VIPs: 2, Pace: quick, Change: swap, Faults: []Fault{
		{At: 2546 * ms, For: 838 * ms, Kind: Upgrade, Node: 0},
		{At: 2727 * ms, For: 769 * ms, Kind: Upgrade, Node: 2},
	}}},
	{"a VIP gets another name", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Change: rename, Faults: []Fault{
		{At: 2488 * ms, For: 321 * ms, Kind: Upgrade, Node: 0},
		{At: 2765 * ms, For: 455 * ms, Kind: Upgrade, Node: 1},
	}}},
	{"a port comes and goes between the questions of the guards", Schedule{Nodes: 2, VIPs: 2, Pace: quick, Fast: true, Warm: true, Faults: []Fault{
		{At: 3027 * ms, For: 179 * ms, Kind: CutLAN},
		{At: 3232 * ms, For: 230 * ms, Kind: CutLAN},
		{At: 2836 * ms, For: 1380 * ms, Kind: Lose, Calls: checks | watching},
	}}},
	{"a node hears the gateway and not its guards, and nothing of etcd", Schedule{Nodes: 3, VIPs: 3, Pace: quick, Fast: true, Warm: true, Faults: []Fault{
		{At: 3100 * ms, For: 600 * ms, Kind: Split, Node: 2, VIP: 2},
		{At: 3150 * ms, For: 1000 * ms, Kind: Lose, Node: 2, Calls: allCalls},
	}}},
	{"etcd is restored while a watch lags", Schedule{Nodes: 3, VIPs: 2, Pace: quick, Noise: 1, Faults: []Fault{
		{At: 2153 * ms, For: 124 * ms, Kind: Drain, Node: 1},
		{At: 2200 * ms, For: 3000 * ms, Kind: Hold, Node: 0, Calls: watching},
		{At: 2612 * ms, For: 825 * ms, Kind: Restore, VIP: 1},
	}}},
}

func TestStories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			for seed := range uint64(100) {
				s.Seed = seed
				if o := run(s.Schedule, mutant{}, false); o.Verdict != "" {
					t.Fatalf("seed %d, event %d: %s\n%#v", seed, o.Events, o.Verdict, shrink(s.Schedule, mutant{}))
				}
			}
		})
	}
}
