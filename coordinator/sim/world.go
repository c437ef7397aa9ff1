package sim

import (
	"fmt"
	"time"

	"viplease/coordinator/plan"
)

const never = time.Duration(1<<63 - 1)

// timers are the cluster's configuration and what follows from it.
type timers struct {
	ttl, hold, interval, timeout, mature, round, late time.Duration
	wait                                              time.Duration // W, from these
}

// withWait completes the timers: W as package config computes it.
func (t timers) withWait(hold time.Duration) time.Duration {
	return (t.timeout+hold+t.late)*1002/1000 + 50*time.Millisecond
}

// pace is how fast a cluster is: all its timers.
type pace int

const (
	usual pace = iota // the defaults of the configuration
	quick             // the same in small: more happens in less time
	brisk             // and smaller
)

var paces = [...]timers{
	usual: {ttl: 3 * time.Second, hold: 3 * time.Second, interval: 300 * time.Millisecond, timeout: 300 * time.Millisecond, mature: 5 * time.Second, round: 4 * time.Second, late: lateness},
	quick: {ttl: time.Second, hold: time.Second, interval: 200 * time.Millisecond, timeout: 200 * time.Millisecond, mature: 300 * time.Millisecond, round: time.Second, late: 400 * time.Millisecond},
	brisk: {ttl: 600 * time.Millisecond, hold: 600 * time.Millisecond, interval: 150 * time.Millisecond, timeout: 150 * time.Millisecond, mature: 200 * time.Millisecond, round: 600 * time.Millisecond, late: 250 * time.Millisecond},
}

func (p pace) String() string { return [...]string{"usual", "quick", "brisk"}[p] }

// mutant breaks what is not a line of package plan.
type mutant struct {
	noClock bool // S8: the executor does not look at the clock
	noLate  bool // S7: W leaves out how late the kernel may be

	noQuarantine bool // F4: a node that hears nobody carries on

	noSlot bool // etcd does not compare the revision of the key round

	afresh bool // nothing is broken, and decisions are held against such that look at everything

	hurry bool // not to be judged on whether it settles
}

// world is one schedule being run.
type world struct {
	s        Schedule
	mutant   mutant
	timers   timers
	now      time.Duration // true time
	events   int
	seq      uint64
	queue    queue
	dice     dice
	etcd     *etcd
	nodes    []*node
	layouts  []*layout       // the configuration, and what it is changed to
	quorumAt time.Duration   // etcd has no quorum before
	split    split           // how the LAN has fallen in two last
	ends     []time.Duration // of the faults, as far as is known
	quiet    time.Duration   // when all have: from here on nothing fails any more
	calmed   bool
	armed    []armed // faults that wait for their moment
	judge    judge
	trace    trace
}

func newWorld(s Schedule, m mutant, tracing bool) *world {
	w := &world{s: s, mutant: m, timers: s.timers(), dice: newDice(s.Seed, 1)}
	w.timers.wait = w.timers.withWait(w.timers.hold)
	w.trace = trace{w: w, on: tracing}
	w.judge = judge{w: w}
	w.etcd = newEtcd(w)
	w.layouts = []*layout{newLayout(s.VIPs, same, s.preferring())}
	if s.Change != same {
		w.layouts = append(w.layouts, newLayout(s.VIPs, s.Change, s.preferring()))
	}
	if s.Warm {
		w.warm()
	}
	for i := range s.Nodes {
		w.nodes = append(w.nodes, newNode(w, i))
	}
	return w
}

// warm puts claims there that their last holders have released.
func (w *world) warm() {
	for _, v := range w.layouts[0].vips {
		c := plan.Claim{V: plan.Format, VIP: v.Name, WaitMS: w.timers.wait.Milliseconds() + 1, Try: "before"}
		for _, p := range v.Prefixes {
			c.Addresses = append(c.Addresses, p.String())
		}
		for c.Writes < 2 { // first of all it was empty
			c.Writes++
			c.Empty = c.Writes == 1
			w.etcd.txn(func(rev int64) { w.etcd.put(rev, "claims/"+v.Name, plan.Encode(c), 0) })
		}
	}
}

// final is the configuration that every node has in the end.
func (w *world) final() *layout { return w.layouts[len(w.layouts)-1] }

func newNode(w *world, id int) *node {
	n := &node{w: w, id: id, name: fmt.Sprintf("n%d", id), boot: 1, dice: newDice(w.s.Seed, 2, id), stopped: -1, layout: w.layouts[0]}
	for c := calls(1); c < allCalls; c <<= 1 {
		n.paths[c] = newDice(w.s.Seed, 3, id, int(c))
	}
	n.kernel = kernel{n: n, dice: newDice(w.s.Seed, 4, id)}
	n.clock = clock{offset: n.dice.between(10*time.Second, time.Hour), ppm: int64(n.dice.n(2001)) - 1000}
	t := w.timers
	if w.s.Skew && id%2 == 1 {
		t.hold *= 2 // a roll-out has come to half of the nodes
	}
	n.cfg = plan.Config{
		Group: "g", Node: n.name, Machine: "m-" + n.name, Address: n.name,
		TTL: t.ttl, Hold: t.hold, CheckInterval: t.interval, CheckTimeout: t.timeout, Wait: t.withWait(t.hold), Mature: t.mature,
		Failback: !w.s.Policy.Stay, MovesPerRound: w.s.Policy.moves(), Interval: t.round, Weight: w.s.Policy.weight(id), MaxWrites: 50,
	}
	if w.s.Checks != unchecked {
		n.cfg.Checks = []plan.HealthCheck{{Name: checkName, Require: w.s.Checks == required}}
	}
	if w.s.Fast {
		n.cfg.Fast = fastTimers
	}
	if w.mutant.noLate {
		n.cfg.Wait -= t.late * 1002 / 1000
	}
	return n
}

// at schedules an event of a daemon, or of the world.
func (w *world) at(t time.Duration, p *process, do func()) {
	w.seq++
	w.queue.push(event{max(t, w.now), w.seq, p, do})
}

func (w *world) after(d time.Duration, p *process, do func()) { w.at(w.now+d, p, do) }

// noise tells whether something small goes wrong: with the given chance in a thousand for each step of Schedule.Noise, until it has to be quiet.
func (w *world) noise(d *dice, perMille int) bool {
	return w.s.Noise > 0 && w.now < w.quiet && d.n(1000) < perMille*w.s.Noise
}

// step lets the next event happen. It returns false when there is none.
func (w *world) step() bool {
	if len(w.queue) == 0 {
		return false
	}
	e := w.queue.pop()
	w.now = e.at
	if p := e.proc; p != nil {
		if p.dead {
			return true
		}
		if p.paused > w.now {
			w.at(p.paused, p, e.do)
			return true
		}
	}
	w.events++
	e.do()
	w.judge.look()
	return true
}

// run runs the schedule to its end.
func (w *world) run() {
	for i, n := range w.nodes {
		w.at(w.dice.upTo(time.Duration(i+1)*50*time.Millisecond), nil, n.start)
	}
	w.ends = make([]time.Duration, len(w.s.Faults))
	for i, f := range w.s.Faults {
		w.plan(i, f)
	}
	w.calmLater()
	if w.s.Again > 0 {
		w.at(w.s.Again, nil, w.judge.again)
	}
	for w.judge.verdict == "" && !w.judge.settled && w.step() {
	}
}
