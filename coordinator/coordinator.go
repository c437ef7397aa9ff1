package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// Config is what a Coordinator needs to know.
type Config struct {
	Plan  plan.Config
	Leave time.Duration // how long handing over may take after the context has ended
	Log   *slog.Logger
}

// leaveGrace is what a write that is under way at the end of Config.Leave may still take.
const leaveGrace = time.Second

// Coordinator is one node at work. Make it with [New].
type Coordinator struct {
	cfg   Config
	ports Ports
	log   *slog.Logger

	facts     chan []plan.Fact // those of one list are known at once
	asks      chan func(*plan.View, plan.Now)
	kernel    chan plan.Action
	shown     map[plan.Address]bool // belongs to the kernel lane: what rivals are listened for
	reread    chan struct{}
	memos     chan memo
	saved     int // version of what was last remembered
	savedRev  int64
	savedAt   time.Duration
	events    history
	authority atomic.Int64 // boot time until which announcements are allowed
	turned    atomic.Int64 // boot time of the loop's last turn
	pending   pendingLease
	watched   chan sentinel.Viewed // the latest view, for the sentinel's lane
	shownTo   int                  // version of what that lane was told last
	sick      chan error           // the first reason to stop at once
	handoff   chan struct{}        // to the next process
	ended     chan struct{}        // closed when the loop has ended
	running   sync.WaitGroup
}

// New makes a Coordinator. It starts nothing.
func New(cfg Config, ports Ports) *Coordinator {
	if ports.Observer == nil {
		ports.Observer = unobserved{}
	}
	if ports.Hooks == nil {
		ports.Hooks = unhooked{}
	}
	return &Coordinator{
		cfg: cfg, ports: ports, log: cfg.Log,
		facts:   make(chan []plan.Fact, 256),
		asks:    make(chan func(*plan.View, plan.Now)),
		kernel:  make(chan plan.Action, 4*(len(cfg.Plan.VIPs)+len(cfg.Plan.Former)+16)), // one operation per VIP at a time: it never fills
		shown:   map[plan.Address]bool{},
		reread:  make(chan struct{}, 1),
		memos:   make(chan memo, 16),
		watched: make(chan sentinel.Viewed, 1),
		sick:    make(chan error, 1),
		handoff: make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
}

// ErrHandoff is what Run returns after [Coordinator.Handoff]: the addresses are up and the registration stands, for the next process to adopt.
var ErrHandoff = errors.New("handed off to the next process")

// Handoff makes Run return ErrHandoff, leaving everything as it is. The next process must adopt it within Config.Plan.Hold.
func (c *Coordinator) Handoff() {
	select {
	case c.handoff <- struct{}{}:
	default:
	}
}

// Run keeps this node's part of the VIPs up until ctx ends; then it hands everything over, which takes Config.Leave at the most, and returns nil. Any
// error means that the node could not go on; the addresses are down then. Run may be called once.
func (c *Coordinator) Run(ctx context.Context, memory plan.Remembered) (err error) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	lane := make(chan struct{}) // closed when the kernel lane has ended
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in the loop: %v\n%s", r, debug.Stack())
		}
		close(c.ended)
		c.authority.Store(0)
		stop()
		<-lane // nothing else is waited for before the addresses are down
		if !errors.Is(err, ErrHandoff) {
			err = errors.Join(err, c.Sweep())
		}
		c.running.Wait()
	}()
	c.task(work, "kernel lane", func(ctx context.Context) error {
		defer close(lane)
		return c.kernelLane(ctx)
	})
	c.task(work, "memory lane", c.memoryLane)
	c.task(work, "kernel events", c.kernelEvents)
	c.task(work, "etcd watch", c.storeWatch)
	c.task(work, "announcer", c.ports.Announcer.Run)
	c.task(work, "ears", c.hear)
	if c.ports.Health != nil {
		c.task(work, "health checks", c.judgeHealth)
	}
	if c.fast() {
		c.task(work, "sentinel", c.sentinelLane)
	}
	view := plan.New(c.cfg.Plan, c.ports.Now())
	view.Apply(memory, c.ports.Now())
	return c.loop(ctx, work, view)
}

