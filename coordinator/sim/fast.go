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
	switch fastTheme(seed % uint64(fastThemes)) {
	case suspicions:
		for range 1 + d.n(2) {
			r.suspicion()
			r.later(r.wait())
		}
	case flushes:
		r.flush()
	case returns:
		r.returned()
	case flaps:
		r.flaps()
	case splits:
		r.splits()
	case deaths:
		r.death()
	}
	return r.Schedule
}

// fastTheme is what a random schedule of fast takeover is about, in turn.
type fastTheme int

const (
	suspicions fastTheme = iota // anything that makes guards suspicious, and what may go wrong with it
	flushes                     // all addresses of a node go, and it hears late of the challenge and of the eviction
	returns                     // a node that was evicted is back, and its new registration ends
	flaps                       // a LAN port comes and goes, and etcd is away
	splits                      // the LAN falls in two
	deaths                      // a host dies, and nothing else goes wrong: its VIPs have to be back soon
	fastThemes
)

var fastThemeNames = map[string]fastTheme{"suspicions": suspicions, "flushes": flushes, "returns": returns, "flaps": flaps, "splits": splits, "deaths": deaths}

// themedFast is the number of the nth schedule of a theme.
func themedFast(t fastTheme, n uint64) uint64 { return n*uint64(fastThemes) + uint64(t) }

// pickLong is a hold or two, or often less than half a second.
func (r *draft) pickLong(hold time.Duration) time.Duration {
	if r.one(2) {
		return 500 * time.Millisecond
	}
	return 2 * hold
}

// short is how long etcd is away: for a second or so.
func (r *draft) short() time.Duration {
	return r.between(200*time.Millisecond, 1500*time.Millisecond)
}

// badPath makes the way of a node to etcd bad for a while.
func (r *draft) badPath(at, most time.Duration, node int, c calls, kinds ...Kind) {
	r.add(Fault{At: max(at, 0), For: most, Kind: r.pick(kinds...), Calls: c, Node: node})
}

// suspicion is one thing that makes guards suspicious, and what may go wrong with it.
func (r *draft) suspicion() {
	around := func() time.Duration {
		return max(r.at+r.upTo(600*time.Millisecond)-300*time.Millisecond, 0)
	}
	switch r.n(5) {
	case 0, 1: // cut off, and etcd with it or not
		r.add(Fault{At: r.at, For: r.between(180*time.Millisecond, r.pickLong(r.timers().hold)), Kind: CutLAN, Node: r.node})
	case 2: // an address goes while its daemon does not hear of it
		r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: r.vip})
	case 3: // it is won a moment ago
		r.add(Fault{At: r.at, For: r.short(), Kind: r.pick(Drain, Kill, Revoke, DelMember), Node: r.peer})
		r.add(Fault{At: r.at, For: r.short(), Kind: CutLAN, Node: r.peer})
	case 4: // one address goes, not the other, and etcd is away from its daemon
		r.VIPs = max(r.VIPs, 4)
		r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: r.vip})
		r.badPath(r.at-50*time.Millisecond, r.short(), r.node, allCalls, Lose, Hold, Mute)
	}
	for range r.n(4) {
		who := r.node
		if r.one(3) {
			who = r.anyNode()
		}
		r.badPath(around(), r.short(), who, []calls{checks, checks | watching, writes, watching, allCalls, checks | writes | watching}[r.n(6)], Lose, Hold, Mute, Slow, Slow)
	}
	if r.one(3) {
		r.add(Fault{At: around(), For: r.short(), Kind: r.pick(Kill, Hang, Pause, DelAddress, CutLAN, LinkDown, Revoke, DelMember, Leave, DelClaim), Node: r.anyNode(), VIP: r.vip})
	}
}

// flush takes all addresses of a node down, which sees nothing and cannot write; its checks are away for a while, and late from then on. What was asked
// before the challenge, or between it and the eviction, is answered after the eviction.
func (r *draft) flush() {
	r.VIPs, r.Noise = 3+r.n(4), 0
	before, back := r.upTo(400*time.Millisecond), r.upTo(450*time.Millisecond)
	if r.one(2) { // one that is lost now is asked again before the challenge, and T is long enough for it to be answered after the eviction
		r.Pace = usual
		r.at = r.stands() + 2*r.timers().mature + 2*time.Second
		before, back = 350*time.Millisecond, r.upTo(80*time.Millisecond)
	}
	for vip := range r.VIPs {
		r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: vip})
	}
	r.badPath(r.at-50*time.Millisecond, 2*time.Second, r.node, writes, Lose)
	r.badPath(r.at-50*time.Millisecond, 2*time.Second, r.node, watching, Hold)
	r.badPath(r.at-before, before+back, r.node, checks, Lose)
	r.badPath(r.at+back, 2*time.Second, r.node, checks, Drag)
}

