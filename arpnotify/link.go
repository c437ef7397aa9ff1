package arpnotify

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// retryFirst and retryMost bound the wait before a link that could not send is tried again; it doubles in between.
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Second
	// retryFull is the wait after a full send queue, which a 10 Mbit/s link of 60 byte frames empties by 150 frames.
	retryFull = 10 * time.Millisecond
	// paceStep is the least wait for the pace, so that a paced link wakes the process 200 times per second, not for
	// each frame.
	paceStep = 5 * time.Millisecond
	// never is a time that does not come.
	never = time.Duration(1<<63 - 1)
)

// A link is what is announced on one interface, with its socket and its pace. It is kept, with its socket, when the
// last address leaves: the next first frame then waits for nothing.
type link struct {
	name    string
	addrs   map[netip.Addr]*announcement
	waiting queue         // by time: not due yet
	ready   queue         // by rank: due, held up by the pace or a failure
	pace    pace          // of all frames, though first ones do not wait for it
	firsts  pace          // of first frames
	desks   []*desk       // who is told directly; nil: nobody said so far
	deskAt  time.Duration // not before: the send queue was full

	wire    wire             // nil: not open
	mac     net.HardwareAddr // as the last look found it
	failure string           // why the last try failed; empty: it did not
	retryAt time.Duration    // not before
	backoff time.Duration    // the wait that led to retryAt
}

func newLink(name string, interval time.Duration) *link {
	return &link{
		name:    name,
		addrs:   make(map[netip.Addr]*announcement),
		waiting: queue{less: byDue},
		ready:   queue{less: byRank},
		pace:    pace{interval: interval, burst: burst},
		firsts:  pace{interval: interval / perFirst, burst: firstBurst},
	}
}

// pump sends what is due on l as far as the pace allows, what was announced least often first. It reports why the
// link cannot send; what was due then stays due.
func (a *Announcer) pump(l *link, now time.Duration) error {
	l.promote(now)
	if l.readyAt() > now {
		return nil
	}
	f, err := a.look(l)
	if err != nil {
		return a.failed(l, now, err)
	}
	if l.mac != nil && !bytes.Equal(l.mac, f.mac) {
		l.restart(now)
	}
	l.mac = f.mac
	for l.readyAt() <= now {
		n := l.ready.front()
		switch err := a.sendNext(l, n, f); {
		case errors.Is(err, errFull):
			a.counters.Deferred++
			l.retryAt = now + retryFull
			return nil
		case errors.Is(err, errWithheld):
			a.counters.Withheld++
		case err != nil:
			return a.failed(l, now, err)
		default:
			a.sent(l, n, now)
		}
		n.take()
		first := n.round == 0
		if n.advance(a.times, now) {
			l.plan(n, now)
		}
		if first && n.round > 0 {
			l.begin(n, now)
		}
	}
	return nil
}

// errWithheld says that the caller no longer allows the frame.
var errWithheld = errors.New("withheld")

// sendNext makes and sends the next frame of n, if that is still allowed at the last moment.
func (a *Announcer) sendNext(l *link, n *announcement, f face) error {
	b, err := frame(n.addr, n.part, f)
	if err != nil {
		return err
	}
	if !n.allowed() {
		return errWithheld
	}
	if err := l.wire.send(b); err != nil {
		return err
	}
	if !f.carrier {
		return ErrNoCarrier
	}
	return nil
}

// sent notes a frame that left, and that the link works.
func (a *Announcer) sent(l *link, n *announcement, now time.Duration) {
	if n.addr.Is4() {
		a.counters.SentIPv4++
	} else {
		a.counters.SentIPv6++
	}
	l.pace.spend(now)
	if n.first() {
		l.firsts.spend(now)
	}
	l.retryAt, l.backoff = 0, 0
	if l.failure != "" {
		a.log.Info("link announces again", "link", l.name, "after", l.failure)
		l.failure = ""
	}
}

// failed notes that l cannot send and when to try again. All its addresses begin anew then: neighbours may have
// forgotten them meanwhile.
func (a *Announcer) failed(l *link, now time.Duration, err error) error {
	a.counters.Errors++
	if l.failure == "" {
		l.restart(now)
	}
	l.failure = err.Error()
	if now >= l.retryAt { // otherwise a caller was early, which is no reason to wait longer
		l.backoff = min(max(2*l.backoff, retryFirst), retryMost)
		l.retryAt = now + l.backoff
	}
	return err
}

// look opens the socket of l if need be, anew when the interface has been replaced, and says what the link looks like.
func (a *Announcer) look(l *link) (face, error) {
	for range 2 {
		if l.wire == nil {
			w, err := a.open(l.name)
			if err != nil {
				return face{}, err
			}
			l.wire = w
		}
		f, err := l.wire.look()
		if !errors.Is(err, errGone) {
			return f, err
		}
		l.closeWire()
	}
	return face{}, unix.ENODEV // replaced twice meanwhile
}

// closeWire gives the socket up. Closing a packet socket cannot fail in a way that anybody could act on.
func (l *link) closeWire() {
	if l.wire != nil {
		_ = l.wire.close()
		l.wire = nil
	}
}

// plan puts n into the queue that it belongs to.
func (l *link) plan(n *announcement, now time.Duration) {
	n.take()
	if n.due <= now {
		l.ready.add(n)
	} else {
		l.waiting.add(n)
	}
}

// promote moves what has become due to what may be sent.
func (l *link) promote(now time.Duration) {
	for n := l.waiting.front(); n != nil && n.due <= now; n = l.waiting.front() {
		l.plan(n, now)
	}
}

// restart makes the schedule of every address on l begin anew.
func (l *link) restart(now time.Duration) {
	for _, n := range l.addrs {
		n.take()
		n.restart(now)
		l.plan(n, now)
	}
	for _, d := range l.desks {
		d.clear()
	}
}

// readyAt is when the pace lets the next of what is due pass; never, if nothing is due.
func (l *link) readyAt() time.Duration {
	switch n := l.ready.front(); {
	case n == nil:
		return never
	case n.first():
		return l.firsts.next()
	}
	return l.pace.next()
}

// next is when l has to be pumped again.
func (l *link) next(now time.Duration) time.Duration {
	at := never
	if n := l.waiting.front(); n != nil {
		at = n.due
	}
	if l.ready.Len() > 0 {
		at = min(at, now)
		if p := l.readyAt(); p > now {
			at = max(p, now+paceStep)
		}
	} else {
		at = min(at, l.nextVisit(now))
	}
	return max(at, l.retryAt)
}
