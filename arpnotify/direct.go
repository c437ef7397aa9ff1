package arpnotify

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"
)

const (
	// noticeMost is how many hosts of a Notice are told.
	noticeMost = 1 << 16
	// batch is how many hosts are told before others have a turn of the lock, which a first announcement may wait for: 0.2 ms.
	batch = 64
	// perNeighbor is the share of Config.Rate that one neighbour takes: two frames to one host cost the others on a LAN nothing, so
	// there may be twice as many hosts a second as frames to all.
	perNeighbor = 2
)

// An Audience is who is told of the addresses on a link directly, besides all who hear what is broadcast.
type Audience struct {
	// Subnets are those of the link. A neighbour is told of an address when one of them holds both, or none holds the address.
	Subnets []netip.Prefix
	// Notices are hosts that are told whether anybody has seen them or not.
	Notices []Notice
	// Neighbors are hosts that were seen, with the Ethernet addresses that they had; one host may have several. What is no
	// Ethernet address of a single host is ignored.
	Neighbors []Neighbor
}

// A Notice names hosts by their addresses. More than 65536 are not told.
type Notice struct {
	First, Last netip.Addr // both included, of one family
	PerSecond   int        // hosts told a second, all announced addresses together; 0: 1
}

// A Neighbor is a host on a link.
type Neighbor struct {
	Addr     netip.Addr
	Hardware [6]byte // its Ethernet address; zero: not known
}

// single tells whether the addresses can be those of one host.
func (h Neighbor) single() bool {
	return canHold(plain(h.Addr)) && h.Hardware != hardware{} && h.Hardware[0]&1 == 0
}