// returned is a node that was evicted and is back; its new registration ends while it is cut off for a moment and sees nothing.
func (r *draft) returned() {
	r.add(Fault{At: r.at, For: time.Second, Kind: CutLAN, Node: r.node})
	r.badPath(r.at-100*time.Millisecond, 900*time.Millisecond, r.node, allCalls, Lose)
	r.at += 3*r.timers().ttl + 4*r.timers().mature + r.upTo(time.Second) + 2*time.Second
	r.add(Fault{At: r.at, Kind: r.pick(Revoke, DelMember), Node: r.node})
	r.add(Fault{At: r.at - 20*time.Millisecond, For: r.between(40*time.Millisecond, 200*time.Millisecond), Kind: CutLAN, Node: r.node})
	r.badPath(r.at-30*time.Millisecond, r.short(), r.node, allCalls, Lose, Hold)
}

// flaps is a LAN port that comes and goes, at a node that cannot write to etcd, or cannot hear of what is written there. In some, it comes when the node has
// been challenged, and goes once more when those who are to have its VIPs ask the LAN.
func (r *draft) flaps() {
	at := r.at
	if r.one(3) {
		r.Noise = 0
		r.add(Fault{At: at, For: r.between(200*time.Millisecond, 244*time.Millisecond), Kind: CutLAN, Node: r.node})
		at += r.between(330*time.Millisecond, 400*time.Millisecond)
		r.add(Fault{At: at, For: r.between(40*time.Millisecond, 150*time.Millisecond), Kind: CutLAN, Node: r.node})
		r.badPath(r.at+r.between(180*time.Millisecond, 250*time.Millisecond), 1500*time.Millisecond, r.node, allCalls, Lose, Hold)
		return
	}
	for range 2 + r.n(4) {
		down := r.between(20*time.Millisecond, 300*time.Millisecond)
		r.add(Fault{At: at, For: down, Kind: CutLAN, Node: r.node})
		at += down + r.upTo(150*time.Millisecond)
	}
	away := []calls{writes, writes | watching, writes | watching | checks, allCalls, watching | checks}[r.n(5)]
	r.badPath(r.at-r.upTo(100*time.Millisecond), r.between(300*time.Millisecond, at-r.at+time.Second), r.node, away, Lose, Hold, Mute)
	if r.one(3) {
		r.badPath(r.at+r.upTo(400*time.Millisecond), r.short(), r.peer, []calls{writes, watching, checks}[r.n(3)], Slow, Hold)
	}
}

// splits lets the LAN fall in two, once or twice, while the way to etcd is good, or bad for some; in some, a daemon starts anew meanwhile.
func (r *draft) splits() {
	r.Noise = 0
	for range 1 + r.n(2) {
		r.add(Fault{At: r.at, For: r.between(50*time.Millisecond, 2*time.Second), Kind: Split, Node: r.node, VIP: r.n(4)})
		for range r.n(3) {
			r.badPath(r.at+r.upTo(600*time.Millisecond), r.short(), r.anyNode(), []calls{writes, watching, checks, allCalls}[r.n(4)], Lose, Hold, Slow)
		}
		if r.one(3) {
			r.add(Fault{At: r.at + r.upTo(500*time.Millisecond), For: r.between(50*time.Millisecond, time.Second), Kind: r.pick(Kill, Revoke, DelAddress, Leave), Node: r.anyNode(), VIP: r.vip})
		}
		r.at += r.between(2*time.Second, 4*time.Second)
	}
}

// death is a host that dies in an orderly cluster; in some, its daemon had been killed and its registration ended just before.
func (r *draft) death() {
	r.Noise, r.Skew = 0, false
	if r.one(2) {
		r.add(Fault{At: r.at, For: r.wait() * 2, Kind: Reboot, Node: r.node})
	} else {
		r.add(Fault{At: r.at - 100*time.Millisecond, For: r.wait() * 2, Kind: Kill, Node: r.node})
		r.add(Fault{At: r.at - r.upTo(100*time.Millisecond), Kind: r.pick(Revoke, DelMember), Node: r.node})
		for vip := range r.VIPs {
			r.add(Fault{At: r.at, Kind: DelAddress, Node: r.node, VIP: vip})
		}
	}
	r.Again = r.at.Truncate(time.Millisecond) + againMost
}

// againMost is how long the VIPs of a host that died are down, at the most: four questions and the one before, the grace, and what etcd takes.
const againMost = 600 * time.Millisecond
