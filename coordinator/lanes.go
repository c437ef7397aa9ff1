package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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

// kernelLane carries out everything that touches addresses, in order.
func (c *Coordinator) kernelLane(ctx context.Context) error {
	for {
		select {
		case a := <-c.kernel:
			c.kernelAction(ctx, a)
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Coordinator) kernelAction(ctx context.Context, a plan.Action) {
	switch a := a.(type) {
	case plan.RaiseAddresses:
		errs, changed := c.ports.Kernel.Raise(a.Items, c.cfg.Plan.Hold, a.Until), false
		facts := make([]plan.Fact, 0, len(a.Items))
		for i, it := range a.Items {
			f := plan.AddressesRaised{VIP: it.VIP, T0: a.T0, Err: errs[i]}
			f.Late, f.Left, f.Foreign = errors.Is(errs[i], ErrLate), errors.Is(errs[i], ErrLeft), errors.Is(errs[i], ErrForeign)
			for _, addr := range it.Addresses {
				switch {
				case f.Err == nil && !c.shown[addr]:
					c.shown[addr], changed = true, true
				case f.Err != nil && !f.Late && c.shown[addr]: // rolled back: who gives it up now has nothing to delete
					c.ports.Announcer.Stop(addr.Link, addr.Prefix.Addr())
					delete(c.shown, addr)
					changed = true
				}
			}
			facts = append(facts, f)
		}
		c.post(ctx, facts...)
		if changed {
			c.listen()
		}
	case plan.DelAddresses:
		c.del(ctx, a)
	case plan.ReadAddresses:
		places, err := c.ports.Kernel.Places()
		if err == nil {
			c.post(ctx, plan.PlacesObserved{Places: places})
		}
		present, err2 := c.ports.Kernel.Present()
		if err2 == nil {
			c.hush(present)
		}
		c.post(ctx, plan.AddressesObserved{Present: present, Err: errors.Join(err, err2)})
	case plan.Announce:
		if a.Defend {
			c.defend(a.Item)
			return
		}
		for _, addr := range a.Item.Addresses {
			if err := c.ports.Announcer.Announce(addr.Link, addr.Prefix.Addr(), a.Kept, c.mayAnnounce); err != nil {
				c.log.Warn("cannot announce", "vip", a.Item.VIP, "err", err)
			}
		}
	default:
		panic(fmt.Sprintf("coordinator: %T in the kernel lane", a))
	}
}

// resetWithin is how long resetting connections may take; one call to the kernel that begins in this time may end after it, and all of it takes 20 ms at
// the most (10 ms for 100,000 sockets, see package sockets).
const resetWithin = 10 * time.Millisecond

// reset resets the connections of addresses that are about to go, as long as this node may speak for them.
func (c *Coordinator) reset(held []plan.Address) {
	if c.ports.Connections == nil || len(held) == 0 {
		return
	}
	limit := c.ports.Now().Boot + resetWithin
	err := c.ports.Connections.Reset(held, func() bool { return c.ports.Now().Boot < limit && c.mayAnnounce() })
	if err != nil && c.mayAnnounce() { // else they belong to whoever speaks for the addresses now
		c.log.Warn("connections of released addresses are left", "err", err)
	}
}

// del stops announcing, then resets connections, then deletes, then reports: in this order nothing is announced after a release.
func (c *Coordinator) del(ctx context.Context, a plan.DelAddresses) {
	var all, held []plan.Address
	for _, it := range a.Items {
		for _, addr := range it.Addresses {
			c.ports.Announcer.Stop(addr.Link, addr.Prefix.Addr())
			all = append(all, addr)
		}
		if it.Held {
			held = append(held, it.Addresses...)
		}
	}
	c.reset(held)
	errs := c.ports.Kernel.Delete(all)
	for _, addr := range all {
		delete(c.shown, addr)
	}
	c.listen()
	facts := make([]plan.Fact, 0, len(a.Items))
	for _, it := range a.Items {
		n := len(it.Addresses)
		facts = append(facts, plan.AddressesDeleted{VIP: it.VIP, Err: errors.Join(errs[:n]...)})
		errs = errs[n:]
	}
	c.post(ctx, facts...)
}

// hush ends the announcements of what something else has taken down, before the loop hears of it: who gives such a VIP up has nothing to delete.
func (c *Coordinator) hush(present map[plan.Address]bool) {
	gone := false
	for addr := range c.shown {
		if !present[addr] {
			c.ports.Announcer.Stop(addr.Link, addr.Prefix.Addr())
			delete(c.shown, addr)
			gone = true
		}
	}
	if gone {
		c.listen()
	}
}

// defend announces anew what a rival uses as well.
func (c *Coordinator) defend(it plan.Item) {
	for _, addr := range it.Addresses {
		if err := c.ports.Announcer.Announce(addr.Link, addr.Prefix.Addr(), false, c.mayAnnounce); err != nil {
			c.log.Warn("cannot announce", "vip", it.VIP, "err", err)
		}
	}
}

// listen sets what rivals are listened for: what is up.
func (c *Coordinator) listen() {
	want := map[string][]netip.Addr{}
	for a := range c.shown {
		want[a.Link] = append(want[a.Link], a.Prefix.Addr())
	}
	c.ports.Ears.Set(want)
}

// probe asks the LAN, and posts what each VIP was answered.
func (c *Coordinator) probe(ctx context.Context, a plan.ProbeAddresses) error {
	asking, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var all []plan.Address
	for _, it := range a.Items {
		all = append(all, it.Addresses...)
	}
	found, err := c.ports.Ears.Probe(asking, all, a.Quick)
	facts := make([]plan.Fact, 0, len(a.Items))
	for _, it := range a.Items {
		f := plan.AddressesProbed{VIP: it.VIP, Quick: a.Quick, Ahead: a.Ahead, Err: err}
		for _, addr := range it.Addresses {
			if rival, ok := found[addr]; ok {
				f.Rival = rival
			}
		}
		facts = append(facts, f)
	}
	c.post(ctx, facts...)
	return nil
}

// mayAnnounce is asked before every frame. A loop that has not turned for a while may not know yet that the process was stopped.
func (c *Coordinator) mayAnnounce() bool {
	now := c.ports.Now().Boot
	return now < time.Duration(c.authority.Load()) && now-time.Duration(c.turned.Load()) < turnEvery+pauseMost
}

// kernelEvents turns the host's events into facts.
func (c *Coordinator) kernelEvents(ctx context.Context) error {
	return c.ports.Events.Watch(ctx, func(e KernelEvent) {
		if e.Links {
			c.post(ctx, plan.AddressChanged{}) // where VIPs go is read together with what is there
			return
		}
		c.post(ctx, plan.AddressChanged{Address: e.Address, Present: e.Present})
	})
}

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
		return plan.LayoutWritten{Err: c.ports.Claims.PutOnce(ctx, "configs/"+a.Digest, plan.Encode(a.Layout))}
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
