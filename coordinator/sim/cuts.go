package sim

import "time"

// split is a LAN that has fallen in two.
type split struct {
	until   time.Duration
	far     uint // the nodes on the far side, one bit each
	gateway bool // it is there as well
}

// cut tells whether the node's LAN port passes nothing.
func (n *node) cut() bool { return n.lanCut > n.w.now }

// far tells on which side of the LAN the node is; the gateway is the node nil.
func (s split) isFar(n *node) bool {
	if n == nil {
		return s.gateway
	}
	return s.far>>n.id&1 != 0
}

// hears tells whether frames pass between two nodes. The gateway is the node nil.
func (n *node) hears(o *node) bool {
	if n == nil {
		n, o = o, n
	}
	if n == nil || n.cut() || o != nil && o.cut() {
		return false
	}
	s := n.w.split
	return s.until <= n.w.now || s.isFar(n) == s.isFar(o)
}

// cutLAN cuts a node off the LAN for a while. Its carrier stays.
func (w *world) cutLAN(n *node, d time.Duration) {
	n.lanCut = max(n.lanCut, w.now+d)
	n.frozen()
	w.at(n.lanCut, nil, func() { w.heals(n) })
}

// splitLAN lets the LAN fall in two for a while.
func (w *world) splitLAN(f Fault) {
	one := uint(f.Node % len(w.nodes))
	s := split{until: w.now + f.For, far: 1 << one, gateway: f.VIP&2 != 0}
	if f.VIP&1 != 0 {
		s.far |= 1 << ((one + 1) % uint(len(w.nodes)))
	}
	w.split = s
	for _, n := range w.nodes {
		n.frozen()
	}
	w.at(s.until, nil, func() { w.heals(w.nodes...) })
}

// heals is told that nodes may be heard again.
func (w *world) heals(nodes ...*node) {
	for _, n := range nodes {
		n.healed = w.now
		n.frozen()
	}
	w.judge.changed = true // two that could not hear each other now can
	w.after(healMost+time.Microsecond, nil, func() { w.judge.changed = true })
}

// healMost is how long two may answer after a cut has healed.
const healMost = 10 * time.Millisecond

// frozen notes that the node was cut off, from all or from some, while its daemon could not take its addresses down: what follows is not promised, until the
// kernel has ended them.
func (n *node) frozen() {
	cut := n.lanCut >= n.w.now && n.lanCut > 0 || n.w.split.until >= n.w.now && n.w.split.until > 0
	if cut && (n.stopped >= 0 || n.trouble(Stall) || n.trouble(KernelFails)) {
		n.excused = n.w.now + n.clock.until(n.cfg.Hold+n.cfg.CheckTimeout) + n.w.timers.late
	}
}

// excuses tells whether fast mode allows that both have an address up: they cannot hear each other, could not 10 ms ago, or one could not act while it was cut.
func (w *world) excuses(a, b *node) bool {
	if !w.s.Fast {
		return false
	}
	if !a.hears(b) {
		return true
	}
	for _, n := range []*node{a, b} {
		if n.healed > 0 && w.now < n.healed+healMost || w.now < n.excused {
			return true
		}
	}
	return false
}
