package sim

import (
	"fmt"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// node is one machine.
type node struct {
	w        *world
	id       int
	name     string
	cfg      plan.Config
	clock    clock
	kernel   kernel
	layout   *layout
	boot     int             // how often it has booted
	started  int             // processes so far
	memory   plan.Remembered // the state file
	proc     *process        // nil: no daemon runs
	absent   bool            // and none is meant to
	paths    [allCalls + 1]dice
	dice     dice
	troubles []trouble
	linkDown time.Duration // until then
	lanCut   time.Duration // the LAN port passes nothing until then
	healed   time.Duration // when it passed again last
	excused  time.Duration // what fast mode promises does not hold for this node until then
	sick     time.Duration // its health check fails until then
	stopped  time.Duration // since when the daemon has not run freely; -1: it does
}

// clock is CLOCK_BOOTTIME of one machine: it starts anywhere and runs a little fast or slow.
type clock struct {
	offset time.Duration
	ppm    int64
}

func (c clock) at(now time.Duration) time.Duration {
	return c.offset + now + now*time.Duration(c.ppm)/1_000_000
}

// until returns how much true time passes while this clock goes on by d.
func (c clock) until(d time.Duration) time.Duration {
	return d - d*time.Duration(c.ppm)/(1_000_000+time.Duration(c.ppm)) + 1
}

func (n *node) bootTime() time.Duration { return n.clock.at(n.w.now) }

func (n *node) instant() plan.Now {
	return plan.Now{Boot: n.bootTime(), Wall: wallStart.Add(n.w.now)}
}

var wallStart = time.Unix(1_700_000_000, 0).UTC()

// process is one daemon: what package coordinator does around the core, in events.
type process struct {
	n        *node
	view     *plan.View
	dead     bool
	paused   time.Duration // stopped by a signal until then: everything of it is put off
	hung     time.Duration // the loop alone does not turn until then
	inbox    []plan.Fact   // while it hangs
	wake     time.Duration // when the core wants to decide again, boot time
	timer    time.Duration // when the next wake-up is due, true time
	waking   time.Duration // when the event for it comes
	turned   time.Duration // boot time of the loop's last turn
	saved    int           // version of what was last remembered
	savedRev int64
	savedAt  time.Duration
	saving   time.Duration // until when the memory lane is busy
	queue    []plan.Action // of the kernel lane
	busy     bool
	results  []plan.Fact // of its present action
	pending  pendingLease
	feed     *watch
	reread   bool
	leaving  bool
	limit    time.Duration // boot time
	turns    int
	gained   map[string]bool // what the operator's programs were told

	sentinel *sentinel.Machine // nil: strict mode
	shown    int               // version of the view that it knows, or that is on its way to it
	watched  *sentinel.Viewed  // that one
	heard    []heard           // what has arrived from the LAN and was not looked at yet
	deciding time.Duration     // when the last of its decisions arrives
	guarding time.Duration     // when it is to decide next
}

// start runs a daemon.
func (n *node) start() {
	if n.proc != nil {
		return
	}
	n.absent = false
	n.started++
	n.w.judge.runs(n)
	cfg := n.cfg
	cfg.Boot = fmt.Sprintf("boot-%s-%d", n.name, n.boot)
	cfg.Seed = fmt.Sprintf("%s.%d", n.name, n.started)
	cfg.VIPs, cfg.Former = n.layout.vips, n.layout.former(n.memory.Addresses)
	now := n.instant()
	p := &process{n: n, view: plan.New(cfg, now), timer: never, waking: never, turned: now.Boot, gained: map[string]bool{}}
	for _, vip := range n.memory.Gained {
		p.gained[vip] = true
	}
	n.proc = p
	n.w.trace.note(n, "starts")
	p.view.Apply(n.memory, now)
	if n.w.s.Fast {
		p.sentinel = sentinel.New(cfg.Fast)
	}
	p.turn()
	p.read()
	if n.w.s.Checks != unchecked {
		n.w.after(n.dice.upTo(2*n.w.timers.mature), p, n.judgeHealth)
	}
}

// kill ends the daemon as SIGKILL does: what it has sent goes on, what it has in the kernel stays.
func (n *node) kill() {
	p := n.proc
	if p == nil {
		return
	}
	n.w.trace.note(n, "is killed")
	n.w.judge.stops(n)
	p.end()
}

func (p *process) end() {
	p.dead = true
	p.n.proc = nil
	if p.feed != nil {
		p.feed.close()
	}
}

// post hands facts to the loop, which decides once about all of them.
func (p *process) post(facts ...plan.Fact) {
	for _, f := range facts {
		p.n.w.trace.fact(p.n, f)
	}
	if p.hung > p.n.w.now {
		p.inbox = append(p.inbox, facts...)
		return
	}
	p.drain()
	for _, f := range facts {
		p.view.Apply(f, p.n.instant())
	}
	p.turn()
}

// drain folds what came while the loop hung.
func (p *process) drain() {
	for _, f := range p.inbox {
		p.view.Apply(f, p.n.instant())
	}
	p.inbox = nil
}

// resume lets a loop that hung go on.
func (p *process) resume() {
	if p.hung > p.n.w.now {
		return
	}
	p.drain()
	p.n.w.judge.runs(p.n)
	p.turn()
}

// turn is one turn of coordinator.Coordinator's loop.
func (p *process) turn() {
	w := p.n.w
	now := p.n.instant()
	if now.Boot-p.turned > turnEvery+pauseMost {
		p.view.Apply(plan.Paused{Why: "it did not run"}, now)
	}
	p.turned = now.Boot
	actions, wake := plan.Decide(p.view, now)
	p.afresh(now, actions, wake)
	p.view.Dispatched(actions, now)
	for _, c := range p.view.Changes(now) {
		w.judge.told(p, c)
	}
	for _, a := range actions {
		w.trace.action(p.n, a)
		w.moment(p.n, a)
		p.dispatch(a)
		if p.dead {
			return
		}
	}
	p.show()
	p.remember()
	w.trace.notes(p.n, p.view)
	switch {
	case p.view.Done():
		p.n.memory = p.view.Remember() // there is nothing to adopt
		p.exit()
		return
	case p.leaving && now.Boot > p.limit:
		p.exit()
		return
	}
	p.wake = wake
	p.rest(now.Boot)
}

// rest is until the core has asked to be called, or until the loop turns all the same, to see whether time went by unseen.
func (p *process) rest(now time.Duration) {
	p.timer = p.n.w.now + p.n.clock.until(min(max(p.wake-now, 0), turnEvery))
	p.arm()
}

// arm sees to it that an event comes not later than the next wake-up.
func (p *process) arm() {
	if p.waking <= p.timer {
		return
	}
	at := p.timer
	p.waking = at
	p.n.w.at(at, p, func() {
		if p.waking != at {
			return // an earlier one took its place
		}
		p.waking = never
		switch {
		case p.hung > p.n.w.now:
		case p.n.w.now < p.timer:
			p.arm()
		case p.idle():
			p.rest(p.turned)
		default:
			p.turn()
		}
	})
}

// idle turns the loop once if that needs no decision: no fact has come, and the core has said that it has nothing to do yet.
func (p *process) idle() bool {
	now := p.n.bootTime()
	if p.leaving || now >= p.wake || now-p.turned > turnEvery+pauseMost {
		return false
	}
	p.turned = now
	p.n.w.events-- // nothing happened
	return true
}

// leave is SIGTERM.
func (p *process) leave() {
	if p.leaving {
		return
	}
	p.leaving = true
	p.limit = p.n.bootTime() + leaveWithin + leaveGrace
	p.post(plan.Leave{Deadline: p.n.bootTime() + leaveWithin})
}

// As in package coordinator.
const (
	turnEvery = 100 * time.Millisecond
	pauseMost = 200 * time.Millisecond

	leaveWithin = 5 * time.Second
	leaveGrace  = time.Second
)

// exit ends a daemon in good order: nothing stays up.
func (p *process) exit() {
	p.n.w.trace.note(p.n, "exits")
	for i := range p.n.kernel.slots {
		p.n.kernel.drop(i)
	}
	p.n.w.judge.stops(p.n)
	p.end()
}
