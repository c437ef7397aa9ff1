package coordinator

import (
	"context"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// fast tells whether this node takes part in fast takeover.
func (c *Coordinator) fast() bool {
	return c.ports.Sentry != nil && c.cfg.Plan.Fast != sentinel.Config{}
}

// show hands the sentinel's lane what the view has become. It never waits: an older view that was not taken is replaced.
func (c *Coordinator) show(view *plan.View) {
	if !c.fast() || view.WatchedVersion() == c.shownTo {
		return
	}
	c.shownTo = view.WatchedVersion()
	select {
	case <-c.watched:
	default:
	}
	c.watched <- view.Watched() // only this goroutine sends
}

// heardMost is how many frames may wait to be looked at. What finds no room is lost, as on any LAN.
const heardMost = 1024

// sentinelLane runs the sentinel. It shares nothing with the loop but the two channels, so probing never delays a check or an address, nor the reverse.
func (c *Coordinator) sentinelLane(ctx context.Context) error {
	heard := make(chan sentinel.Fact, heardMost)
	c.task(ctx, "sentry", func(ctx context.Context) error {
		return c.ports.Sentry.Run(ctx, func(f sentinel.Fact) {
			select {
			case heard <- f:
			default:
			}
		})
	})
	machine := sentinel.New(c.cfg.Plan.Fast)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case v := <-c.watched:
			c.look(machine, v)
		case f := <-heard:
			machine.Apply(f, c.ports.Now().Boot)
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		for range len(heard) { // what is known is looked at before anything is concluded
			machine.Apply(<-heard, c.ports.Now().Boot)
		}
		now := c.ports.Now().Boot
		actions, wake := machine.Decide(now)
		for _, a := range actions {
			c.carryOutFor(ctx, a)
		}
		timer.Reset(max(min(wake-now, time.Second), 0))
	}
}

// look tells the sentinel of a view.
func (c *Coordinator) look(machine *sentinel.Machine, v sentinel.Viewed) {
	links := make([]string, len(v.Own))
	for i, o := range v.Own {
		links[i] = o.Link
	}
	c.ports.Sentry.Listen(links)
	v.Witnesses = c.ports.Sentry.Witnesses()
	machine.Apply(v, c.ports.Now().Boot)
}

// carryOutFor does what the sentinel wants: it asks by itself, the rest is for the loop.
func (c *Coordinator) carryOutFor(ctx context.Context, a sentinel.Action) {
	p, isProbe := a.(sentinel.Probe)
	if !isProbe {
		c.log.Debug("sentinel", "action", a.String())
		c.post(ctx, plan.SentinelDecided{Action: a})
		return
	}
	if err := c.ports.Sentry.Ask(p); err != nil {
		c.log.Debug("cannot ask", "link", p.Link, "addr", p.Addr, "err", err)
	}
}
