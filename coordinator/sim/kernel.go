package sim

import (
	"time"

	"viplease/coordinator/plan"
)

const (
	// lateness is K: how much longer than its lifetime an address may live. The kernel sweeps about once a second (net/ipv4/devinet.c, check_lifetime).
	lateness = 1250 * time.Millisecond

	flapEvent = 20 * time.Millisecond
)

// kernel is one host's addresses.
type kernel struct {
	n     *node
	dice  dice
	slots [maxSlots]slot
	up    slots // those of ours that are up
}

// slot is one address, up or not.
type slot struct {
	up, foreign bool          // foreign: somebody else put it there, without an end; it does not count
	end         time.Duration // true time at which the kernel ends it
	timer       bool          // an event for that is on its way
}

// set adds an address or sets its lifetime again. It returns false if somebody else has it.
func (k *kernel) set(i int, lifetime time.Duration) bool {
	s := &k.slots[i]
	if s.foreign {
		return false
	}
	added := !s.up
	s.up = true
	s.end = k.n.w.now + k.n.clock.until(lifetime) + k.dice.upTo(k.n.w.timers.late)
	k.up |= 1 << i
	k.n.w.judge.set()
	if added {
		k.flap(i, true)
	}
	if !s.timer {
		s.timer = true
		k.expire(i)
	}
	return true
}

func (k *kernel) expire(i int) {
	k.n.w.at(k.slots[i].end, nil, func() {
		s := &k.slots[i]
		s.timer = false
		switch {
		case !s.up:
		case k.n.w.now < s.end:
			s.timer = true
			k.expire(i)
		default:
			k.n.w.trace.kernel(k.n, i, "ends")
			k.drop(i)
		}
	})
}

// drop takes an address off, whoever set it.
func (k *kernel) drop(i int) {
	k.slots[i].foreign = false
	if !k.slots[i].up {
		return
	}
	k.slots[i].up = false
	k.up &^= 1 << i
	k.n.w.judge.gone(k.n, i)
	k.flap(i, false)
}

// flap tells the daemon that an address came or went, a little later, and not always.
func (k *kernel) flap(i int, present bool) {
	p := k.n.proc
	if p == nil {
		return
	}
	after := k.dice.upTo(flapEvent)
	switch noise := k.n.w.noise(&k.dice, 4); {
	case noise && k.dice.one(2):
		return
	case noise:
		k.n.w.after(after, p, func() { p.post(plan.AddressChanged{}) })
	default:
		k.n.w.after(after, p, func() { p.post(plan.AddressChanged{Address: slotAddress(i), Present: present}) })
	}
}

// present is what a reading of the kernel returns.
func (k *kernel) present() map[plan.Address]bool {
	have := map[plan.Address]bool{}
	for i := range k.slots {
		if k.slots[i].up || k.slots[i].foreign {
			have[slotAddress(i)] = true
		}
	}
	return have
}
