package sim

import (
	"errors"
	"time"

	"viplease/coordinator/plan"
)

var (
	errLate    = errors.New("too late")
	errKernel  = errors.New("the kernel refuses")
	errForeign = errors.New("set by somebody else")
)

// nextKernelAction carries out what touches addresses, one action at a time, in order.
func (p *process) nextKernelAction() {
	if p.busy || len(p.queue) == 0 {
		return
	}
	a := p.queue[0]
	p.queue = p.queue[1:]
	p.busy = true
	switch a := a.(type) {
	case plan.RaiseAddresses:
		p.kernelStep(func() { p.raise(a, 0) })
	case plan.DelAddresses:
		p.kernelStep(func() { p.del(a) })
	case plan.ReadAddresses:
		p.kernelStep(func() {
			present := p.n.kernel.present()
			p.kernelStep(func() {
				p.post(plan.PlacesObserved{Places: p.n.places()})
				if p.dead {
					return
				}
				p.post(plan.AddressesObserved{Present: present})
				p.kernelDone()
			})
		})
	}
}

func (p *process) kernelDone() {
	p.busy = false
	if !p.dead {
		p.nextKernelAction()
	}
}

// kernelStep lets a little time pass in the kernel lane, or a lot: the process may be stopped anywhere.
func (p *process) kernelStep(then func()) {
	n := p.n
	took := n.kernel.dice.upTo(2 * time.Millisecond)
	if n.w.noise(&n.kernel.dice, 2) {
		took = n.kernel.dice.upTo(50 * time.Millisecond)
	}
	for _, t := range n.troubles {
		if t.kind == Stall && t.end > n.w.now && n.kernel.dice.one(2) {
			took += n.kernel.dice.upTo(t.end - n.w.now)
		}
	}
	n.w.after(took, p, then)
}

// raise is netif.Kernel.Raise: the clock is read before the burst is sent and after it was answered. at is the first item not yet sent; a large burst
// takes several messages.
func (p *process) raise(a plan.RaiseAddresses, at int) {
	if p.n.bootTime() >= a.Until && !p.n.w.mutant.noClock {
		for _, it := range a.Items[at:] {
			p.results = append(p.results, plan.AddressesRaised{VIP: it.VIP, T0: a.T0, Late: true, Err: errLate})
		}
		p.report()
		p.kernelDone()
		return
	}
	chunk := len(a.Items) - at
	if chunk > 1 && p.n.w.noise(&p.n.kernel.dice, 10) {
		chunk = 1 + p.n.kernel.dice.n(chunk-1)
	}
	items := a.Items[at : at+chunk]
	p.kernelStep(func() { // the process may have been stopped here
		errs := make([]error, len(items))
		for i, it := range items {
			errs[i] = p.setAll(it)
		}
		// A send that was overtaken is undone at once, in this very event: how many microseconds that takes is nobody's promise.
		if p.n.bootTime() >= a.Until && !p.n.w.mutant.noClock {
			p.undo(items...)
			p.sent(a, at, chunk, errs, true)
			return
		}
		p.kernelStep(func() {
			late := p.n.bootTime() >= a.Until && !p.n.w.mutant.noClock
			if late {
				p.undo(items...)
			}
			p.sent(a, at, chunk, errs, late)
		})
	})
}

func (p *process) setAll(it plan.Item) error {
	failing := p.n.trouble(KernelFails)
	for k, addr := range it.Addresses {
		i := slotOf(addr)
		if failing && k == len(it.Addresses)-1 {
			p.undo(it)
			return errKernel
		}
		if !p.n.kernel.set(i, p.n.cfg.Hold) {
			p.undo(it)
			p.n.kernel.slots[i].foreign = true // left as it is
			return errForeign
		}
	}
	return nil
}

func (p *process) undo(items ...plan.Item) {
	for _, it := range items {
		for _, addr := range it.Addresses {
			p.n.kernel.drop(slotOf(addr))
		}
	}
}

// sent reports on a message and goes on with the next.
func (p *process) sent(a plan.RaiseAddresses, at, n int, errs []error, late bool) {
	for i, it := range a.Items[at : at+n] {
		f := plan.AddressesRaised{VIP: it.VIP, T0: a.T0, Err: errs[i], Foreign: errs[i] == errForeign}
		if late {
			f.Late, f.Err = true, errLate
		}
		p.results = append(p.results, f)
	}
	if at+n < len(a.Items) {
		p.kernelStep(func() { p.raise(a, at+n) })
		return
	}
	p.report()
	p.kernelDone()
}

// report hands in what came of an action, all of it at once.
func (p *process) report() {
	facts := p.results
	p.results = nil
	p.post(facts...)
}

// del is netif.Kernel.Delete.
func (p *process) del(a plan.DelAddresses) {
	failing := p.n.trouble(KernelFails)
	if !failing {
		p.undo(a.Items...)
	}
	p.kernelStep(func() {
		for _, it := range a.Items {
			f := plan.AddressesDeleted{VIP: it.VIP}
			if failing {
				f.Err = errKernel
			}
			p.results = append(p.results, f)
		}
		p.report()
		p.kernelDone()
	})
}

// places says where VIPs go on this node: always on the one link, while that is up.
func (n *node) places() map[string]plan.Place {
	places := make(map[string]plan.Place, len(n.layout.vips))
	for i, v := range n.layout.vips {
		place := plan.Place{Addresses: n.layout.places[i]}
		if n.linkDown > n.w.now {
			place.Why = linkName + " is down"
		}
		places[v.Name] = place
	}
	return places
}
