package arpnotify

import (
	"container/heap"
	"hash/crc32"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// What may leave a link at once, and how fast what comes after that. A second frame or a repeat can wait; the first frame of an
// address ends an outage, so as many leave at once as the weakest receiver bears.
const (
	// burst is how many frames of any kind leave at once before Config.Rate applies.
	burst = 128
	// firstBurst is how many first frames do. A Linux receiver without polling queues 1000 packets
	// (net.core.netdev_max_backlog) and common network cards have rings of 512, should its processor be busy all the while;
	// a switch that limits broadcasts to 1 % of a gigabit passes 1488 frames in the tenth of a second over which it counts.
	firstBurst = 512
	// perFirst is how many first frames pass for each frame of Config.Rate after that: with 1000, 7 Mbit/s on the wire.
	perFirst = 10
)

// repeats are the delays of the announcements after the first one was sent: close together for the frame that is lost, and then
// each after twice the time, for a LAN that forwards nothing for a while, such as one whose spanning tree settles (30 s by IEEE
// 802.1D), so that its hosts need not wait for the refresh.
var repeats = [...]time.Duration{
	0, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
	8 * time.Second, 16 * time.Second, 32 * time.Second,
}

// timetable says when an address is announced: at the rounds, counted from its first frame, and then every refresh.
type timetable struct {
	rounds  []time.Duration
	refresh time.Duration // 0: never
}

// newTimetable leaves out the repeats that would come later than a refresh.
func newTimetable(settle, refresh time.Duration) timetable {
	rounds := []time.Duration{repeats[0]}
	for i, at := range repeats[1:] {
		if refresh > 0 && at-repeats[i] > refresh {
			break
		}
		rounds = append(rounds, at)
	}
	if settle > 0 {
		rounds = append(rounds, settle)
		slices.Sort(rounds)
	}
	return timetable{rounds: rounds, refresh: refresh}
}

// after is when n, of which a round has just ended, is due again; ok is false when that was the last round.
func (t timetable) after(n *announcement, now time.Duration) (due time.Duration, ok bool) {
	if n.round < len(t.rounds) {
		// A round that is late, because the process was stopped or the link is paced, must not meet the next one.
		gap := t.rounds[n.round] - t.rounds[n.round-1]
		return max(n.start+t.rounds[n.round], now+gap/2), true
	}
	if t.refresh <= 0 {
		return 0, false
	}
	last := now - phase(n.addr, t.refresh)
	return now + t.refresh - ((last%t.refresh)+t.refresh)%t.refresh, true
}

// phase is the fixed place of addr within the refresh period: every address has its own, and the next refresh is never
// more than one period away.
func phase(addr netip.Addr, refresh time.Duration) time.Duration {
	b := addr.As16()
	hi, _ := bits.Mul64(uint64(refresh), uint64(crc32.ChecksumIEEE(b[:]))<<32)
	return time.Duration(hi)
}

// An announcement is one address on one link. It is in at most one queue.
type announcement struct {
	addr    netip.Addr
	allowed func() bool

	round int           // the announcement that comes next; len(rounds): a refresh
	part  int           // the frame of it that comes next
	start time.Duration // when the first frame of round 0 was sent
	due   time.Duration

	in *queue // nil: nothing is planned
	at int    // its place there
}

// rank orders what is due: the first part of every address before the second part of any, and so on.
func (n *announcement) rank() int { return 2*n.round + n.part }

// first tells whether no frame of the schedule has left: until one has, neighbours do not know of the address.
func (n *announcement) first() bool { return n.rank() == 0 }

// advance moves n, whose present frame is dealt with, to its next one. It reports false when there is none.
func (n *announcement) advance(t timetable, now time.Duration) bool {
	if n.round == 0 && n.part == 0 {
		n.start = now
	}
	if n.part++; n.part < parts(n.addr) {
		n.due = now
		return true
	}
	n.part = 0
	n.round = min(n.round+1, len(t.rounds))
	due, ok := t.after(n, now)
	n.due = due
	return ok
}

// restart makes the whole schedule of n due again, from now on.
func (n *announcement) restart(now time.Duration) { n.round, n.part, n.due = 0, 0, now }

// A queue is a heap of announcements, the first by less at the front.
type queue struct {
	items []*announcement
	less  func(a, b *announcement) bool
}

// byDue is the order of what is waiting, byRank the order of what may be sent.
func byDue(a, b *announcement) bool { return a.due < b.due }
func byRank(a, b *announcement) bool {
	if a.rank() != b.rank() {
		return a.rank() < b.rank()
	}
	return a.due < b.due
}

func (q *queue) front() *announcement {
	if len(q.items) == 0 {
		return nil
	}
	return q.items[0]
}

func (q *queue) add(n *announcement) { n.in = q; heap.Push(q, n) }

// take removes n from the queue that it is in, if any.
func (n *announcement) take() {
	if n.in != nil {
		heap.Remove(n.in, n.at)
		n.in = nil
	}
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (q *queue) Len() int           { return len(q.items) }
func (q *queue) Less(i, j int) bool { return q.less(q.items[i], q.items[j]) }
func (q *queue) Swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].at, q.items[j].at = i, j
}
func (q *queue) Push(x any) {
	n := x.(*announcement)
	n.at = len(q.items)
	q.items = append(q.items, n)
}
func (q *queue) Pop() any {
	last := len(q.items) - 1
	n := q.items[last]
	q.items[last] = nil
	q.items = q.items[:last]
	return n
}

// A pace lets burst frames pass at once and then one per interval: the virtual scheduling form of a leaky bucket (ITU-T
// I.371). The zero credit is a full one.
type pace struct {
	interval time.Duration
	burst    time.Duration // a number, at least 1
	full     time.Duration // when the whole burst is available again
}

// next is when a frame may pass; not after now: at once.
func (p *pace) next() time.Duration { return p.full - (p.burst-1)*p.interval }

// spend takes one frame out of the credit.
func (p *pace) spend(now time.Duration) { p.full = max(p.full, now) + p.interval }
