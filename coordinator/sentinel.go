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

// sentinelLane runs the sentinel. It shares nothing with the loop but the two channels, so probing never delays a check or an address, nor the reverse.
// What is heard wakes nobody: it waits until the sentinel wants to look, which is when it asks, or sooner where somebody is missed.
func (c *Coordinator) sentinelLane(ctx context.Context) error {
	c.task(ctx, "witnesses", c.ports.Sentry.Run)
	defer c.ports.Sentry.Close()
	machine := sentinel.New(c.cfg.Plan.Fast)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var view *sentinel.Viewed
		select {
		case v := <-c.watched:
			view = &v
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		c.ports.Sentry.Hear(machine.Apply) // what is known is looked at before anything is concluded
		now := c.ports.Now().Boot
		if view != nil {
			c.look(machine, *view, now)
		}
		actions, wake := machine.Decide(now)
		for _, a := range actions {
			c.carryOutFor(ctx, a)
		}
		timer.Reset(max(min(wake-c.ports.Now().Boot, time.Second), 0))
	}
}

// look tells the sentinel of a view.
func (c *Coordinator) look(machine *sentinel.Machine, v sentinel.Viewed, now time.Duration) {
	links := make([]string, len(v.Own))
	for i, o := range v.Own {
		links[i] = o.Link
	}
	c.ports.Sentry.Listen(links)
	v.Witnesses = c.ports.Sentry.Witnesses()
	machine.Apply(v, now)
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
