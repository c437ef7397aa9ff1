package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"viplease/coordinator/plan"
)

// Timeouts of single calls. Checks have their own; see plan.Config.
const (
	writeTimeout  = time.Second     // of a transaction: after that it is in doubt
	readTimeout   = 5 * time.Second // of a whole snapshot
	renewTimeout  = 2 * time.Second
	revokeTimeout = time.Second
	probeTimeout  = time.Second

	rereadPause = 250 * time.Millisecond // between two readings when the store cannot be watched
	rereadEvery = 5 * time.Minute        // whatever the watch said
)

// hear turns rivals into facts.
func (c *Coordinator) hear(ctx context.Context) error {
	return c.ports.Ears.Run(ctx, func(a plan.Address, hardware string) {
		c.post(ctx, plan.RivalHeard{Address: a, Hardware: hardware})
	})
}

// judgeHealth turns verdicts into facts.
func (c *Coordinator) judgeHealth(ctx context.Context) error {
	return c.ports.Health.Run(ctx, func(f plan.HealthJudged) { c.post(ctx, f) })
}

// storeWatch keeps the view fed: a snapshot, and the watch that continues it, again and again.
func (c *Coordinator) storeWatch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.readAndWatch(ctx); err != nil {
			c.log.Debug("reading all again", "why", err)
			c.post(ctx, plan.ReadFailed{Err: err})
			sleep(ctx, rereadPause)
		}
	}
	return nil
}

func (c *Coordinator) readAndWatch(ctx context.Context) error {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	snapshot, err := c.ports.Feed.Read(reading)
	cancel()
	if err != nil {
		return err
	}
	c.post(ctx, snapshot)
	watching, cancel := context.WithTimeout(ctx, rereadEvery)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	c.task(watching, "reread", func(watching context.Context) error {
		select {
		case <-c.reread:
			cancel()
		case <-watching.Done():
		case <-done:
		}
		return nil
	})
	return c.ports.Feed.Watch(watching, snapshot.Revision+1, func(b plan.BatchSeen) { c.post(ctx, b) })
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pendingLease is the lease of a registration that is in doubt: it is used again, so that a registration that did succeed is found.
type pendingLease struct {
	reg     string
	lease   int64
	granted time.Duration
}

// register remembers the registration before it can stand, so that a crash in between leaves no claim that nobody knows to be ours.
func (c *Coordinator) register(ctx context.Context, a plan.Register, before plan.Remembered) plan.Fact {
	work := ctx // what is remembered is remembered, however long etcd took
	ctx, cancel := context.WithTimeout(ctx, 2*writeTimeout)
	defer cancel()
	p := &c.pending // registrations are made one at a time
	if p.reg != a.Member.Reg {
		lease, granted, err := c.ports.Registry.Grant(ctx, a.TTL)
		if err != nil {
			return plan.RegisterFailed{Err: err}
		}
		*p = pendingLease{a.Member.Reg, lease, granted}
	}
	if err := c.save(work, before); err != nil {
		c.stop(fmt.Errorf("remember the registration: %w", err)) // a crash would leave claims that nobody knows to be ours
		return plan.RegisterFailed{Err: err}
	}
	rev, revision, err := c.ports.Registry.Register(ctx, c.cfg.Plan.Node, p.lease, plan.Encode(a.Member), plan.Encode(a.State))
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		return plan.RegisterFailed{Taken: slices.Clone(taken.Value), Err: err}
	case errors.Is(err, ErrGone):
		*p = pendingLease{}
		return plan.RegisterFailed{Err: err}
	case err != nil:
		return plan.RegisterFailed{Err: err}
	}
	reg := plan.Registration{ID: a.Member.Reg, MemberRev: rev, Lease: p.lease, TTL: p.granted}
	before.Last = reg
	if err := c.save(work, before); err != nil {
		c.stop(fmt.Errorf("remember the registration: %w", err))
		return plan.RegisterFailed{Err: err}
	}
	return plan.Registered{Registration: reg, Highest: a.Highest, Revision: revision, State: a.State}
}

