package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrDropped says that the probe's own queues lost answers, so that its outages may be its own.
var ErrDropped = errors.New("the probe's own queue lost answers")

// Config says what to probe, and from where.
type Config struct {
	// NS is the client's network namespace, nil for that of the calling thread. It is used during Start only.
	NS *os.File
	// Targets, IPv4 and IPv6 mixed.
	Targets []netip.Addr
	// Source, if valid, is the address that probes of its family come from. Otherwise the kernel chooses when it first has a route, and
	// that choice stays.
	Source netip.Addr
	// Every is the time between two probes of one target. 0: 1 ms.
	Every time.Duration
	// Window is how long an answer may take. 0: 250 ms.
	Window time.Duration
	// Log, if set, gets a line when an outage is known to have begun and when it has ended.
	Log io.Writer

	stall         func() // called before each round of probes; tests stand still in it
	receiveBuffer int    // bytes for each target, for the test that overflows it; 0: enough
}

// Probe sends to its targets until it is closed. Its methods may be called from any goroutine. Instants are since boot, on CLOCK_BOOTTIME.
type Probe struct {
	cfg     Config
	targets []*target
	ending  atomic.Bool
	done    sync.WaitGroup

	mu   sync.Mutex // guards the fields below and all that receives; the sender never takes it
	bag  *mailbag   // nil: closed
	full *overflows
	err  error
	turn chan struct{} // closed and replaced after each reading
}

// A target is one address, with its socket.
type target struct {
	*socket // sending belongs to the sender, receiving to whoever has Probe.mu
	fired   ring
	refused atomic.Uint64
	refusal atomic.Pointer[error]

	track   track // guarded by Probe.mu, as is
	dropped int   // answers that the socket's queue lost
}

// Start opens a socket for each target and begins to send. Targets need not be reachable. Close it.
func Start(cfg Config) (*Probe, error) {
	if cfg.Every == 0 {
		cfg.Every = time.Millisecond
	}
	if cfg.Window == 0 {
		cfg.Window = 250 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	p := &Probe{cfg: cfg, bag: newMailbag(), full: watchOverflows(), turn: make(chan struct{})}
	err := inside(cfg.NS, func() error {
		for _, vip := range cfg.Targets {
			s, err := open(vip.Unmap(), cfg.Source.Unmap(), rand.Uint64(), cfg.receiveBuffer)
			if err != nil {
				return fmt.Errorf("probe %s: %w", vip, err)
			}
			p.targets = append(p.targets, &target{socket: s, track: track{vip: vip.Unmap(), every: cfg.Every, window: cfg.Window}})
		}
		return nil
	})
	if err != nil {
		p.closeSockets()
		return nil, err
	}
	p.done.Go(p.send)
	p.done.Go(p.receive)
	return p, nil
}

// Mark returns the present instant, for the since of other methods.
func (p *Probe) Mark() time.Duration { return sinceBoot() }

// Outages returns, by target and then by time, all outages that had not ended by since. What was sent less than a window ago may not be
// settled yet: an outage in there is missing, and one that began before is Ongoing. After Settle it is all there.
func (p *Probe) Outages(since time.Duration) []Outage {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	var all []Outage
	for _, t := range p.targets {
		for _, o := range t.track.outages {
			if o.Ongoing || o.end() > since {
				all = append(all, o)
			}
		}
	}
	return all
}

// Lost returns how many probes the outages lost that had not ended by since.
func (p *Probe) Lost(since time.Duration) int {
	n := 0
	for _, o := range p.Outages(since) {
		n += o.Lost
	}
	return n
}

// Alive returns the targets that have answered a probe sent within the last window.
func (p *Probe) Alive() []netip.Addr { return p.answering(sinceBoot() - p.cfg.Window) }

// answering returns the targets that have answered a probe sent after an instant.
func (p *Probe) answering(after time.Duration) []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	var all []netip.Addr
	for _, t := range p.targets {
		if t.track.newest > after {
			all = append(all, t.track.vip)
		}
	}
	return all
}

