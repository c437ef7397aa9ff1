package arpnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultLimit is what ListenerConfig.Limit means when it is 0.
	defaultLimit = 10
	// settlePause is the least time between two looks at the links, which cost 0.1 ms and more where there are many.
	settlePause = 20 * time.Millisecond
	// ownFresh is how old the list of this host's hardware addresses may be when a claimant is judged by it and the
	// kernel has reported no change since. It bounds what a storm of claimants can make this host read.
	ownFresh = 100 * time.Millisecond
)

// A Claimant is somebody else who uses an address or wants to: its frame was heard on a link, and its hardware address
// is none of this host's.
type Claimant struct {
	Link string
	Addr netip.Addr
	// Hardware is what the frame makes neighbours believe: the sender's address in ARP, the link-layer address option in
	// neighbour discovery, or else where the frame came from.
	Hardware net.HardwareAddr
	// Probing says that the claimant does not use Addr yet: it asks whether it is free (RFC 5227 section 2.1, RFC 4862
	// section 5.4).
	Probing bool
}

// ListenerConfig is what a Listener needs to know. Its zero value works.
type ListenerConfig struct {
	// Now is the time since boot on CLOCK_BOOTTIME. nil: that clock.
	Now func() time.Duration
	// Log receives one record when a link can no longer be listened to, when the reason changes and when it can again.
	// nil: none.
	Log *slog.Logger
	// Limit is how many claimants per second are delivered at most for one address on one link, evenly spaced; those who
	// use it and those who probe are counted apart. 0: 10.
	Limit int
}

// ListenerCounters are numbers since NewListener.
type ListenerCounters struct {
	Using   uint64 // claimants delivered that use an address
	Probing uint64 // claimants delivered that probe
	Limited uint64 // frames of claimants not delivered, because of ListenerConfig.Limit
	Lost    uint64 // frames that found no room in a receive buffer, whatever was in them
	Errors  uint64 // tries to listen to a link that failed
}

// A Listener hears who else uses addresses that are held here. Its methods may be called concurrently and in any order,
// also before Run.
type Listener struct {
	now func() time.Duration
	log *slog.Logger
	gap time.Duration // between two claimants of an address

	// The kernel; tests put their own here.
	links     func() ([]net.Interface, error)
	open      func(net.Interface, uint16) (ear, error)
	openLinks func() (ear, error)

	wake chan struct{} // has room for one: something has changed

	delivering sync.Mutex // held during a call of deliver

	mu       sync.Mutex
	want     map[string]map[netip.Addr]*limit
	stations map[string]*station // changed by Run alone
	own      map[hardware]struct{}
	ownUntil time.Duration // when own has to be read again
	counters ListenerCounters
	started  bool
}

// limit is when the next claimant of an address may be delivered: first one that uses it, second one that probes.
type limit [2]time.Duration

// NewListener makes a Listener. It starts nothing and opens nothing.
func NewListener(c ListenerConfig) *Listener {
	if c.Now == nil {
		c.Now = sinceBoot
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Limit <= 0 {
		c.Limit = defaultLimit
	}
	return &Listener{
		now:       c.Now,
		log:       c.Log,
		gap:       time.Second / time.Duration(c.Limit),
		links:     net.Interfaces,
		open:      openRivalEar,
		openLinks: openLinkEar,
		wake:      make(chan struct{}, 1),
		stations:  make(map[string]*station),
	}
}

// Set says which addresses to listen for, by the name of their link, instead of all earlier ones. It does not wait for
// the network: a link that is new is listened to a moment later. A claimant heard before Set may still be delivered after
// it, so deliver must expect addresses that are not wanted any more.
func (l *Listener) Set(want map[string][]netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[string]map[netip.Addr]*limit, len(want))
	for link, addrs := range want {
		if link == "" || len(addrs) == 0 {
			continue
		}
		next[link] = make(map[netip.Addr]*limit, len(addrs))
		for _, addr := range addrs {
			addr = plain(addr)
			if !addr.IsValid() || addr.IsUnspecified() {
				continue // no frame is about these
			}
			known := l.want[link][addr]
			if known == nil {
				known = new(limit)
			}
			next[link][addr] = known
		}
	}
	same := len(next) == len(l.want)
	for link := range next {
		same = same && l.want[link] != nil
	}
	l.want = next
	if !same {
		l.nudge()
	}
}

