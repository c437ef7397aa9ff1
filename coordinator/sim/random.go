package sim

import "time"

// theme is what a random schedule is about. Most holes in a protocol need several faults that fit together, which pure chance seldom finds.
type theme int

const (
	anything  theme = iota
	moves           // VIPs change hands while writes are late or lost
	handOvers       // one hand-over is struck on both sides
	lags            // one node sees late what happens to another
	missing         // claims disappear
	twice           // a claim disappears again while a write that found it missing is on its way
	restarts        // daemons come and go
	stalls          // daemons and kernels stop in the middle of things
	restores        // etcd goes back
	rollOut         // the configuration changes
	operators       // only people do something, and nodes come and go in good order
	themes
)

var themeNames = map[string]theme{"moves": moves, "hand-overs": handOvers, "lags": lags, "missing": missing, "twice": twice, "restarts": restarts, "stalls": stalls, "restores": restores, "roll-out": rollOut, "operators": operators}

// cycle is how many schedules in a row have the same mix: one of each theme but anything, which has the rest.
const cycle = 16

// Random is the schedule with this number.
func Random(seed uint64) Schedule {
	d := newDice(seed, 9)
	return random(seed, theme(max(int(seed%cycle)-cycle+int(themes), 0)), &d)
}

// themed is the number of the nth schedule of a theme other than anything.
func themed(t theme, n uint64) uint64 { return n*cycle + cycle - uint64(themes) + uint64(t) }

// draft is a schedule in the making.
type draft struct {
	Schedule
	*dice
	at         time.Duration // no fault comes before
	node, peer int           // what most of them strike
	vip        int
}

func random(seed uint64, t theme, d *dice) Schedule {
	r := &draft{dice: d, Schedule: Schedule{
		Seed: seed, Nodes: 2 + min(d.n(3), d.n(4)), VIPs: 1 + min(d.n(4), d.n(4)), Pace: drawPace(d), Skew: d.one(4), Noise: d.n(4), LAN: d.one(8), Warm: !d.one(4),
	}}
	if d.one(64) {
		r.Nodes, r.VIPs = 5+d.n(3), 3+d.n(maxVIPs-2)
	}
	if !d.one(8) { // most faults find a cluster that stands
		r.at = r.timers().mature + r.stands()
	}
	r.node, r.vip = d.n(r.Nodes), d.n(r.VIPs)
	r.peer = (r.node + 1 + d.n(r.Nodes-1)) % r.Nodes
	switch t {
	case anything:
		for range 1 + min(d.n(5), d.n(5)) {
			r.anything()
		}
	case moves:
		r.moves()
	case handOvers:
		r.handOver()
	case lags:
		r.lags()
	case missing:
		r.missing()
	case twice:
		r.missingTwice()
	case restarts:
		r.restarts()
	case stalls:
		r.stalls()
	case rollOut:
		r.rollOut()
	case restores:
		r.restores()
	case operators:
		r.operators()
	}
	policies := newDice(seed, 11)
	r.dice = &policies
	r.policy(t)
	return r.Schedule
}

// drawPace: the faster a cluster, the more schedules in an hour.
func drawPace(d *dice) pace {
	switch n := d.n(32); {
	case n == 0:
		return usual
	case n < 6:
		return quick
	}
	return brisk
}

func (s Schedule) timers() timers { return paces[s.Pace] }

// wait is W, the longest of all nodes.
func (s Schedule) wait() time.Duration {
	t := s.timers()
	if s.Skew {
		return t.withWait(2 * t.hold)
	}
	return t.withWait(t.hold)
}

// stands is how long it takes until a cluster of ready nodes holds its VIPs.
func (s Schedule) stands() time.Duration {
	if s.Warm {
		return 300 * time.Millisecond
	}
	return s.wait() + 200*time.Millisecond
}

// span is how long faults last and lie apart, at most.
func (s Schedule) span() time.Duration { return s.wait() * 3 / 2 }

// add adds a fault, rounded to what a person can read.
func (r *draft) add(f Fault) {
	f.At, f.For = f.At.Truncate(time.Millisecond), f.For.Truncate(time.Millisecond)
	r.Faults = append(r.Faults, f)
}

