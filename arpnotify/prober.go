package arpnotify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultTries is what Prober.Tries means when it is 0: PROBE_NUM of RFC 5227 section 1.1.
	defaultTries = 3
	// defaultProbeRate is what Prober.Rate means when it is 0.
	defaultProbeRate = 5000
	// tryPause is the least time between the last frame of one try and the first of the next, so that what lost the one,
	// such as a receiver without room, has passed. RFC 5227 has 1 to 2 s, for hosts that nobody waits for.
	tryPause = 20 * time.Millisecond
)

// A Prober asks whether somebody else uses an address before it is raised here. Its zero value works, Probe may be called
// concurrently, and Close ends it. It must not be copied.
type Prober struct {
	// Tries is how often each address is asked for. 0: 3.
	Tries int
	// Rate is the number of frames per second of one call, after a burst of 128. 0: 5000.
	Rate int
	// Pause is the least time between two tries. 0: 20 ms.
	Pause time.Duration

	kernel *probeKernel // nil: the kernel; tests put their own here

	closing sync.WaitGroup // for the sockets of calls that have returned
}

// Close waits until all sockets are closed; for a packet socket the kernel takes some 10 ms (synchronize_net), which no
// Probe waits for. Call it when no Probe is running.
func (p *Prober) Close() { p.closing.Wait() }

// probeKernel is what a Prober needs of its host.
type probeKernel struct {
	now      func() time.Duration
	links    func() ([]net.Interface, error)
	openWire func(link string) (wire, error)
	openEar  func(net.Interface, uint16) (ear, error)
}

// Probe asks all neighbours on link for addrs, as RFC 5227 section 2.1.1 and RFC 4862 section 5.4.2 have it, and returns
// by address who answered or asked for the same one; a key is IPv4 as such, or IPv6 without zone. Nobody is who has a
// hardware address of this host. Silence is the good answer, so Probe takes its time, at most
//
//	len(addrs) * Tries / Rate + (Tries - 1) * Pause + wait
//
// and less by what the first burst saves; wait is what the last question has to be answered in, and 0.1 s is much on a
// LAN. It returns earlier only when everything has been answered. What has been answered is not asked for again.
//
// The addresses must not be up here: this host does not hear itself, so it would be told that they are free.
//
// An error means that silence proves nothing, because ctx was done or the link cannot send or hear; it matches
// context.Canceled or context.DeadlineExceeded, or what an [Announcer] gives. What had been heard is returned with it.
func (p *Prober) Probe(ctx context.Context, link string, addrs []netip.Addr, wait time.Duration) (map[netip.Addr]Claimant, error) {
	pr := &probe{
		probeKernel: probeKernel{now: sinceBoot, links: net.Interfaces, openWire: openWire, openEar: openEar},
		link:        link,
		tries:       p.Tries,
		between:     p.Pause,
		wait:        wait,
		asked:       make(map[netip.Addr]struct{}, len(addrs)),
		found:       make(map[netip.Addr]Claimant),
		allFound:    make(chan struct{}),
	}
	if p.kernel != nil {
		pr.probeKernel = *p.kernel
	}
	if pr.between <= 0 {
		pr.between = tryPause
	}
	if pr.tries <= 0 {
		pr.tries = defaultTries
	}
	rate := p.Rate
	if rate <= 0 {
		rate = defaultProbeRate
	}
	pr.pace = pace{interval: time.Second / time.Duration(rate), burst: burst}
	err := errors.Join(ctx.Err(), pr.prepare(addrs))
	if err == nil && len(pr.order) > 0 {
		err = pr.run(ctx)
		p.closing.Go(pr.stop)
	}
	if err != nil {
		err = fmt.Errorf("probe %d addresses on %s: %w", len(addrs), link, err)
	}
	return pr.result(), err
}

// A probe is one call of Probe.
type probe struct {
	probeKernel
	link    string
	tries   int
	wait    time.Duration
	between time.Duration
	pace    pace

	asked map[netip.Addr]struct{} // not changed while anybody listens
	order []netip.Addr            // the same, each once, as the caller has them

	out     wire // nil: not open
	index   int  // of the interface that ears are opened on
	ears    []ear
	readers sync.WaitGroup

	mu       sync.Mutex
	own      map[hardware]struct{}
	found    map[netip.Addr]Claimant
	deaf     error         // why an ear has failed
	allFound chan struct{} // closed when everything asked has been found
}

// prepare notes what is asked.
func (p *probe) prepare(addrs []netip.Addr) error {
	for _, addr := range addrs {
		addr = plain(addr)
		if !canHold(addr) {
			return fmt.Errorf("%s: %w", addr, errCannotHold)
		}
		if _, twice := p.asked[addr]; !twice {
			p.asked[addr] = struct{}{}
			p.order = append(p.order, addr)
		}
	}
	return nil
}

