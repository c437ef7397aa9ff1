package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"viplease/config"
	"viplease/coordinator/plan"
	"viplease/hooks"
)

const (
	// hooksLast is how long a daemon that stops, and has nothing up any more, waits for its programs: with leaveWithin before it, less than the unit's
	// TimeoutStopSec.
	hooksLast = 7 * time.Second
	// hooksRush is how long the programs get that begin in the last moment before the daemon is replaced, while its addresses run out.
	hooksRush = 500 * time.Millisecond
)

// vetChecks refuses the programs of health checks that others could replace. One that is missing is not refused: its check fails, which loses no VIP.
func vetChecks(cfg config.Config) error {
	var errs []error
	for _, c := range cfg.Checks {
		if len(c.Command) == 0 {
			continue
		}
		if err := hooks.Vet(c.Command[0]); err != nil && !errors.Is(err, hooks.ErrMissing) {
			errs = append(errs, fmt.Errorf("%s:%d: check %s: %w", cfg.Path, c.Line, c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// newHooks is the operator's programs. A program that could be replaced by others is refused, of a hook or of a check.
func newHooks(cfg config.Config, log *slog.Logger) (*hooks.Runner, error) {
	if err := vetChecks(cfg); err != nil {
		return nil, misconfigured{err}
	}
	h := cfg.Hooks
	runner, err := hooks.New(hooks.Config{
		Acquired: h.Acquired, Released: h.Released, Fault: h.Fault, Timeout: h.Timeout, Drain: hooksRush, Node: cfg.Node, Log: log,
	})
	if err != nil {
		return nil, misconfigured{fmt.Errorf("%s: %w", cfg.Path, err)}
	}
	return runner, nil
}

// hookPort is package hooks as the coordinator sees it.
type hookPort struct{ runner *hooks.Runner }

func (p hookPort) Fire(c plan.Change) {
	e := hooks.Event{VIP: c.VIP, OldNode: c.Old, NewNode: c.New, Why: c.Why}
	switch c.Kind {
	case plan.Acquired:
		e.Kind = hooks.Acquired
	case plan.Released:
		e.Kind = hooks.Released
	case plan.Faulty:
		e.Kind = hooks.Fault
	default:
		panic(fmt.Sprintf("no hook for %q", c.Kind))
	}
	for _, a := range c.Addresses {
		text := a.Prefix.String()
		if a.Link != "" {
			text += " dev " + a.Link
		}
		e.Addresses = append(e.Addresses, text)
	}
	p.runner.Fire(e)
}

// programs runs the operator's programs beside the coordinator, and longer than that.
type programs struct {
	runner *hooks.Runner
	stop   context.CancelFunc
	ended  chan struct{}
	most   time.Duration // that one may take
}

func startPrograms(runner *hooks.Runner, cfg config.Config) *programs {
	ctx, stop := context.WithCancel(context.Background())
	p := &programs{runner: runner, stop: stop, ended: make(chan struct{}), most: cfg.Hooks.Timeout}
	go func() {
		defer close(p.ended)
		_ = runner.Run(ctx) // it has no error
	}()
	return p
}

// settle waits until no program runs: a new process would know nothing of one. A queue of programs that hang is not waited for longer than for one.
func (p *programs) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.most+time.Second)
	defer cancel()
	_ = p.runner.Wait(ctx) // those that are left get hooksRush, and a line in the log
}

// end ends the programs: after hooksLast if the daemon leaves, after hooksRush if another process is to follow it at once.
func (p *programs) end(leaving bool) {
	if leaving {
		ctx, cancel := context.WithTimeout(context.Background(), hooksLast)
		defer cancel()
		_ = p.runner.Wait(ctx)
	}
	p.stop()
	<-p.ended
}
