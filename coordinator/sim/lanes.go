package sim

import (
	"errors"
	"fmt"
	"time"

	"viplease/coordinator/plan"
)

// Timeouts of single calls, as in package coordinator.
const (
	writeTimeout  = time.Second
	readTimeout   = 5 * time.Second
	renewTimeout  = 2 * time.Second
	revokeTimeout = time.Second
	rereadPause   = 250 * time.Millisecond
	probeMost     = 200 * time.Millisecond
	rememberEvery = time.Second
)

// dispatch starts one action.
func (p *process) dispatch(a plan.Action) {
	switch a := a.(type) {
	case plan.RaiseAddresses, plan.DelAddresses, plan.ReadAddresses:
		p.queue = append(p.queue, a)
		p.nextKernelAction()
	case plan.ProbeAddresses:
		p.probe(a)
	case plan.Contest:
		p.contest(a)
	case plan.Announce:
	case plan.Reread:
		p.readAgain()
	case plan.Register:
		p.register(a)
	case plan.Check:
		p.check(a)
	case plan.Commit:
		p.commit(a)
	case plan.Renew:
		p.renew(a)
	case plan.WriteState:
		p.writeState(a)
	case plan.WriteLayout:
		value := plan.Encode(a.Layout)
		p.call(writes, writeTimeout, func(fate) plan.Fact {
			p.n.w.etcd.putOnce("configs/"+a.Digest, value)
			return plan.LayoutWritten{}
		}, func(err error) plan.Fact { return plan.LayoutWritten{Err: err} })
	case plan.Revoke:
		ask(p, leaseCalls, revokeTimeout, func(fate) bool {
			p.n.w.etcd.revoke(a.Lease)
			return true
		}, func(bool, error) {})
	case plan.Deregister:
		p.call(leaseCalls, revokeTimeout, func(fate) plan.Fact {
			p.n.w.etcd.revoke(a.Lease)
			return plan.Deregistered{}
		}, func(err error) plan.Fact { return plan.Deregistered{Err: err} })
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
}

func (p *process) check(a plan.Check) {
	t0 := p.n.bootTime()
	p.call(checks, p.n.cfg.CheckTimeout, func(fate) plan.Fact {
		f := p.n.w.etcd.check(p.n.name, a.Since)
		f.T0, f.Keys, f.Highest = t0, a.Keys, a.Highest
		return f
	}, func(err error) plan.Fact { return plan.CheckFailed{Err: err} })
}

func (p *process) commit(a plan.Commit) {
	values := make([][]byte, len(a.Writes))
	for i, w := range a.Writes {
		values[i] = plan.Encode(w.Claim)
	}
	p.call(writes, writeTimeout, func(fate) plan.Fact {
		return p.n.w.etcd.commit(p.n.name, a, values)
	}, func(err error) plan.Fact {
		return plan.ClaimsFailed{Writes: a.Writes, InDoubt: err != errRefused, Err: err}
	})
}

func (p *process) renew(a plan.Renew) {
	p.call(leaseCalls, renewTimeout, func(f fate) plan.Fact {
		if !f.lied && !p.n.w.etcd.renew(a.Lease) {
			return plan.RenewFailed{Lease: a.Lease, Gone: true, Err: errGone}
		}
		return plan.Renewed{Lease: a.Lease, TTL: p.n.cfg.TTL}
	}, func(err error) plan.Fact { return plan.RenewFailed{Lease: a.Lease, Err: err} })
}

func (p *process) writeState(a plan.WriteState) {
	value := plan.Encode(a.State)
	p.call(writes, writeTimeout, func(fate) plan.Fact {
		if err := p.n.w.etcd.putState(p.n.name, a.Registration, value); err != nil {
			return plan.StateFailed{Err: err}
		}
		return plan.StateWritten{State: a.State}
	}, func(err error) plan.Fact { return plan.StateFailed{Err: err} })
}

// probe asks the LAN who uses addresses. On most LANs of this simulation nobody can hear anybody: the promise does not rest on it.
func (p *process) probe(a plan.ProbeAddresses) {
	w, d := p.n.w, &p.n.kernel.dice
	for _, it := range a.Items {
		most := probeMost
		if a.Quick {
			most = 20 * time.Millisecond
		}
		w.after(d.upTo(most), p, func() {
			f := plan.AddressesProbed{VIP: it.VIP, Quick: a.Quick, Ahead: a.Ahead}
			if w.s.LAN || w.s.Fast {
				f.Rival = p.n.answers(it.Addresses)
			}
			p.post(f)
		})
	}
}

// answers says which other node has one of the addresses up.
func (n *node) answers(list []plan.Address) string {
	for _, o := range n.w.nodes {
		for _, a := range list {
			if o != n && n.hears(o) && o.kernel.up>>slotOf(a)&1 != 0 {
				return o.name
			}
		}
	}
	return ""
}

// pendingLease is the lease of a registration that is in doubt.
type pendingLease struct {
	reg   string
	lease int64
}

// register is coordinator.Coordinator.register, one step after the other.
func (p *process) register(a plan.Register) {
	before := p.view.Remember()
	deadline := p.n.w.now + 2*writeTimeout
	left := func() time.Duration { return min(max(deadline-p.n.w.now, 0), writeTimeout) }
	if p.pending.reg == a.Member.Reg {
		p.save(before, func() { p.create(a, before, left()) })
		return
	}
	ask(p, leaseCalls, left(), func(fate) int64 { return p.n.w.etcd.grant(a.TTL) }, func(id int64, err error) {
		if err != nil {
			p.post(plan.RegisterFailed{Err: err})
			return
		}
		p.pending = pendingLease{a.Member.Reg, id}
		p.save(before, func() { p.create(a, before, left()) })
	})
}

// create makes the member key, which is remembered before it can stand.
func (p *process) create(a plan.Register, before plan.Remembered, timeout time.Duration) {
	type created struct {
		memberRev, revision int64
		taken               []byte
		err                 error
	}
	id, e := p.pending.lease, p.n.w.etcd
	member, state := plan.Encode(a.Member), plan.Encode(a.State)
	ask(p, writes, timeout, func(fate) created {
		rev, taken, err := e.register(p.n.name, id, member, state)
		return created{rev, e.rev, taken, err}
	}, func(c created, err error) {
		if err != nil {
			c.err = err
		}
		if errors.Is(c.err, errGone) {
			p.pending = pendingLease{}
		}
		if c.err != nil {
			p.post(plan.RegisterFailed{Taken: c.taken, Err: c.err})
			return
		}
		reg := plan.Registration{ID: a.Member.Reg, MemberRev: c.memberRev, Lease: id, TTL: a.TTL}
		before.Last = reg
		p.save(before, func() {
			p.post(plan.Registered{Registration: reg, Highest: a.Highest, Revision: c.revision, State: a.State})
		})
	})
}

// remember saves what the next process must know, when it has changed.
func (p *process) remember() {
	version, revision, now := p.view.RememberVersion(), p.view.Standing().Revision, p.n.w.now
	if version == p.saved && (revision == p.savedRev || now-p.savedAt < rememberEvery) {
		return
	}
	p.saved, p.savedRev, p.savedAt = version, revision, now
	p.save(p.view.Remember(), func() {})
}

// save writes the state file; the memory lane does so in order.
func (p *process) save(r plan.Remembered, then func()) {
	w := p.n.w
	took := p.n.dice.upTo(2 * time.Millisecond)
	if w.noise(&p.n.dice, 2) {
		took += p.n.dice.upTo(300 * time.Millisecond)
	}
	p.saving = max(p.saving, w.now) + took
	w.at(p.saving, p, func() {
		p.n.memory = r
		then()
	})
}