// later moves on in time.
func (r *draft) later(most time.Duration) time.Duration {
	r.at += r.upTo(most)
	return r.at
}

// pick returns one of the kinds.
func (r *draft) pick(kinds ...Kind) Kind { return kinds[r.n(len(kinds))] }

func (r *draft) anyNode() int { return r.n(r.Nodes) }

func (r *draft) anything() {
	if !r.one(4) {
		r.later(r.span() / 2)
	}
	f := Fault{At: r.at, For: r.upTo(r.span()), Kind: Kind(r.n(int(Upgrade))), Node: r.node, VIP: r.vip}
	if r.one(2) {
		f.Node, f.VIP = r.anyNode(), r.n(r.VIPs)
	}
	f.Calls = calls(1 + r.n(int(allCalls)))
	if r.one(2) {
		f.Calls = []calls{watching, writes, watching | reads, allCalls, checks, writes | leaseCalls}[r.n(6)]
	}
	if r.one(3) {
		f.On, f.Actor = moment(r.n(int(moments))), r.one(2)
	}
	r.add(f)
}

// move makes VIPs change hands.
func (r *draft) move() {
	if r.one(4) {
		r.add(Fault{At: r.at, For: r.upTo(r.span()), Kind: r.pick(Leave, LinkDown), Node: r.anyNode()})
		return
	}
	r.add(Fault{At: r.at, For: r.upTo(r.span() / 2), Kind: Drain, Node: r.anyNode()})
}

// writeTrouble strikes the writes of a node at some moment of a move.
func (r *draft) writeTrouble() {
	r.add(Fault{
		At: r.at, For: r.between(200*time.Millisecond, r.span()), Kind: r.pick(Hold, Hold, Mute, Lose, Refuse), Calls: writes, Node: r.anyNode(),
		On: []moment{atOnce, onOffer, onAccept, onDel, onTransfer, onRelease}[r.n(6)], Actor: true,
	})
}

func (r *draft) moves() {
	for range 1 + r.n(3) {
		r.writeTrouble()
		r.move()
		if r.one(2) {
			r.add(Fault{
				At: r.at, For: r.upTo(r.span()), Kind: r.pick(Kill, Revoke, Hold, Pause), Node: r.anyNode(), Actor: !r.one(4), Calls: watching | checks,
				On: moment(r.n(int(moments))),
			})
		}
		r.later(r.span())
	}
}

func (r *draft) handOver() {
	r.Skew, r.Nodes, r.VIPs, r.LAN = r.one(2), 2, 1+r.n(2), false
	during := func(f Fault, on ...moment) {
		f.At, f.Actor, f.On = r.at, true, on[r.n(len(on))]
		r.add(f)
	}
	during(Fault{For: r.between(r.wait()/2, 2*r.wait()), Kind: r.pick(Hold, Hold, Mute), Calls: []calls{writes, writes | watching}[r.n(2)]}, onAccept, onDel)
	r.add(Fault{At: r.at, For: r.upTo(r.wait() / 2), Kind: Drain, Node: min(r.n(4), 1) ^ 1}) // mostly the first, which is given the first VIP
	switch r.n(3) {
	case 0:
		during(Fault{For: r.upTo(r.timers().hold / 2), Kind: Kill}, onTransfer, onRelease)
	case 1:
		during(Fault{For: 2 * r.wait(), Kind: r.pick(Lose, Kill), Calls: allCalls}, onRaise, onTransfer)
		during(Fault{Kind: Revoke}, onRaise)
	}
}

func (r *draft) lags() {
	r.Skew = r.one(2)
	lag := r.between(r.wait()/2, 3*r.wait())
	r.add(Fault{At: r.at, For: lag, Kind: Hold, Node: r.peer, Calls: []calls{watching, watching | reads, watching | checks}[r.n(3)]})
	for range 1 + r.n(3) {
		r.add(Fault{At: r.later(r.wait()), For: r.upTo(r.span()), Kind: r.pick(Revoke, Revoke, Kill, DelMember, Pause), Node: r.node})
	}
	r.add(Fault{At: r.later(r.wait()), For: r.upTo(2 * r.wait()), Kind: r.pick(Lose, Hold, Mute, Kill, Refuse), Node: r.node, Calls: []calls{writes, allCalls, checks | writes, leaseCalls, writes | watching}[r.n(5)]})
	if r.one(2) {
		r.move()
	}
}