// WaitAll waits until every target has answered a probe sent after the call, and returns nil. It gives up when ctx ends, the probe is closed
// or Err is not nil.
func (p *Probe) WaitAll(ctx context.Context) error {
	now := sinceBoot()
	err := p.wait(ctx, func() bool { return len(p.answering(now)) == len(p.targets) })
	if err != nil {
		return fmt.Errorf("wait for all targets: %w; answering are %v", err, p.answering(now))
	}
	return nil
}

// Settle waits until the fate of every probe sent before the call is known, which takes about a window, and returns nil. It gives up when
// ctx ends, the probe is closed or Err is not nil.
func (p *Probe) Settle(ctx context.Context) error {
	now := sinceBoot()
	if err := p.wait(ctx, func() bool { return p.settled(now) }); err != nil {
		return fmt.Errorf("wait for the last answers: %w", err)
	}
	return nil
}

func (p *Probe) settled(upTo time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	return !slices.ContainsFunc(p.targets, func(t *target) bool { return !t.track.settled(upTo) })
}

// wait asks cond after each reading.
func (p *Probe) wait(ctx context.Context, cond func() bool) error {
	for {
		p.mu.Lock()
		turn, err := p.turn, p.err
		p.mu.Unlock()
		switch {
		case err != nil:
			return err
		case cond():
			return p.Err() // asking may have found one
		case p.ending.Load():
			return errors.New("the probe is closed")
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Err is not nil when the figures cannot be trusted: answers could not be read, or the probe's own queues lost some (ErrDropped).
func (p *Probe) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Stats are counts since the start, over all targets.
type Stats struct {
	// Sent exceeds the sum of the others by the probes not settled yet. Void are those during whose sending the probe was not given the CPU, so
	// that nobody knows when they went out, and those that were not answered while the machine's own queues overflowed. They count for nothing.
	Sent, Answered, Lost, Void uint64
	// Stray answers came after their probe was lost, or twice.
	Stray uint64
	// Refused probes are those lost ones that the kernel did not send, for instance for want of a route. Refusal is the last reason.
	Refused uint64
	Refusal error
	// Overflows is how often the machine's own queues were seen to have dropped packets.
	Overflows int
	// Dropped answers were lost in the probe's own queues. If not 0, Err says so.
	Dropped int
	// WorstAnswer is the longest time that an answer in time took. Tens of ms mean a queue, at the neighbour table or at a CPU.
	WorstAnswer time.Duration
}

// Stats returns the counts.
func (p *Probe) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	s := Stats{Overflows: p.full.seen}
	for _, t := range p.targets {
		s.Sent += t.track.first + uint64(len(t.track.flying))
		s.Answered += t.track.answered
		s.Lost += t.track.lost
		s.Void += t.track.void
		s.Stray += t.track.stray
		s.Refused += t.refused.Load()
		if e := t.refusal.Load(); e != nil {
			s.Refusal = *e
		}
		s.Dropped += t.dropped
		s.WorstAnswer = max(s.WorstAnswer, t.track.slowest)
	}
	return s
}

// Resolution returns the longest time between two probes of one target after since, among those whose fate is known; two intervals at least.
// Nothing shorter is sure to be seen, and no outage's ends are known better.
func (p *Probe) Resolution(since time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	worst := 2 * p.cfg.Every
	for _, t := range p.targets {
		for _, s := range t.track.stalls {
			if s.at+s.length > since {
				worst = max(worst, s.length)
			}
		}
	}
	return worst
}

// Close stops sending and returns Err. What was found before can still be asked for. A second call does nothing more.
func (p *Probe) Close() error {
	if p.ending.Swap(true) {
		return p.Err()
	}
	p.done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	p.closeSockets()
	close(p.turn)
	return p.err
}

func (p *Probe) closeSockets() {
	for _, t := range p.targets {
		t.close()
	}
	p.full.close()
	p.bag = nil
}

func sinceBoot() time.Duration { return clock(unix.CLOCK_BOOTTIME) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic("probe: read a clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}