// memo is something to remember; the answer goes to done unless nobody waits.
type memo struct {
	remembered plan.Remembered
	done       chan<- error
}

// memoryLane writes the state file, in order.
func (c *Coordinator) memoryLane(ctx context.Context) error {
	for {
		select {
		case m := <-c.memos:
			err := c.ports.Memory.Save(m.remembered)
			if m.done != nil {
				m.done <- err
			} else if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// save remembers and waits until it is done.
func (c *Coordinator) save(ctx context.Context, r plan.Remembered) error {
	done := make(chan error, 1)
	select {
	case c.memos <- memo{r, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// carryOut makes the one call to etcd that the action asks for.
func (c *Coordinator) carryOut(ctx context.Context, a plan.Action) plan.Fact {
	ctx, cancel := context.WithTimeout(ctx, timeout(a, c.cfg.Plan.CheckTimeout))
	defer cancel()
	node := c.cfg.Plan.Node
	switch a := a.(type) {
	case plan.Check:
		f, err := c.ports.Claims.Check(ctx, node, a.Since)
		if err != nil {
			return plan.CheckFailed{Err: err}
		}
		f.Since, f.Keys, f.Highest = a.Since, a.Keys, a.Highest
		return f
	case plan.Commit:
		f, err := c.ports.Claims.Commit(ctx, node, a)
		if err != nil {
			return plan.ClaimsFailed{Writes: a.Writes, InDoubt: !errors.Is(err, ErrNotApplied), Err: err}
		}
		f.Writes, f.MemberRev, f.Highest = a.Writes, a.MemberRev, a.Highest
		return f
	case plan.Contest:
		applied, err := c.ports.Claims.Contest(ctx, node, a)
		return plan.ContestAnswered{Contest: a, Applied: applied && err == nil, Err: err}
	case plan.Renew:
		ttl, err := c.ports.Registry.Renew(ctx, a.Lease)
		if err != nil {
			return plan.RenewFailed{Lease: a.Lease, Gone: errors.Is(err, ErrGone), Err: err}
		}
		return plan.Renewed{Lease: a.Lease, TTL: ttl}
	case plan.WriteState:
		if err := c.ports.Claims.PutState(ctx, node, a.Registration, plan.Encode(a.State)); err != nil {
			return plan.StateFailed{Err: err}
		}
		return plan.StateWritten{State: a.State}
	case plan.WriteNeighbors:
		put := plan.Put{Key: "neighbors/" + node, Value: plan.Encode(a.Neighbors), Lease: a.Registration.Lease}
		done, err := c.ports.Claims.Commit(ctx, node, plan.Commit{MemberRev: a.Registration.MemberRev, Puts: []plan.Put{put}})
		if err == nil && !done.Member {
			err = ErrGone
		}
		return plan.NeighborsWritten{MemberRev: a.Registration.MemberRev, Revision: done.Revision, Neighbors: a.Neighbors, Err: err}
	case plan.WriteLayout:
		err := c.ports.Claims.PutOnce(ctx, "configs/"+a.Digest, plan.Encode(a.Layout))
		var taken *TakenError
		return plan.LayoutWritten{Taken: errors.As(err, &taken), Err: err}
	case plan.Revoke:
		_ = c.ports.Registry.Revoke(ctx, a.Lease) // it ends by itself, only later
		return nil
	case plan.Deregister:
		return plan.Deregistered{Err: c.ports.Registry.Revoke(ctx, a.Lease)}
	}
	panic(fmt.Sprintf("coordinator: unknown action %T", a))
}

func timeout(a plan.Action, check time.Duration) time.Duration {
	switch a.(type) {
	case plan.Check:
		return check
	case plan.Renew:
		return renewTimeout
	case plan.Deregister, plan.Revoke:
		return revokeTimeout
	}
	return writeTimeout
}
