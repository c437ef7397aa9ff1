package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Kind is what happened to a VIP.
type Kind string

// The kinds of events, as VIPLEASE_EVENT has them.
const (
	Acquired Kind = "acquired" // it is up on this node
	Released Kind = "released" // it was up on this node and is not any more
	Fault    Kind = "fault"    // it should be up on this node and cannot be
)

// Event is one thing that happened to one VIP.
type Event struct {
	Kind      Kind
	VIP       string
	Addresses []string // each "192.0.2.1/32 dev net1"
	OldNode   string   // empty: nobody
	NewNode   string   // empty: nobody yet
	Why       string
}

// Config is what a [Runner] needs.
type Config struct {
	// Acquired, Released and Fault are programs with their arguments. Empty: nothing runs for events of this kind.
	Acquired, Released, Fault []string
	// Timeout is how long a program may run. Zero: 10 s.
	Timeout time.Duration
	// Drain is how long Run goes on after its context has ended, so that what was fired runs. Zero: Timeout.
	Drain time.Duration
	// Node is the name of this node.
	Node string
	// Log hears how each program ended and what it said. Zero: nothing is logged.
	Log *slog.Logger
}

const (
	defaultTimeout = 10 * time.Second
	// sideBySide is how many programs run at once: enough that a few hung ones do not hold up all VIPs, and few enough that a
	// node which acquires a hundred VIPs at once has its processors for serving them.
	sideBySide = 8
	// waiting is how many events of one VIP wait at most, beside the one whose program runs.
	waiting = 16
)

// Runner runs programs for events. Its methods may be called from any goroutine, Run once.
type Runner struct {
	config     Config
	sideBySide int // tests make it small

	mu    sync.Mutex
	lanes map[string]*lane // of the VIPs that have an event that waits or whose program runs
	turns []*lane          // lanes with events and no program that runs, the next one first
	idle  chan struct{}    // closed when there are no lanes; nil: there are none
	over  bool             // Run has returned

	wake chan struct{} // holds one token when turns may have grown
}

// lane is what keeps the order of one VIP.
type lane struct {
	vip    string
	events []Event // that wait, the oldest first
}

// New checks the programs and returns a Runner that has not started anything. The error names every program that is refused, why,
// and what to do about it.
func New(c Config) (*Runner, error) {
	if c.Timeout < 0 || c.Drain < 0 {
		return nil, errors.New("hooks: a timeout is negative")
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Drain == 0 {
		c.Drain = c.Timeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{
		config:     c,
		sideBySide: sideBySide,
		lanes:      map[string]*lane{},
		wake:       make(chan struct{}, 1),
	}
	var errs []error
	for _, kind := range []Kind{Acquired, Released, Fault} {
		argv := r.argv(kind)
		if len(argv) == 0 {
			continue
		}
		if err := vet(argv[0]); err != nil {
			errs = append(errs, fmt.Errorf("hook %s: %w", kind, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// argv is the program for a kind of event with its arguments, nil when there is none.
func (r *Runner) argv(k Kind) []string {
	switch k {
	case Acquired:
		return r.config.Acquired
	case Released:
		return r.config.Released
	case Fault:
		return r.config.Fault
	}
	panic(fmt.Sprintf("hooks: there is no event %q", k))
}

// Fire has the program for an event run. It never blocks. An event for which no program is configured is ignored; one that comes
// when Run has returned is logged. Events fired before Run is called run when it is.
func (r *Runner) Fire(e Event) {
	if len(r.argv(e.Kind)) == 0 {
		return
	}
	r.mu.Lock()
	over, dropped := r.over, r.add(e)
	r.mu.Unlock()
	switch {
	case over:
		r.notRun(e)
		return
	case dropped != nil:
		r.log(*dropped).Warn("hook superseded", "waiting", waiting, "by", e.Kind)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

var errStopped = errors.New("the daemon stops")

// add puts an event at the end of its lane, and returns the one that had to make room. It holds the lock.
func (r *Runner) add(e Event) (dropped *Event) {
	if r.over {
		return nil
	}
	e.Addresses = slices.Clone(e.Addresses)
	l := r.lanes[e.VIP]
	if l == nil {
		l = &lane{vip: e.VIP}
		r.lanes[e.VIP] = l
		r.turns = append(r.turns, l)
	}
	if len(l.events) == waiting {
		dropped = &l.events[0]
		l.events = l.events[1:]
	}
	l.events = append(l.events, e)
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	return dropped
}

// Wait blocks until no event waits and no program runs, or ctx ends, which is its error. It does not keep new events out.
func (r *Runner) Wait(ctx context.Context) error {
	r.mu.Lock()
	idle := r.idle
	r.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for hooks: %w", context.Cause(ctx))
	}
}

// Run runs the programs until ctx ends, and then until nothing waits and nothing runs, but not for longer than [Config.Drain]. It
// returns nil: what goes wrong with a program is logged.
func (r *Runner) Run(ctx context.Context) error {
	var (
		running     int
		draining    bool
		ended       = make(chan *lane)
		stop        = ctx.Done()
		limit       <-chan time.Time
		until, kill = context.WithCancelCause(context.WithoutCancel(ctx))
	)
	defer kill(nil)
	for {
		for running < r.sideBySide {
			l, e, ok := r.next()
			if !ok {
				break
			}
			running++
			go func() {
				r.run(until, e)
				ended <- l
			}()
		}
		if draining && running == 0 && r.finish() {
			return nil
		}
		select {
		case l := <-ended:
			running--
			r.yield(l)
		case <-r.wake:
		case <-stop:
			stop, draining = nil, true
			timer := time.NewTimer(r.config.Drain)
			defer timer.Stop()
			limit = timer.C
		case <-limit:
			r.abandon()
			kill(errStopped)
			for ; running > 0; running-- {
				<-ended
			}
			return nil
		}
	}
}

// next takes the event whose turn it is. The lane is not in turns until yield.
func (r *Runner) next() (*lane, Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.turns) == 0 {
		return nil, Event{}, false
	}
	l := r.turns[0]
	r.turns = r.turns[1:]
	e := l.events[0]
	l.events = l.events[1:]
	return l, e, true
}

// yield puts a lane whose program has ended behind all others that wait, or away when it has no event.
func (r *Runner) yield(l *lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(l.events) > 0 {
		r.turns = append(r.turns, l)
		return
	}
	delete(r.lanes, l.vip)
	if len(r.lanes) == 0 {
		close(r.idle)
		r.idle = nil
	}
}

// finish keeps new events out if none is there, and says whether that is so.
func (r *Runner) finish() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = len(r.lanes) == 0
	return r.over
}

// abandon keeps new events out and logs those that wait.
func (r *Runner) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for _, vip := range slices.Sorted(maps.Keys(r.lanes)) {
		for _, e := range r.lanes[vip].events {
			r.notRun(e)
		}
	}
	clear(r.lanes)
	if r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

func (r *Runner) notRun(e Event) { r.log(e).Error("hook not run", "err", errStopped) }

// log is the log with what identifies an event.
func (r *Runner) log(e Event) *slog.Logger {
	return r.config.Log.With("hook", e.Kind, "vip", e.VIP)
}
