package arpnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// defaultRate is what Config.Rate means when it is 0: 300 IPv4 addresses have been announced twice after a second.
const defaultRate = 1000

var (
	// ErrNotEthernet is the error for a link that has no Ethernet address, such as a loopback or a tunnel. Name
	// another link.
	ErrNotEthernet = errors.New("link has no Ethernet address")
	// ErrNoCarrier is the error for a link that is up but not connected: what it sends is lost. It is tried again.
	ErrNoCarrier = errors.New("link has no carrier")
	// ErrStopped is the error after Run has returned.
	ErrStopped = errors.New("announcer has stopped")
)

// Config is what an Announcer needs to know. Its zero value works.
type Config struct {
	// Now is the time since boot on CLOCK_BOOTTIME. nil: that clock.
	Now func() time.Duration
	// Log receives one record when a link can no longer announce, when the reason changes and when it can again. A
	// reason that Announce has returned is not logged. nil: none.
	Log *slog.Logger
	// Refresh is the time between the announcements of an address once its first ones are over. 0: there are none.
	Refresh time.Duration
	// Settle is when after the first frame of an address one more announcement is made: the time by which a former
	// holder is certainly gone. 0: none.
	Settle time.Duration
	// Rate is the number of frames per second and link, after a burst of 128. First frames do not wait for it, though they
	// count: ten times as many of them may leave a second, after a burst of 512. 0: 1000.
	Rate int
}

// Counters are the numbers of frames since New.
type Counters struct {
	SentIPv4 uint64 // given to the kernel for an IPv4 address; each announcement has two
	SentIPv6 uint64 // given to the kernel for an IPv6 address
	Directed uint64 // given to the kernel for one host, see Audience; not among the two before
	Withheld uint64 // not sent because it was not allowed
	Deferred uint64 // put off by a full send queue, sent later
	Errors   uint64 // tries that failed, one for each retry of a link
}

// An Announcer announces addresses on links. Its methods may be called concurrently and in any order, also before Run.
type Announcer struct {
	now    func() time.Duration
	log    *slog.Logger
	times  timetable
	pace   time.Duration   // between two frames of a link
	passes []time.Duration // how long after its first announcement each host is told of an address

	open func(link string) (wire, error) // openWire; tests put a wire of their own here

	wake chan struct{} // has room for one: the schedule has changed

	// mu is held from the question whether a frame is allowed until it has been sent, which makes Stop a barrier. No
	// send waits under it.
	mu       sync.Mutex
	links    map[string]*link
	counters Counters
	running  bool
	stopped  bool
}

// New makes an Announcer. It starts nothing and opens nothing.
func New(c Config) *Announcer {
	if c.Now == nil {
		c.Now = sinceBoot
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rate <= 0 {
		c.Rate = defaultRate
	}
	return &Announcer{
		now:    c.Now,
		log:    c.Log,
		times:  newTimetable(c.Settle, c.Refresh),
		pace:   time.Second / time.Duration(c.Rate),
		passes: passes(c.Settle),
		open:   openWire,
		wake:   make(chan struct{}, 1),
		links:  make(map[string]*link),
	}
}

// Run repeats announcements until ctx is done; then it closes all sockets and returns nil. No frame is sent after it has
// returned. It may be called once.
func (a *Announcer) Run(ctx context.Context) error {
	a.mu.Lock()
	again := a.running || a.stopped
	a.running = true
	a.mu.Unlock()
	if again {
		return errors.New("run announcer: it may run once")
	}
	defer a.stop()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
		timer.Reset(a.turn())
	}
}

// turn sends what is due on every link and returns how long nothing will be.
func (a *Announcer) turn() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := never
	for _, l := range a.links {
		now := a.now()
		if now >= l.retryAt {
			known := l.failure
			err := a.pump(l, now)
			if err == nil {
				err = a.visit(l, now)
			}
			if err != nil && l.failure != known {
				a.log.Warn("link cannot announce", "link", l.name, "addresses", len(l.addrs), "err", err)
			}
		}
		next = min(next, l.next(now))
	}
	if next == never {
		return never
	}
	return max(0, next-a.now())
}

// stop closes the sockets. Nothing is sent any more: turn is not called again, and Announce says no.
func (a *Announcer) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	for _, l := range a.links {
		l.closeWire()
	}
}