// task runs f in a goroutine that Run waits for. If it panics, or returns an error while it should still run, the node stops.
func (c *Coordinator) task(ctx context.Context, name string, f func(context.Context) error) {
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		defer func() {
			if r := recover(); r != nil {
				c.stop(fmt.Errorf("panic in %s: %v\n%s", name, r, debug.Stack()))
			}
		}()
		if err := f(ctx); err != nil && ctx.Err() == nil {
			c.stop(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// stop makes Run return err, after the addresses are down. Only the first reason counts.
func (c *Coordinator) stop(err error) {
	select {
	case c.sick <- err:
	default:
	}
}

// loop turns until the node has left. leave ending means: hand over; work is for everything under way.
func (c *Coordinator) loop(leave, work context.Context, view *plan.View) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	leaving := leave.Done()
	limit := time.Duration(1<<63 - 1)
	last := c.ports.Now()
	due := last.Boot
	for {
		late := time.Duration(0)
		select {
		case list := <-c.facts:
			c.apply(view, list)
			c.drain(view)
		case ask := <-c.asks:
			ask(view, c.ports.Now())
			continue
		case err := <-c.sick:
			return err
		case <-c.handoff:
			if leaving == nil {
				continue // told to leave: there is no next process
			}
			if err := c.save(work, view.Remember()); err != nil {
				c.log.Warn("the next process may not know all", "err", err)
			}
			return ErrHandoff
		case <-leaving:
			leaving = nil
			now := c.ports.Now()
			limit = now.Boot + c.cfg.Leave + leaveGrace
			view.Apply(plan.Leave{Deadline: now.Boot + c.cfg.Leave}, now)
			c.log.Info("leaving: handing over", "within", c.cfg.Leave)
		case <-timer.C:
			late = max(c.ports.Now().Boot-due, 1)
		}
		now := c.ports.Now()
		if why := paused(last, now); why != "" {
			view.Apply(plan.Paused{Why: why}, now)
		}
		last = now
		actions, wake := plan.Decide(view, now)
		view.Dispatched(actions, now)
		c.authority.Store(int64(view.MayAnnounce()))
		c.turned.Store(int64(now.Boot))
		for _, a := range actions {
			c.dispatch(work, view, a)
		}
		for _, change := range view.Changes(now) {
			c.ports.Hooks.Fire(change)
		}
		c.ports.Observer.Turned(late, c.ports.Now().Boot-now.Boot)
		c.show(view)
		c.remember(view)
		c.tell(view.Notes(), now)
		if view.Done() {
			return c.save(work, view.Remember()) // there is nothing to adopt
		}
		if now.Boot > limit {
			return errors.New("handing over took too long")
		}
		rest := min(max(wake-now.Boot, 0), turnEvery-now.Boot%turnEvery) // at instants that the sentinel shares: one waking for both
		due = now.Boot + rest
		timer.Reset(rest)
	}
}

// The loop turns at least every turnEvery. When a turn is later than that by more than pauseMost, the process was stopped or the machine was suspended;
// when the real-time clock has moved against the boot-time clock by more than jumpMost, the machine may have been, in a way that the boot-time clock does not count.
const (
	turnEvery = 100 * time.Millisecond
	pauseMost = 200 * time.Millisecond
	jumpMost  = time.Second
)

// paused says in words that time went by unseen between two turns; "" if none did.
func paused(last, now plan.Now) string {
	gap := now.Boot - last.Boot
	jump := now.Wall.Sub(last.Wall) - gap
	switch {
	case gap > turnEvery+pauseMost:
		return fmt.Sprintf("this process did not run for %v", gap.Round(time.Millisecond))
	case jump.Abs() > jumpMost:
		return fmt.Sprintf("the real-time clock jumped by %v", jump.Round(time.Millisecond))
	}
	return ""
}

// remember saves what the next process must know, when it has changed. A full lane is tried again at the next turn.
func (c *Coordinator) remember(view *plan.View) {
	version, revision, now := view.RememberVersion(), view.Standing().Revision, c.ports.Now().Boot
	if version == c.saved && (revision == c.savedRev || now-c.savedAt < rememberEvery) {
		return
	}
	select {
	case c.memos <- memo{remembered: view.Remember()}:
		c.saved, c.savedRev, c.savedAt = version, revision, now
	default:
	}
}

// rememberEvery is how often the revision alone is worth remembering.
const rememberEvery = time.Second

// drain folds what else has arrived, so that one decision serves many facts.
func (c *Coordinator) drain(view *plan.View) {
	for range cap(c.facts) {
		select {
		case list := <-c.facts:
			c.apply(view, list)
		default:
			return
		}
	}
}

// apply folds facts that became known at once.
func (c *Coordinator) apply(view *plan.View, facts []plan.Fact) {
	now := c.ports.Now()
	for _, f := range facts {
		view.Apply(f, now)
	}
}

// post hands facts to the loop, which decides once about all of them, or drops them when the node has stopped.
func (c *Coordinator) post(ctx context.Context, facts ...plan.Fact) {
	select {
	case c.facts <- facts:
	case <-ctx.Done():
	}
}

// dispatch starts one action. It never blocks.
func (c *Coordinator) dispatch(ctx context.Context, view *plan.View, a plan.Action) {
	c.log.Debug("do", "action", a.String())
	switch a := a.(type) {
	case plan.RaiseAddresses, plan.DelAddresses, plan.ReadAddresses, plan.Announce:
		select {
		case c.kernel <- a:
		default:
			c.stop(errors.New("the kernel lane is stuck"))
		}
	case plan.Reread:
		select {
		case c.reread <- struct{}{}:
		default:
		}
	case plan.ProbeAddresses:
		c.task(ctx, "probe", func(ctx context.Context) error { return c.probe(ctx, a) })
	case plan.ReadNeighbors:
		c.call(ctx, a, func(context.Context) plan.Fact {
			lans, err := c.ports.Lans.Lans()
			return plan.NeighborsRead{Lans: lans, Err: err}
		})
	case plan.Tell:
		c.call(ctx, a, func(context.Context) plan.Fact {
			for _, audience := range a.Audiences {
				c.ports.Announcer.SetAudience(audience)
			}
			return plan.Told{}
		})
	case plan.Register:
		before := view.Remember()
		c.call(ctx, a, func(ctx context.Context) plan.Fact { return c.register(ctx, a, before) })
	default:
		c.call(ctx, a, func(ctx context.Context) plan.Fact { return c.carryOut(ctx, a) })
	}
}

// call makes one call, to etcd or to a driver that may be called beside all else, in a goroutine of its own.
func (c *Coordinator) call(ctx context.Context, a plan.Action, f func(context.Context) plan.Fact) {
	c.task(ctx, a.String(), func(ctx context.Context) error {
		if fact := f(ctx); fact != nil {
			c.post(ctx, fact)
		}
		return nil
	})
}

// levels are those of the log for the grades of notes.
var levels = map[plan.Grade]slog.Level{plan.News: slog.LevelInfo, plan.Detail: slog.LevelDebug, plan.Alarm: slog.LevelWarn}

// tell logs what happened and keeps it for status.
func (c *Coordinator) tell(notes []plan.Note, now plan.Now) {
	for _, n := range notes {
		e := Event{At: now.Wall, VIP: n.VIP, Node: n.Node, What: n.What, Why: n.Why, Cause: n.Cause}
		c.events.add(e)
		if n.Node == c.cfg.Plan.Node {
			c.ports.Observer.Happened(e)
		}
		attrs := []any{}
		if n.VIP != "" {
			attrs = append(attrs, "vip", n.VIP)
		}
		if n.Node != c.cfg.Plan.Node {
			attrs = append(attrs, "node", n.Node)
		}
		c.log.Log(context.Background(), levels[n.Grade], n.What, append(attrs, "why", n.Why)...)
	}
}

// Sweep takes every address of this node's configuration down, whoever set it: the last thing that a node does, however it ends. Run calls it; call it
// only after Run has returned ErrHandoff, when there is no next process.
func (c *Coordinator) Sweep() error {
	places, err := c.ports.Kernel.Places()
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	all := append([]plan.Address(nil), c.cfg.Plan.Former...)
	for _, p := range places {
		all = append(all, p.Addresses...)
	}
	return errors.Join(c.ports.Kernel.Delete(all)...)
}