// Run listens until ctx is done; then it closes all sockets and returns nil. It returns an error only when the kernel
// does not report changes of links; a link that cannot be listened to is tried again, at the next change of any link and
// every second. It may be called once.
//
// deliver is called for one claimant at a time, from goroutines that Run waits for. While it blocks, frames pile up in
// the receive buffers and then are lost and counted, and nothing else is held up; Run returns after it.
func (l *Listener) Run(ctx context.Context, deliver func(Claimant)) error {
	l.mu.Lock()
	again := l.started
	l.started = true
	l.mu.Unlock()
	if again {
		return errors.New("run listener: it may run once")
	}
	changes, err := l.openLinks()
	if err != nil {
		return fmt.Errorf("run listener: %w", err)
	}
	failed := make(chan error, 1)
	var watcher sync.WaitGroup
	watcher.Go(func() { failed <- l.watch(changes) })
	err = l.attend(ctx, failed, func(link string, s sighting) { l.hear(link, s, deliver) })
	_ = changes.close()
	watcher.Wait()
	l.leaveAll()
	if err != nil {
		return fmt.Errorf("run listener: %w", err)
	}
	return nil
}

// attend keeps the stations as they have to be until ctx is done, which is no error, or the links are not watched.
func (l *Listener) attend(ctx context.Context, failed <-chan error, hear func(link string, s sighting)) error {
	// wait returns false when there is no more to do.
	wait := func(wake <-chan struct{}, d time.Duration) (ok bool, err error) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return false, nil
		case err := <-failed:
			return false, err
		case <-wake:
		case <-timer.C:
		}
		return true, nil
	}
	for {
		retry := never
		if !l.settle(hear) {
			retry = retryMost
		}
		if ok, err := wait(nil, settlePause); !ok {
			return err
		}
		if ok, err := wait(l.wake, retry); !ok {
			return err
		}
	}
}

// watch notes each change of a link, until changes is closed or fails.
func (l *Listener) watch(changes ear) error {
	for {
		// Too many changes to be told of are changes, too.
		if _, err := changes.read(); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("watch links: %w", err)
		}
		l.mu.Lock()
		l.ownUntil = 0
		l.mu.Unlock()
		l.nudge()
	}
}

// hear delivers what was sighted if it is a claimant.
func (l *Listener) hear(link string, s sighting, deliver func(Claimant)) {
	if !l.admit(link, s) {
		return
	}
	l.delivering.Lock()
	defer l.delivering.Unlock()
	deliver(Claimant{Link: link, Addr: s.addr, Hardware: slices.Clone(s.mac[:]), Probing: s.probing})
}

// admit says whether s is a claimant of a wanted address and may be delivered now.
func (l *Listener) admit(link string, s sighting) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.want[link][s.addr]
	if known == nil || l.isOwn(s.mac) {
		return false
	}
	next, count := &known[0], &l.counters.Using
	if s.probing {
		next, count = &known[1], &l.counters.Probing
	}
	now := l.now()
	if now < *next {
		l.counters.Limited++
		return false
	}
	if now >= l.ownUntil {
		// When the links cannot be read, a claimant too many is better than one too few.
		if _, err := l.readLinks(now); err == nil && l.isOwn(s.mac) {
			return false
		}
	}
	*next = now + l.gap
	*count++
	return true
}

// readLinks lists the links of this host and learns its hardware addresses. l.mu is held.
func (l *Listener) readLinks(now time.Duration) ([]net.Interface, error) {
	l.ownUntil = now + ownFresh
	links, err := l.links()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	l.own = macs(links)
	return links, nil
}

// macs are the Ethernet addresses of links.
func macs(links []net.Interface) map[hardware]struct{} {
	own := make(map[hardware]struct{}, len(links))
	for _, i := range links {
		if len(i.HardwareAddr) == len(hardware{}) {
			own[hardware(i.HardwareAddr)] = struct{}{}
		}
	}
	return own
}

// isOwn says whether mac belonged to this host when the links were last read. l.mu is held.
func (l *Listener) isOwn(mac hardware) bool { _, own := l.own[mac]; return own }

// Counters returns the numbers so far.
func (l *Listener) Counters() ListenerCounters {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.stations {
		l.counters.Lost += s.lost()
	}
	return l.counters
}

// nudge makes Run look at the links again.
func (l *Listener) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // it is about to
	}
}