// Announce sends the first announcement of addr on link before it returns and repeats it on the schedule, see the
// package documentation, until Stop. Only when more than 512 addresses come at once is the first one left to Run, which
// sends it at the pace. For an address that is announced already, allowed replaces the earlier one, the schedule goes
// on and the error is nil.
//
// allowed is asked immediately before every frame; when it says no, that frame is not sent and not made up for. It runs
// with the Announcer locked: it must be quick and must not call back.
//
// An error says why the link cannot send now. The address is announced all the same, as soon as the link can, except
// when the error is about the arguments or is ErrStopped. Announce waits for no queue. It waits for a turn of the
// schedule, 640 frames at most (2 ms), and the first time on a link for the kernel's list of interfaces.
func (a *Announcer) Announce(link string, addr netip.Addr, allowed func() bool) error {
	return a.begin(link, addr, allowed, false)
}

// Keep is Announce for an address that neighbours know already, because it was up here before this process began: nothing is sent now,
// and the schedule begins with the refreshes.
func (a *Announcer) Keep(link string, addr netip.Addr, allowed func() bool) error {
	return a.begin(link, addr, allowed, true)
}

func (a *Announcer) begin(link string, addr netip.Addr, allowed func() bool, known bool) error {
	if err := a.announce(link, plain(addr), allowed, known); err != nil {
		return fmt.Errorf("announce %s on %s: %w", addr, link, err)
	}
	return nil
}

func (a *Announcer) announce(name string, addr netip.Addr, allowed func() bool, known bool) error {
	switch {
	case name == "":
		return errors.New("no link named")
	case !canHold(addr):
		return errCannotHold
	case allowed == nil:
		return errors.New("nobody to ask whether it is allowed")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return ErrStopped
	}
	l := a.link(name)
	if n := l.addrs[addr]; n != nil {
		n.allowed = allowed
		return nil
	}
	now := a.now()
	n := &announcement{addr: addr, allowed: allowed, due: now}
	l.addrs[addr] = n
	if known {
		n.round = len(a.times.rounds)
		var ok bool
		if n.due, ok = a.times.after(n, now); !ok {
			return nil
		}
	}
	l.plan(n, now)
	defer a.nudge()
	return a.pump(l, now)
}

// link returns the link of that name.
func (a *Announcer) link(name string) *link {
	l := a.links[name]
	if l == nil {
		l = newLink(name, a.pace)
		a.links[name] = l
	}
	return l
}

// Stop ends the announcements of addr on link. When it returns, no further frame for it is given to the kernel until
// Announce is called again. It waits as long as Announce does, and does nothing for what is not announced.
func (a *Announcer) Stop(link string, addr netip.Addr) {
	addr = plain(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.links[link]
	if l == nil || l.addrs[addr] == nil {
		return
	}
	l.addrs[addr].take()
	delete(l.addrs, addr)
	for _, d := range l.desks {
		d.drop(addr)
	}
}

// Restart begins the schedule of every address on link anew: neighbours may have lost or replaced what they knew. Call
// it when the carrier has come back and when the link has another hardware address or another bridge. Run sends the
// frames, at once.
func (a *Announcer) Restart(link string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.links[link]
	if l == nil {
		return
	}
	l.restart(a.now())
	l.retryAt, l.backoff = 0, 0
	a.nudge()
}

// Defend announces addr on link once more, at once, and lets its schedule go on: the answer to a [Claimant] that uses addr.
// Run sends it. Nothing happens when addr is not announced or is about to be.
//
// How often to defend is the caller's decision. RFC 5227 section 2.4 has one announcement per 10 seconds and conflict
// (DEFEND_INTERVAL), so that two hosts which both defend do not flood the link.
func (a *Announcer) Defend(link string, addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.links[link]
	if l == nil {
		return
	}
	n := l.addrs[plain(addr)]
	if n == nil || n.in == &l.ready {
		return
	}
	n.round = max(0, n.round-1) // one announcement more, not one earlier
	n.due = a.now()
	l.plan(n, n.due)
	a.nudge()
}

// Counters returns the numbers of frames so far.
func (a *Announcer) Counters() Counters {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counters
}

// nudge makes Run look at the schedule again.
func (a *Announcer) nudge() {
	select {
	case a.wake <- struct{}{}:
	default: // it is about to
	}
}

var errCannotHold = errors.New("not an address that a link can hold")

func canHold(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && !addr.IsLoopback()
}

// plain is addr as it stands in a frame: an IPv4 address without its IPv6 form, an IPv6 address without zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