func (r *draft) missingTwice() {
	late := r.between(r.wait()/2, r.wait()*5/2)
	r.add(Fault{At: r.at, For: late, Kind: Hold, Node: r.node, Calls: []calls{writes, writes | watching, writes | watching | checks}[r.n(3)]})
	r.add(Fault{At: r.at + r.upTo(100*time.Millisecond), Kind: DelClaim, VIP: r.vip})
	r.add(Fault{At: r.at + r.upTo(late), For: r.upTo(late), Kind: Drain, Node: r.anyNode()})
	r.add(Fault{At: r.at + late - r.upTo(200*time.Millisecond), Kind: DelClaim, VIP: r.vip})
	r.add(Fault{At: r.at + late - r.upTo(300*time.Millisecond), For: r.upTo(r.wait()), Kind: r.pick(Lose, Hold, Pause), Node: r.peer, Calls: checks | writes | watching})
}

func (r *draft) missing() {
	for range 1 + r.n(3) {
		r.add(Fault{At: r.at, Kind: r.pick(DelClaim, DelClaim, PutClaim, CopyClaim), Node: r.node, VIP: r.vip})
		for range 1 + r.n(3) {
			r.add(Fault{
				At: r.at + r.upTo(100*time.Millisecond), For: r.upTo(2 * r.wait()), Kind: r.pick(Lose, Hold, Mute, Kill, Revoke, Pause, Drain), Node: r.anyNode(), VIP: r.vip,
				Calls: calls(1 + r.n(int(allCalls))),
			})
		}
		r.later(r.wait() * 2)
	}
}

func (r *draft) restarts() {
	for range 1 + r.n(4) {
		f := Fault{At: r.later(r.span() / 2), For: r.upTo(r.timers().hold), Kind: r.pick(Kill, Kill, Leave, Reboot), Node: r.node, Actor: r.one(2), On: moment(r.n(int(moments)))}
		if r.one(4) {
			f.For = r.upTo(2 * r.wait())
		}
		if r.one(2) {
			r.writeTrouble()
			r.move()
		}
		r.add(f)
	}
}

func (r *draft) stalls() {
	for range 1 + r.n(3) {
		r.add(Fault{At: r.at, For: r.upTo(2 * r.wait()), Kind: r.pick(Stall, Pause, Hang, Slow), Calls: allCalls, Node: r.node, Actor: r.one(2), On: []moment{atOnce, onRaise, onRestamp, onDel}[r.n(4)]})
		r.add(Fault{At: r.later(r.wait() / 2), For: r.upTo(r.span()), Kind: r.pick(Revoke, Revoke, Lose, Hold), Calls: allCalls, Node: r.node})
		if r.one(2) {
			r.move()
		}
	}
}

// rollOut changes the configuration node by node. In some clusters that begins before there is one, and no node sees what another says of itself.
func (r *draft) rollOut() {
	r.VIPs = max(r.VIPs, 2)
	if r.one(3) {
		r.blindStart()
		return
	}
	r.Change = change(1 + r.n(int(changes)-1))
	for node := range r.Nodes {
		if !r.one(4) {
			r.add(Fault{At: r.later(r.span() / 2), For: r.upTo(r.timers().hold), Kind: Upgrade, Node: node})
		}
		if r.one(2) {
			r.anything()
		}
	}
}

func (r *draft) blindStart() {
	r.Change, r.Warm = []change{rename, join, divide, swap}[r.n(4)], false
	for node := range r.Nodes {
		r.add(Fault{For: r.between(r.wait(), 2*r.wait()), Kind: Hold, Node: node, Calls: watching})
	}
	r.add(Fault{At: r.upTo(100 * time.Millisecond), Kind: Upgrade, Node: r.node})
}

func (r *draft) restores() {
	if r.one(2) {
		r.move()
	}
	for range r.n(3) {
		r.anything()
	}
	r.add(Fault{At: r.later(r.span()), For: r.upTo(r.span()), Kind: Restore, VIP: 1})
	r.at += r.wait()
	for range r.n(4) {
		r.anything()
	}
}
