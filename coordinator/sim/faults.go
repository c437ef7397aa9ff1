package sim

import (
	"encoding/json"
	"slices"
	"time"

	"viplease/coordinator/plan"
)

// trouble is a fault that lasts, of one node.
type trouble struct {
	kind  Kind
	calls calls
	end   time.Duration
}

// trouble tells whether the node is in this kind of it.
func (n *node) trouble(k Kind) bool {
	return slices.ContainsFunc(n.troubles, func(t trouble) bool { return t.kind == k && t.end > n.w.now })
}

// armed is a fault that waits for its moment.
type armed struct {
	Fault
	i int // which it is of the schedule
}

// plan lets a fault happen in its time.
func (w *world) plan(i int, f Fault) {
	if f.On == atOnce {
		w.ends[i] = f.At + f.For
		w.at(f.At, nil, func() { w.strike(i, f) })
		return
	}
	w.ends[i] = f.At + w.s.span() + f.For
	w.at(f.At, nil, func() { w.armed = append(w.armed, armed{f, i}) })
	w.at(f.At+w.s.span(), nil, func() {
		n := len(w.armed)
		if w.armed = slices.DeleteFunc(w.armed, func(a armed) bool { return a.i == i }); len(w.armed) < n {
			w.lasts(i, 0) // its moment did not come
		}
	})
}

// lasts says when a fault ends.
func (w *world) lasts(i int, until time.Duration) {
	w.ends[i] = max(until, w.now)
	w.calmLater()
}

// calmLater waits for the end of all faults.
func (w *world) calmLater() {
	w.quiet = w.s.Again
	for _, end := range w.ends {
		w.quiet = max(w.quiet, end)
	}
	w.at(w.quiet, nil, w.calm)
}

// moment lets the faults that waited for it happen, within a few milliseconds.
func (w *world) moment(n *node, a plan.Action) {
	for i := 0; i < len(w.armed); i++ {
		f := w.armed[i]
		if !f.On.is(a) {
			continue
		}
		w.armed = slices.Delete(w.armed, i, i+1)
		i--
		if f.Actor {
			f.Node = n.id
		}
		after := w.dice.upTo(5 * time.Millisecond)
		w.lasts(f.i, w.now+after+f.For)
		w.after(after, nil, func() { w.strike(f.i, f.Fault) })
	}
}

// is tells whether an action brings the moment about.
func (m moment) is(a plan.Action) bool {
	kinds := map[moment]plan.Kind{onTake: plan.Take, onRestamp: plan.Restamp, onOffer: plan.Offer, onAccept: plan.Accept, onTransfer: plan.Transfer, onRelease: plan.Release}
	switch a := a.(type) {
	case plan.Commit:
		return slices.ContainsFunc(a.Writes, func(w plan.ClaimWrite) bool { return w.Kind == kinds[m] })
	case plan.Register:
		return m == onRegister
	case plan.RaiseAddresses:
		return m == onRaise && slices.ContainsFunc(a.Items, func(it plan.Item) bool { return it.Fresh })
	case plan.DelAddresses:
		return m == onDel
	}
	return false
}

// strike lets fault i of the schedule happen.
func (w *world) strike(i int, f Fault) {
	n := w.nodes[f.Node%len(w.nodes)]
	vip := f.VIP % w.s.VIPs
	w.trace.fault(f)
	switch f.Kind {
	case Lose, Mute, Hold, Slow, Refuse, Lie, Drag, Stall, KernelFails:
		n.troubles = append(slices.DeleteFunc(n.troubles, func(t trouble) bool { return t.end <= w.now }), trouble{f.Kind, f.Calls, w.now + f.For})
		n.frozen()
	case NoQuorum:
		for _, n := range w.nodes {
			n.troubles = append(n.troubles, trouble{Lose, allCalls, w.now + f.For})
		}
		w.quorumAt = max(w.quorumAt, w.now+f.For)
	case Restore:
		down := max(f.For, w.timers.withWait(2*w.timers.hold))
		for _, n := range w.nodes {
			n.troubles = append(n.troubles, trouble{Lose, allCalls, w.now + down})
		}
		w.quorumAt = max(w.quorumAt, w.now+down)
		w.lasts(i, w.now+down)
		back := int64(w.dice.n(20))
		w.after(down, nil, func() { w.etcd.restore(max(w.etcd.rev-back, 10), f.VIP%2 == 1, w.timers.ttl) })
	case Revoke:
		w.etcd.revoke(w.etcd.keys["members/"+n.name].lease)
	case Compact:
		w.etcd.compact()
	case Break:
		if n.proc != nil && n.proc.feed != nil {
			n.proc.feed.broken()
		}
	case DelClaim, PutClaim, CopyClaim, DelMember, Drain, Freeze, Pin, Balance, Move:
		w.operate(f, n, vip)
	case DelAddress:
		for _, a := range w.layouts[0].places[vip] {
			n.kernel.drop(slotOf(a))
		}
	case AddForeign:
		for _, a := range w.layouts[0].places[vip] {
			n.kernel.drop(slotOf(a))
			n.kernel.slots[slotOf(a)].foreign = true
		}
	case LinkDown:
		n.linkDown = w.now + f.For
		n.kernel.flapLink()
		w.after(f.For, nil, n.kernel.flapLink)
	case Sick:
		n.sick = max(n.sick, w.now+f.For)
		n.judgeHealth()
		w.after(f.For, nil, n.judgeHealth)
	case CutLAN:
		w.cutLAN(n, f.For)
	case Split:
		w.splitLAN(f)
	default:
		w.strikeDaemon(f, n)
	}
}