// SetAudience says who is told directly about the addresses on link, in place of who was before. Nobody is until it is called.
//
// Each host is told of an address once its first announcement to all has left, so that those never wait for it, and again a second
// later and when Config.Settle is over; not at a refresh, and not of an address that was kept. A notice is two ARP frames or one of
// neighbour discovery; it is asked for like any other frame, and Stop ends it. Notices leave in turn for all addresses, neighbours
// at Config.Rate x 2 a second after a burst of 64.
func (a *Announcer) SetAudience(link string, to Audience) {
	hosts := slices.DeleteFunc(slices.Clone(to.Neighbors), func(h Neighbor) bool { return !h.single() })
	known := make(map[netip.Addr]hardware, len(hosts))
	for _, h := range hosts {
		known[plain(h.Addr)] = h.Hardware
	}
	desks := []*desk{neighborDesk(hosts, to, pace{interval: a.pace / perNeighbor, burst: batch})}
	for i, n := range to.Notices {
		if !slices.Contains(to.Notices[:i], n) {
			desks = append(desks, noticeDesk(n, to, known))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	l, now := a.link(link), a.now()
	old := l.desks
	l.desks = desks
	for i, d := range l.desks {
		if i == 0 && old != nil {
			d.take(old[0])
			continue
		}
		if at := slices.IndexFunc(old, func(o *desk) bool { return o.notice == d.notice }); i > 0 && at > 0 {
			d.take(old[at])
			continue
		}
		for _, n := range l.addrs { // a new desk, for what has just been announced as well
			if n.round > 0 && n.round < len(a.times.rounds) {
				d.begin(n, now)
			}
		}
	}
	a.nudge()
}

// passes are the times of telling a host, counted from the first announcement.
func passes(settle time.Duration) []time.Duration {
	p := []time.Duration{0, time.Second}
	if settle > time.Second {
		p = append(p, settle)
	}
	return p
}

// A desk tells one list of hosts of every address that is announced on its link.
type desk struct {
	notice Notice // zero: of the neighbours
	hosts  int
	host   func(i int) Neighbor
	hears  func(h, addr netip.Addr) bool
	pace   pace
	tours  map[netip.Addr]*tour
	order  agenda
}

// A tour goes through the hosts of a desk for one address, once for each pass.
type tour struct {
	n          *announcement
	pass, next int // the pass, and the host in it that comes next
	start, due time.Duration
	at         int // its place in the agenda
}

func neighborDesk(list []Neighbor, to Audience, p pace) *desk {
	host := func(i int) Neighbor { return Neighbor{plain(list[i].Addr), list[i].Hardware} }
	return &desk{hosts: len(list), host: host, hears: to.hears, pace: p, tours: map[netip.Addr]*tour{}}
}

func noticeDesk(n Notice, to Audience, known map[netip.Addr]hardware) *desk {
	first := n.First
	return &desk{
		notice: n,
		hosts:  min(distance(n.First, n.Last)+1, noticeMost),
		host: func(i int) Neighbor {
			h := nth(first, i)
			return Neighbor{h, known[h]}
		},
		hears: func(h, addr netip.Addr) bool { return canHold(h) && !to.ends(h) },
		pace:  pace{interval: time.Second / time.Duration(max(n.PerSecond, 1)), burst: 1},
		tours: map[netip.Addr]*tour{},
	}
}

// hears tells whether a host has a use for news of addr: one in another subnet reaches it through a router.
func (to Audience) hears(h, addr netip.Addr) bool {
	within := false
	for _, p := range to.Subnets {
		if p.Contains(addr) {
			if within = true; p.Contains(h) {
				return true
			}
		}
	}
	return !within
}

// ends tells whether h is the first or last address of an IPv4 subnet of the link, which no host has.
func (to Audience) ends(h netip.Addr) bool {
	return h.Is4() && slices.ContainsFunc(to.Subnets, func(p netip.Prefix) bool {
		return p.Bits() < 31 && p.Contains(h) && (!p.Contains(h.Prev()) || !p.Contains(h.Next()))
	})
}

// distance is how many addresses last is after first, as far as that matters; -1 when they are no range.
func distance(first, last netip.Addr) int {
	if !first.IsValid() || first.BitLen() != last.BitLen() || last.Less(first) {
		return -1
	}
	a, b := first.As16(), last.As16()
	if !bytes.Equal(a[:8], b[:8]) {
		return noticeMost
	}
	return int(min(binary.BigEndian.Uint64(b[8:])-binary.BigEndian.Uint64(a[8:]), noticeMost))
}

// nth is the address i after first, in the same half of an IPv6 address.
func nth(first netip.Addr, i int) netip.Addr {
	b := first.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+uint64(i))
	a := netip.AddrFrom16(b)
	if first.Is4() {
		return a.Unmap()
	}
	return a
}

// begin starts the tours of n, anew if they are under way.
func (l *link) begin(n *announcement, now time.Duration) {
	for _, d := range l.desks {
		d.begin(n, now)
	}
}

func (d *desk) begin(n *announcement, now time.Duration) {
	d.drop(n.addr)
	if d.notice != (Notice{}) && (d.hosts <= 0 || d.notice.First.BitLen() != n.addr.BitLen()) {
		return // for neighbours there is a tour even if there are none: some may be known by its next pass
	}
	t := &tour{n: n, start: now, due: now}
	d.tours[n.addr] = t
	heap.Push(&d.order, t)
}

// drop ends the tour of an address.
func (d *desk) drop(addr netip.Addr) {
	if t := d.tours[addr]; t != nil {
		heap.Remove(&d.order, t.at)
		delete(d.tours, addr)
	}
}

func (d *desk) clear() {
	clear(d.tours)
	d.order = nil
}

// take carries on what another desk was at.
func (d *desk) take(o *desk) { d.tours, d.order, d.pace.full = o.tours, o.order, o.pace.full }

// advance moves the tour, whose present host is dealt with, on to the next one.
func (d *desk) advance(t *tour, passes []time.Duration, now time.Duration) {
	t.due = now
	if t.next++; t.next >= d.hosts {
		if t.next, t.pass = 0, t.pass+1; t.pass == len(passes) {
			d.drop(t.n.addr)
			return
		}
		t.due = max(now, t.start+passes[t.pass])
	}
	heap.Fix(&d.order, t.at)
}

// visit tells single hosts, as far as their paces allow, when all that goes to everybody has left.
func (a *Announcer) visit(l *link, now time.Duration) error {
	if l.ready.Len() > 0 || now < l.deskAt {
		return nil
	}
	var f face
	for i := range batch {
		d, t := l.due(now)
		if d == nil {
			return nil
		}
		if i == 0 {
			var err error
			if f, err = a.look(l); err == nil && !f.carrier {
				err = ErrNoCarrier
			}
			if err != nil {
				return a.failed(l, now, err)
			}
			if !bytes.Equal(l.mac, f.mac) {
				l.mac = f.mac
				l.restart(now) // all are told first
				return nil
			}
		}
		switch err := a.tell(l, d, t, f, now); {
		case errors.Is(err, errFull):
			a.counters.Deferred++
			l.deskAt = now + retryFull
			return nil
		case err != nil:
			return a.failed(l, now, err)
		}
		d.advance(t, a.passes, now)
	}
	return nil
}

// due returns a desk that may tell somebody now, and of what.
func (l *link) due(now time.Duration) (*desk, *tour) {
	for _, d := range l.desks {
		if len(d.order) > 0 && d.order[0].due <= now && d.pace.next() <= now {
			return d, d.order[0]
		}
	}
	return nil, nil
}

// nextVisit is when somebody is to be told.
func (l *link) nextVisit(now time.Duration) time.Duration {
	at := never
	for _, d := range l.desks {
		if len(d.order) == 0 {
			continue
		}
		due := max(d.order[0].due, l.deskAt)
		if p := d.pace.next(); p > max(due, now) {
			due = max(p, now+paceStep)
		}
		at = min(at, due)
	}
	return at
}

// tell tells one host of one address, if it has a use for it and that is still allowed at the last moment.
func (a *Announcer) tell(l *link, d *desk, t *tour, f face, now time.Duration) error {
	if t.next >= d.hosts { // there are fewer now
		return nil
	}
	h, addr := d.host(t.next), t.n.addr
	if h.Addr.BitLen() != addr.BitLen() || h.Addr == addr || !d.hears(h.Addr, addr) || bytes.Equal(h.Hardware[:], f.mac) {
		return nil
	}
	for part := range parts(addr) {
		b, err := frameTo(h, addr, part, f)
		if err != nil {
			return err
		}
		if !t.n.allowed() {
			a.counters.Withheld++
			continue
		}
		if err := l.wire.send(b); err != nil {
			return err
		}
		a.counters.Directed++
	}
	d.pace.spend(now)
	return nil
}

// An agenda is a heap of tours: what is due first, and of those the one that has got least far.
type agenda []*tour

// Len, Less, Swap, Push and Pop are for container/heap.
func (q agenda) Len() int { return len(q) }
func (q agenda) Less(i, j int) bool {
	if q[i].due != q[j].due {
		return q[i].due < q[j].due
	}
	return q[i].next < q[j].next
}
func (q agenda) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}
func (q *agenda) Push(x any) {
	t := x.(*tour)
	t.at = len(*q)
	*q = append(*q, t)
}
func (q *agenda) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return t
}
