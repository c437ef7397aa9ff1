package sim

import "time"

// RandomFast is the schedule of fast takeover with this number: hosts that are cut off the LAN, or whose addresses go, while the way to etcd is bad.
func RandomFast(seed uint64) Schedule {
	d := newDice(seed, 11)
	r := &draft{dice: &d, Schedule: Schedule{
		Seed: seed, Nodes: 2 + d.n(3), VIPs: 1 + d.n(6), Pace: []pace{quick, quick, usual}[d.n(3)], Skew: d.one(6), Noise: d.n(3), Fast: true,
	}}
	r.Warm = true
	r.at = r.stands() + 2*r.timers().mature + 2*time.Second // until claims say who takes part
	r.node, r.vip = d.n(r.Nodes), d.n(r.VIPs)
	r.peer = (r.node + 1 + d.n(r.Nodes-1)) % r.Nodes
	for range 1 + d.n(2) {
		r.fast()
		r.later(r.wait())
	}
	return r.Schedule
}

// pickLong is a hold or two, or often less than half a second.
func (r *draft) pickLong(hold time.Duration) time.Duration {
	if r.one(2) {
		return 500 * time.Millisecond
	}
	return 2 * hold
}

// fast is one thing that makes guards suspicious, and what may go wrong with it.
func (r *draft) fast() {
	at := func() time.Duration { return max(r.at+r.upTo(600*time.Millisecond)-300*time.Millisecond, 0) }
	short := func() time.Duration { return r.between(200*time.Millisecond, 1500*time.Millisecond) }
	etcd := []calls{checks, checks | watching, writes, watching, allCalls, checks | writes | watching}
	switch r.n(7) {
	case 4: // all addresses go, and the daemon cannot write, sees nothing, and gets late answers to its checks
		for vip := range r.VIPs {
			r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: vip})
		}
		r.add(Fault{At: r.at - 50*time.Millisecond, For: 2 * time.Second, Kind: Lose, Calls: writes, Node: r.node})
		r.add(Fault{At: r.at - 50*time.Millisecond, For: 2 * time.Second, Kind: Hold, Calls: watching, Node: r.node})
		r.add(Fault{At: r.at - 50*time.Millisecond, For: 2 * time.Second, Kind: Slow, Calls: checks, Node: r.node})
		return
	case 5: // one address goes, not the other, and etcd is away from its daemon
		r.VIPs = max(r.VIPs, 4)
		r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: r.vip})
		r.add(Fault{At: r.at - 50*time.Millisecond, For: short(), Kind: r.pick(Lose, Hold, Mute), Calls: allCalls, Node: r.node})
		return
	case 6: // evicted, back, and its new lease goes while it is cut off for a moment and sees nothing
		r.add(Fault{At: r.at, For: time.Second, Kind: CutLAN, Node: r.node})
		r.add(Fault{At: r.at - 100*time.Millisecond, For: 900 * time.Millisecond, Kind: Lose, Calls: allCalls, Node: r.node})
		r.at += 3*r.timers().ttl + 4*r.timers().mature + r.upTo(time.Second) + 2*time.Second
		r.add(Fault{At: r.at, Kind: Revoke, Node: r.node})
		r.add(Fault{At: r.at - 20*time.Millisecond, For: r.between(40*time.Millisecond, 200*time.Millisecond), Kind: CutLAN, Node: r.node})
		r.add(Fault{At: r.at - 30*time.Millisecond, For: short(), Kind: r.pick(Lose, Hold), Calls: allCalls, Node: r.node})
		return
	case 0, 1: // cut off, and etcd with it or not
		r.add(Fault{At: r.at, For: r.between(180*time.Millisecond, r.pickLong(r.timers().hold)), Kind: CutLAN, Node: r.node})
	case 2: // an address goes while its daemon does not hear of it
		r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: r.vip})
	case 3: // it is won a moment ago
		r.add(Fault{At: r.at, For: short(), Kind: r.pick(Drain, Kill, Revoke, DelMember), Node: r.peer})
		r.add(Fault{At: r.at, For: short(), Kind: CutLAN, Node: r.peer})
	}
	for range r.n(4) {
		who := r.node
		if r.one(3) {
			who = r.anyNode()
		}
		r.add(Fault{At: at(), For: short(), Kind: r.pick(Lose, Hold, Mute, Slow, Slow), Calls: etcd[r.n(len(etcd))], Node: who, VIP: r.vip})
	}
	if r.one(3) {
		r.add(Fault{At: at(), For: short(), Kind: r.pick(Kill, Hang, Pause, DelAddress, CutLAN, LinkDown, Revoke, DelMember, Leave, DelClaim), Node: r.anyNode(), VIP: r.vip})
	}
}
