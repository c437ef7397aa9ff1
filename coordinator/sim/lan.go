package sim

import (
	"net/netip"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// fastTimers are those of fast takeover. They are in proportion to both sets of the other timers.
var fastTimers = sentinel.Config{Interval: 50 * time.Millisecond, Misses: 4, Grace: 150 * time.Millisecond}

// gatewayAddr is a host on the LAN that always answers.
var gatewayAddr = netip.AddrFrom4([4]byte{192, 0, 2, 254})

// frameMost is how long a frame takes, at the most, if nothing is wrong.
const frameMost = 2 * time.Millisecond

func (n *node) mac() sentinel.MAC { return sentinel.MAC{byte(n.id + 1)} }

// frame sends something over the LAN; then runs when it arrives. The gateway is the node nil.
func (w *world) frame(from, to *node, p *process, then func()) {
	d := &w.nodes[0].dice
	if from != nil {
		d = &from.dice
	}
	took := d.upTo(frameMost)
	if w.noise(d, 20) {
		return // lost
	}
	w.after(took, p, func() {
		if from.hears(to) {
			then()
		}
	})
}

// show tells the sentinel what the view has become, as coordinator.Coordinator.show does.
func (p *process) show() {
	if p.sentinel == nil || p.view.WatchedVersion() == p.shown {
		return
	}
	p.shown = p.view.WatchedVersion()
	waits := p.watched != nil
	v := p.view.Watched()
	p.watched = &v
	if waits {
		return // it takes the place of an older one
	}
	p.n.w.after(p.n.dice.upTo(time.Millisecond), p, func() {
		v := *p.watched
		p.watched = nil
		v.Witnesses = []sentinel.Host{{Link: linkName, Addr: gatewayAddr}}
		p.observe(&v)
	})
}

// heard is something that arrived and waits to be looked at.
type heard struct {
	fact sentinel.Fact
	at   time.Duration // boot time
}

// hear is what the kernel does with a frame, also while the process does not run.
func (p *process) hear(f sentinel.Fact) { p.heard = append(p.heard, heard{f, p.n.bootTime()}) }

// observe is a turn of coordinator.Coordinator.sentinelLane: the sentinel hears what waits, is told of a view, and decides.
func (p *process) observe(v *sentinel.Viewed) {
	if p.sentinel == nil {
		return
	}
	for _, h := range p.heard {
		p.sentinel.Apply(h.fact, h.at)
	}
	p.heard = p.heard[:0]
	if v != nil {
		p.sentinel.Apply(*v, p.n.bootTime())
	}
	actions, wake := p.sentinel.Decide(p.n.bootTime())
	for _, a := range actions {
		if probe, ok := a.(sentinel.Probe); ok {
			p.askFor(probe)
			continue
		}
		if c, ok := a.(sentinel.Contact); ok && p.n.w.mutant.noQuarantine {
			c.Lost = false
			a = c
		}
		p.n.w.trace.sentinel(p.n, a)
		p.deciding = max(p.deciding, p.n.w.now+p.n.dice.upTo(time.Millisecond)) // in order
		p.n.w.at(p.deciding, p, func() { p.post(plan.SentinelDecided{Action: a}) })
	}
	at := p.n.w.now + p.n.clock.until(min(max(wake-p.n.bootTime(), 0), time.Second))
	if p.guarding > p.n.w.now && p.guarding <= at {
		return
	}
	p.guarding = at
	p.n.w.at(at, p, func() {
		if p.guarding == at {
			p.observe(nil)
		}
	})
}

// askFor is arpnotify's Sentry: kernels answer, whatever the daemons there do.
func (p *process) askFor(a sentinel.Probe) {
	w, n := p.n.w, p.n
	answer := func(from *node, mac sentinel.MAC) {
		w.frame(from, n, nil, func() { p.hear(sentinel.Answered{Host: a.Host, MAC: mac}) })
	}
	if a.Addr == gatewayAddr {
		w.frame(n, nil, nil, func() { answer(nil, sentinel.MAC{254}) })
		return
	}
	for _, o := range w.nodes {
		if o == n || a.MAC != (sentinel.MAC{}) && a.MAC != o.mac() {
			continue
		}
		w.frame(n, o, nil, func() {
			for i := range o.kernel.slots {
				if o.kernel.up>>i&1 != 0 && slotAddress(i).Prefix.Addr() == a.Addr {
					answer(o, o.mac())
					if o.proc != nil && a.MAC != (sentinel.MAC{}) {
						o.proc.hear(sentinel.Questioned{Link: linkName, MAC: n.mac(), Sure: true})
					}
				}
			}
		})
	}
}

// contest is leases.Store.Commit with conditions of its own.
func (p *process) contest(a plan.Contest) {
	p.call(writes, writeTimeout, func(fate) plan.Fact {
		return plan.ContestAnswered{Contest: a, Applied: p.n.w.etcd.contest(p.n.name, a)}
	}, func(err error) plan.Fact { return plan.ContestAnswered{Contest: a, Err: err} })
}

func (e *etcd) contest(node string, a plan.Contest) bool {
	if e.member(node) != a.MemberRev {
		return false
	}
	for _, g := range a.Guards {
		rev := e.keys[g.Key].Mod
		if g.Created {
			rev = e.keys[g.Key].Create
		}
		if (rev == g.Rev) == g.Not {
			return false
		}
	}
	e.txn(func(rev int64) {
		for _, put := range a.Puts {
			e.put(rev, put.Key, put.Value, put.Lease)
		}
		for _, key := range a.Deletes {
			e.del(rev, key)
		}
	})
	return true
}