// run opens the sockets, which stop closes, asks, and listens.
func (p *probe) run(ctx context.Context) error {
	out, err := p.openWire(p.link)
	if err != nil {
		return err
	}
	p.out = out
	if err := p.listen(); err != nil {
		return err
	}
	for try := range p.tries {
		if try > 0 {
			if err := p.pause(ctx, p.between); err != nil {
				return err
			}
		}
		if err := p.ask(ctx); err != nil {
			return err
		}
	}
	if err := p.pause(ctx, p.wait); err != nil {
		return err
	}
	return p.conclude()
}

// listen opens the ears that the answers need, and reads them.
func (p *probe) listen() error {
	i, err := p.look()
	if err != nil {
		return err
	}
	p.index = i.Index
	for _, etherType := range listenFor {
		if !slices.ContainsFunc(p.order, func(a netip.Addr) bool { return a.Is4() == (etherType == etherARP) }) {
			continue
		}
		e, err := p.openEar(i, etherType)
		if err != nil {
			return err
		}
		p.ears = append(p.ears, e)
		p.readers.Go(func() {
			err := follow(e, p.hear)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.deaf = err // also that the link was down for a moment; after stop nobody asks
		})
	}
	return nil
}

// stop closes all sockets, and waits for their readers.
func (p *probe) stop() {
	for _, e := range p.ears {
		_ = e.close()
	}
	if p.out != nil {
		_ = p.out.close()
	}
	p.readers.Wait()
}

// result is what has been found so far.
func (p *probe) result() map[netip.Addr]Claimant {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.found)
}

// look finds the interface and learns the hardware addresses of this host.
func (p *probe) look() (net.Interface, error) {
	links, err := p.links()
	if err != nil {
		return net.Interface{}, fmt.Errorf("list interfaces: %w", err)
	}
	p.mu.Lock()
	p.own = macs(links)
	p.mu.Unlock()
	at := slices.IndexFunc(links, func(i net.Interface) bool { return i.Name == p.link })
	if at < 0 {
		return net.Interface{}, fmt.Errorf("no such interface: %w", unix.ENODEV)
	}
	return links[at], nil
}

// hear notes who answers. Somebody who uses the address goes before somebody who only asks.
func (p *probe) hear(s sighting) {
	if _, asked := p.asked[s.addr]; !asked {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := p.found[s.addr]
	if _, own := p.own[s.mac]; own || found && (s.probing || !known.Probing) {
		return
	}
	p.found[s.addr] = Claimant{Link: p.link, Addr: s.addr, Hardware: slices.Clone(s.mac[:]), Probing: s.probing}
	if !found && len(p.found) == len(p.asked) {
		close(p.allFound)
	}
}

// ask sends one question for each address that nobody has answered for, at the pace.
func (p *probe) ask(ctx context.Context) error {
	f, err := p.face()
	if err != nil {
		return err
	}
	for _, addr := range p.order {
		for now := p.now(); p.pace.next() > now; now = p.now() {
			if err := p.pause(ctx, max(p.pace.next()-now, paceStep)); err != nil {
				return err
			}
			if p.done() {
				return nil
			}
		}
		p.mu.Lock()
		_, found := p.found[addr]
		p.mu.Unlock()
		if found {
			continue
		}
		if err := p.send(ctx, addr, f); err != nil {
			return err
		}
		p.pace.spend(p.now())
	}
	return nil
}

// send sends the question for addr. A queue that stays full for a second is an error.
func (p *probe) send(ctx context.Context, addr netip.Addr, f face) error {
	b, err := question(addr, f.mac)
	if err != nil {
		return err
	}
	for range time.Second / retryFull {
		if err := p.out.send(b); !errors.Is(err, errFull) {
			if err == nil && !f.carrier {
				err = ErrNoCarrier
			}
			return err
		}
		if err := p.pause(ctx, retryFull); err != nil {
			return err
		}
	}
	return errFull
}

// face is what the link looks like now.
func (p *probe) face() (face, error) {
	f, err := p.out.look()
	if errors.Is(err, errGone) {
		return face{}, unix.ENODEV
	}
	return f, err
}

// conclude says whether the silence of the others means anything: the link could send and hear all along. What one of
// this host's own hardware addresses said, which has just become its own, is nothing.
func (p *probe) conclude() error {
	f, err := p.face()
	if err != nil {
		return err
	}
	i, err := p.look()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, c := range p.found {
		if _, own := p.own[hardware(c.Hardware)]; own {
			delete(p.found, addr)
		}
	}
	switch {
	case p.deaf != nil:
		return p.deaf
	case i.Index != p.index:
		return unix.ENODEV
	case i.Flags&net.FlagUp == 0:
		return unix.ENETDOWN
	case !f.carrier:
		return ErrNoCarrier
	}
	return nil
}

// pause waits for d, or until all is found.
func (p *probe) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.allFound:
	case <-timer.C:
	}
	return ctx.Err()
}

// done says whether all is found.
func (p *probe) done() bool {
	select {
	case <-p.allFound:
		return true
	default:
		return false
	}
}
