package judge

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Change is one address going up or down on one machine. A refresh of an address that is up is none.
type Change struct {
	At  time.Duration // since boot, on CLOCK_BOOTTIME, when the judge read it
	VIP netip.Addr
	// Node is the machine's name.
	Node string
	// Up is true for added, false for deleted.
	Up bool
}

func (c Change) String() string {
	sign := '-'
	if c.Up {
		sign = '+'
	}
	return fmt.Sprintf("%.6f %c %s %s", c.At.Seconds(), sign, c.VIP, c.Node)
}

// Kind says what connected the two machines of an overlap.
type Kind int

const (
	Connected Kind = iota // both LAN ports were connected when it began
	Apart                 // a port was cut when it began, and they never were both connected while it lasted
	Healing               // a port was cut when it began, and it was still there when both were connected
)

func (k Kind) String() string { return [...]string{"connected", "apart", "healing"}[k] }

// Overlap is a stretch of time in which two machines had one address up. Three holders make three overlaps, one for each pair.
type Overlap struct {
	VIP   netip.Addr
	Nodes [2]string     // sorted
	At    time.Duration // since boot, when the second machine had it up
	For   time.Duration // until one of them had it no longer, or until now
	// Together is the part of For during which both machines were connected. For a Healing overlap it is how long two hosts answered after
	// the cut had healed.
	Together time.Duration
	Kind     Kind
	Ongoing  bool
}

func (o Overlap) String() string {
	s := fmt.Sprintf("%s up on %s and %s for %v at %.6f (%s, together %v)", o.VIP, o.Nodes[0], o.Nodes[1], o.For, o.At.Seconds(), o.Kind, o.Together)
	if o.Ongoing {
		s += ", still"
	}
	return s
}

// An instance is one appearance of an address on a machine: the kernel allows the same one on several interfaces and with several prefixes.
type instance struct {
	index  uint32 // of the interface
	vip    netip.Addr
	prefix netip.Prefix // IFA_ADDRESS and prefix length
}

// The ledger holds what is up where, and what that meant. It is pure: the judge hands in changes in their order, and the time.
//
// Invariant: holders[vip] is the sorted list of the machines with at least one instance of vip, and open has one entry for each pair of them.
type ledger struct {
	strict    bool
	healLimit time.Duration

	up       map[string]map[netip.Addr][]instance // by machine
	cut      map[string]bool                      // machines whose LAN port is not connected
	holders  map[netip.Addr][]string
	open     map[pair]*meeting
	meetings []*meeting // all, by their beginning
	history  []Change
}

type pair struct {
	vip  netip.Addr
	a, b string // sorted
}

// A meeting is an overlap as the ledger keeps it. The fields of Overlap are complete up to since.
type meeting struct {
	Overlap
	since time.Duration
}

func newLedger(strict bool, healLimit time.Duration) *ledger {
	return &ledger{
		strict: strict, healLimit: healLimit,
		up:  map[string]map[netip.Addr][]instance{},
		cut: map[string]bool{}, holders: map[netip.Addr][]string{}, open: map[pair]*meeting{},
	}
}

// set notes that an instance is up or not. It returns the change that this makes for the machine, if any, and the overlaps that began or ended.
func (l *ledger) set(at time.Duration, node string, i instance, up bool) (c Change, changed bool, met []Overlap) {
	on := l.up[node]
	if on == nil {
		on = map[netip.Addr][]instance{}
		l.up[node] = on
	}
	was := len(on[i.vip])
	switch at := slices.Index(on[i.vip], i); {
	case up && at < 0:
		on[i.vip] = append(on[i.vip], i)
	case !up && at >= 0:
		on[i.vip] = slices.Delete(on[i.vip], at, at+1)
	}
	now := len(on[i.vip])
	if now == 0 {
		delete(on, i.vip)
	}
	if (was > 0) == (now > 0) {
		return Change{}, false, nil // a refresh, or another instance of the address was or is up there
	}
	c = Change{At: at, VIP: i.vip, Node: node, Up: up}
	l.history = append(l.history, c)
	if up {
		return c, true, l.raise(at, i.vip, node)
	}
	return c, true, l.lower(at, i.vip, node)
}

func (l *ledger) raise(at time.Duration, vip netip.Addr, node string) (met []Overlap) {
	for _, other := range l.holders[vip] {
		p := pairOf(vip, node, other)
		m := &meeting{Overlap: Overlap{VIP: vip, Nodes: [2]string{p.a, p.b}, At: at, Ongoing: true}, since: at}
		if l.cut[node] || l.cut[other] {
			m.Kind = Apart
		}
		l.open[p] = m
		l.meetings = append(l.meetings, m)
		met = append(met, m.Overlap)
	}
	i, _ := slices.BinarySearch(l.holders[vip], node)
	l.holders[vip] = slices.Insert(l.holders[vip], i, node)
	return met
}

func (l *ledger) lower(at time.Duration, vip netip.Addr, node string) (met []Overlap) {
	left := slices.DeleteFunc(l.holders[vip], func(n string) bool { return n == node })
	l.holders[vip] = left
	if len(left) == 0 {
		delete(l.holders, vip)
	}
	for _, other := range left {
		p := pairOf(vip, node, other)
		m := l.open[p]
		l.advance(m, at)
		m.Ongoing = false
		delete(l.open, p)
		met = append(met, m.Overlap)
	}
	return met
}

// advance brings an open meeting's figures up to now.
func (l *ledger) advance(m *meeting, now time.Duration) {
	d := now - m.since
	m.since = now
	m.For += d
	if !l.cut[m.Nodes[0]] && !l.cut[m.Nodes[1]] {
		m.Together += d
	}
}

func (l *ledger) setConnected(now time.Duration, node string, connected bool) {
	for _, m := range l.open {
		l.advance(m, now)
	}
	l.cut[node] = !connected
	for _, m := range l.open {
		if m.Kind == Apart && !l.cut[m.Nodes[0]] && !l.cut[m.Nodes[1]] {
			m.Kind = Healing
		}
	}
}

// instances returns what a machine has up, in no order.
func (l *ledger) instances(node string) (all []instance) {
	for _, of := range l.up[node] {
		all = append(all, of...)
	}
	return all
}

// forget takes a machine out. What it had up must have been set down before.
func (l *ledger) forget(node string) {
	delete(l.up, node)
	delete(l.cut, node)
}

func (l *ledger) overlaps(now time.Duration) []Overlap {
	for _, m := range l.open {
		l.advance(m, now)
	}
	all := make([]Overlap, len(l.meetings))
	for i, m := range l.meetings {
		all[i] = m.Overlap
	}
	return all
}

// fault tells whether an overlap breaks the promise of the mode.
func (l *ledger) fault(o Overlap) bool {
	return l.strict || o.Kind == Connected || o.Kind == Healing && l.healLimit > 0 && o.Together > l.healLimit
}

func pairOf(vip netip.Addr, a, b string) pair {
	if b < a {
		a, b = b, a
	}
	return pair{vip, a, b}
}
