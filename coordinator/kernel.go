package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"viplease/coordinator/plan"
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
