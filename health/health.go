package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Check says what to look at and how often. Exactly one of HTTP, TCP and Command is set; a check that has none or several always fails, and says so.
type Check struct {
	Name string // for verdicts and logs; different for each check

	HTTP    string   // a URL, "http://127.0.0.1:80/healthz" or https
	TCP     string   // host and port, "127.0.0.1:80" or "[::1]:80"
	Command []string // the absolute path of a program, and its arguments

	Interval time.Duration // from the beginning of a try to that of the next; 0: 1 s
	Timeout  time.Duration // how long a try may take; 0: 1 s
	Rise     int           // so many successes in a row make it healthy; 0: 2
	Fall     int           // so many failures in a row make it unhealthy; 0: 2
}

// What a zero value of Check stands for.
const (
	defaultInterval = time.Second
	defaultTimeout  = time.Second
	defaultCount    = 2
)

// maxSpread bounds how long the first try may wait. Checks must not all begin in the same instant; a node must not wait long to be fit.
const maxSpread = time.Second

// Verdict is what a check has come to.
type Verdict struct {
	Name    string // of the check
	Healthy bool
	Why     string    // the failure that decided it, one printable line; empty when healthy
	Since   time.Time // when the deciding try ended
}

// Runner runs checks. Its zero value is of no use; see [New].
type Runner struct {
	log    *slog.Logger
	checks []*check
}

// check is a Check that runs. Only its own goroutine touches it while Run runs.
type check struct {
	Check
	probe  probe
	tally  tally
	spread func(time.Duration) time.Duration // picks when the first try begins, below its argument
}

// New prepares the checks and starts nothing. It keeps no reference to checks.
func New(checks []Check, log *slog.Logger) *Runner {
	r := &Runner{log: log}
	for _, c := range checks {
		c.Interval = positive(c.Interval, defaultInterval)
		c.Timeout = positive(c.Timeout, defaultTimeout)
		c.Rise = positive(c.Rise, defaultCount)
		c.Fall = positive(c.Fall, defaultCount)
		r.checks = append(r.checks, &check{
			Check: c, probe: newProbe(c), tally: tally{rise: c.Rise, fall: c.Fall}, spread: rand.N[time.Duration],
		})
	}
	return r
}

// Run runs all checks until ctx ends, and calls deliver with the first verdict of each and with every change after it. The calls come one at a time from
// the goroutine of Run; while deliver blocks, checks that have something to deliver wait. Each delivery makes one log record too.
//
// It returns nil when ctx ends, and not before every try is over and every program that it started has been waited for. The exception is a program that
// stays a second after SIGKILL: Run returns an error that names it, and waits no longer; one goroutine stays to reap it. Run may be called once.
func (r *Runner) Run(ctx context.Context, deliver func(Verdict)) error {
	verdicts := make(chan Verdict)
	ends := make(chan error, len(r.checks))
	for _, c := range r.checks {
		go func() { ends <- c.run(ctx, verdicts) }()
	}
	var errs []error
	for range r.checks {
		errs = append(errs, r.deliverUntil(ends, verdicts, deliver))
	}
	<-ctx.Done() // without checks there is nothing else to wait for
	return errors.Join(errs...)
}

// deliverUntil delivers until the next check ends, and returns with what.
func (r *Runner) deliverUntil(ends <-chan error, verdicts <-chan Verdict, deliver func(Verdict)) error {
	for {
		select {
		case err := <-ends:
			return err
		case v := <-verdicts:
			if v.Healthy {
				r.log.Info("check passes", "check", v.Name)
			} else {
				r.log.Warn("check fails", "check", v.Name, "why", v.Why)
			}
			deliver(v)
		}
	}
}

// run tries until ctx ends. The error names what it had to leave behind.
func (c *check) run(ctx context.Context, verdicts chan<- Verdict) error {
	wait := c.spread(min(c.Interval, maxSpread))
	for sleep(ctx, wait) {
		began := time.Now()
		err := c.try(ctx)
		if ctx.Err() != nil {
			break // it was cut short, which says nothing about the service
		}
		if c.tally.add(err == nil) {
			v := Verdict{Name: c.Name, Healthy: err == nil, Since: time.Now()}
			if err != nil {
				v.Why = printable(err.Error())
			}
			select {
			case verdicts <- v:
			case <-ctx.Done():
			}
		}
		wait = c.Interval - time.Since(began)
	}
	if err := c.probe.close(); err != nil {
		return fmt.Errorf("check %s: %w", c.Name, err)
	}
	return nil
}

func (c *check) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not done within %s", c.Timeout))
	defer cancel()
	return c.probe.try(ctx)
}

// sleep waits for d, or not at all when that is past, and tells whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// positive is v, or otherwise when v is not above zero.
func positive[T cmp.Ordered](v, otherwise T) T {
	var zero T
	if v > zero {
		return v
	}
	return otherwise
}