// judgeHealth tells the daemon what its health check says now.
func (n *node) judgeHealth() {
	if n.proc != nil {
		n.proc.post(plan.HealthJudged{Check: checkName, Passes: n.sick <= n.w.now, Why: "503"})
	}
}

// checkName is the health check that the nodes have, if they have one.
const checkName = "nginx"

func (w *world) strikeDaemon(f Fault, n *node) {
	p := n.proc
	if p == nil {
		return
	}
	switch f.Kind {
	case Kill:
		n.kill()
		w.after(f.For, nil, n.start)
	case Upgrade:
		n.kill()
		n.layout = w.final()
		w.after(f.For, nil, n.start)
	case Reboot:
		n.kill()
		n.trouble0()
		w.after(f.For, nil, n.start)
	case Pause:
		w.judge.stops(n)
		p.paused = max(p.paused, w.now+f.For)
		w.at(p.paused, p, func() { w.judge.runs(n) })
	case Hang:
		w.judge.stops(n)
		p.hung = max(p.hung, w.now+f.For)
		w.at(p.hung, p, p.resume)
	case Leave:
		p.leave()
		w.after(f.For+leaveWithin+leaveGrace, nil, n.start)
	}
}

// trouble0 is what a reboot does: nothing is left of before.
func (n *node) trouble0() {
	for i := range n.kernel.slots {
		n.kernel.drop(i)
	}
	n.boot++
	n.memory = plan.Remembered{}
	n.clock.offset = n.dice.between(5*time.Second, 20*time.Second) - n.w.now
}

func (k *kernel) flapLink() {
	if p := k.n.proc; p != nil {
		k.n.w.after(k.dice.upTo(flapEvent), p, func() { p.post(plan.AddressChanged{}) })
	}
}

// operate is what an operator does by hand.
func (w *world) operate(f Fault, n *node, vip int) {
	l := w.layouts[f.Node%len(w.layouts)]
	e, name := w.etcd, "claims/"+l.vips[vip%len(l.vips)].Name
	put := func(name string, value []byte) { e.txn(func(rev int64) { e.put(rev, name, value, 0) }) }
	del := func(name string) { e.txn(func(rev int64) { e.del(rev, name) }) }
	switch f.Kind {
	case DelClaim:
		del(name)
	case DelMember:
		del("members/" + n.name)
	case PutClaim:
		put(name, w.handmade(n, name))
	case CopyClaim:
		var values [][]byte
		for _, c := range e.log {
			if c.entry.Key == name && !c.deleted && decodeClaim(c.entry.Value).Writes == c.entry.Version { // the protocol wrote it
				values = append(values, c.entry.Value)
			}
		}
		if len(values) > 0 {
			del(name)
			put(name, values[w.dice.n(len(values))])
		}
	case Drain:
		put("drains/"+n.name, plan.Encode(plan.Intent{V: plan.Format, By: "somebody"}))
		w.after(f.For, nil, func() { del("drains/" + n.name) })
	case Freeze:
		put("frozen", plan.Encode(plan.Intent{V: plan.Format, By: "somebody", At: wallStart.Add(w.now)}))
		if f.For > 0 {
			w.after(f.For, nil, func() { del("frozen") })
		}
	case Pin:
		pin := "pins/" + l.vips[vip%len(l.vips)].Name
		put(pin, plan.Encode(plan.Intent{V: plan.Format, Node: n.name, By: "somebody"}))
		if f.For > 0 {
			w.after(f.For, nil, func() { del(pin) })
		}
	case Move:
		put("moves/"+l.vips[vip%len(l.vips)].Name, plan.Encode(plan.Intent{V: plan.Format, Node: n.name, MemberRev: e.member(n.name), By: "somebody"}))
	case Balance:
		put("balance", plan.Encode(plan.Intent{V: plan.Format, By: "somebody"}))
	}
}

// handmade is a claim as somebody might write it who knows the format, but not that it counts.
func (w *world) handmade(n *node, name string) []byte {
	k := w.etcd.keys[name]
	c := decodeClaim(k.Value)
	if c.Writes == k.Version+1 {
		c.Writes-- // it counts right by accident only
	}
	switch w.dice.n(4) {
	case 0:
		return []byte("{")
	case 1:
		c.Node, c.Reg, c.MemberRev = "", "", 0
	case 2:
		c.Node, c.MemberRev = n.name, w.etcd.member(n.name)
	}
	return plan.Encode(c)
}

func decodeClaim(value []byte) plan.Claim {
	var c plan.Claim
	_ = json.Unmarshal(value, &c)
	return c
}

// calm ends every fault; from here on all has to settle.
func (w *world) calm() {
	if w.now < w.quiet || w.calmed {
		return
	}
	w.calmed = true
	w.trace.mix(6)
	for _, n := range w.nodes {
		n.troubles = nil
	}
	w.upgradeAll()
	w.judge.since, w.judge.rev = w.now, w.etcd.rev
	if w.mutant.hurry {
		w.after(2*w.s.wait(), nil, func() { w.judge.settled = true })
		return
	}
	w.after(2*settleEvery, nil, w.judge.settle)
}

// upgradeAll brings the changed configuration to the nodes that do not have it yet.
func (w *world) upgradeAll() {
	for _, n := range w.nodes {
		if n.layout != w.final() {
			n.layout = w.final()
			n.kill()
			w.after(100*time.Millisecond, nil, n.start)
		}
	}
}
