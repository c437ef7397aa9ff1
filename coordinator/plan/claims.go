package plan

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
)

// claims decides about every claim that this node may write: at most one write per claim at a time, many in one transaction.
func (d *decision) claims() {
	v := d.v
	if v.self.phase != registered || v.self.adopted || !v.etcd.synced || !v.observed {
		return
	}
	var writes []ClaimWrite
	for i, vip := range v.names {
		l := v.locals[i]
		if d.awaits(l.rest) {
			continue
		}
		c, ok := v.etcd.claims[vip], false
		d.look(&l.rest, func() {
			if l.write || !d.at(l.writeAt) {
				return
			}
			var w ClaimWrite
			if w, ok = d.write(vip, c, l); ok {
				writes = append(writes, w)
			}
		})
		if !ok {
			d.settle(vip, c, l)
		}
	}
	for part := range slices.Chunk(writes, v.chunk()) {
		d.commit(part)
	}
	d.offering()
	if len(d.asks) > 0 {
		d.do(ProbeAddresses{Items: d.asks, Quick: true})
	}
	if len(d.aheads) > 0 {
		d.do(ProbeAddresses{Items: d.aheads, Ahead: true})
	}
}

func (d *decision) commit(writes []ClaimWrite) {
	d.do(Commit{MemberRev: d.v.self.reg.MemberRev, Highest: d.v.etcd.highest, Writes: writes})
}

func (d *decision) write(vip string, c claim, l *local) (ClaimWrite, bool) {
	v := d.v
	switch {
	case v.mine(c):
		return d.writeMine(vip, c, l)
	case v.own(c) && v.evicted(c) && (l.some || l.op != idle):
		return ClaimWrite{}, false // it comes down first
	case v.own(c):
		return d.restamp(vip, c), true // a node that is joining keeps what it holds
	case !c.holds() && l.lost && l.up && d.now.Boot < v.keepUntil(l) && v.vipHere(vip) && !errors.Is(c.foreign, errNewer):
		return d.restamp(vip, c), true // its address has been up all along: nobody else can have waited W
	case !c.valid():
		if errors.Is(c.foreign, errNewer) || !v.vipHere(vip) || v.self.leaving {
			return ClaimWrite{}, false
		}
		if v.emptying || d.empties == max(v.cfg.MaxWrites, 1) || !d.firstToWrite(vip) && !d.at(max(v.self.since, l.lostAt)+emptyLater) {
			return ClaimWrite{}, false
		}
		d.empties++
		return d.empty(vip, c, l), true
	case c.valid() && c.To == v.cfg.Node:
		if c.Accept != v.self.reg.MemberRev && d.accepts(vip, c) {
			n := d.next(vip, c)
			n.Accept = v.self.reg.MemberRev
			n.WaitMS = max(n.WaitMS, v.waitMS()) // it will be shown as soon as it is transferred
			return ClaimWrite{VIP: vip, Kind: Accept, Claim: n, IfMod: c.mod}, true
		}
	}
	return d.take(vip, c, l)
}

// firstToWrite tells whether this node is one of the few that write what is missing under this name at once: the claim of a VIP, a configuration. At the
// first start of a large cluster all of it is missing, and every node sees it: if all wrote all of it, etcd would be asked for their product. For the same
// reason a node writes such claims one transaction after the other.
func (d *decision) firstToWrite(name string) bool {
	if d.members == 0 {
		for node := range d.v.etcd.members {
			d.members++
			d.rank += boolInt(node < d.v.cfg.Node)
		}
	}
	if d.members <= emptyFirst {
		return true
	}
	ahead := int(crc32.ChecksumIEEE([]byte(name))) - d.rank
	return (ahead%d.members+d.members)%d.members < emptyFirst
}

// empty writes that nobody is known to hold the VIP. Whoever takes it waits as long as anybody known could still show it.
func (d *decision) empty(vip string, c claim, l *local) ClaimWrite {
	n := d.next(vip, c)
	n.Node, n.Reg, n.MemberRev, n.To, n.Accept = "", "", 0, "", 0
	n.Empty, n.Stay, n.Fast, n.Why = true, false, Terms{}, "nobody is known to hold it"
	wait := max(d.v.cfg.Wait, d.widest(), l.lostWait, c.wait())
	n.WaitMS = int64((wait + time.Millisecond - 1) / time.Millisecond)
	if d.v.vipHere(vip) {
		n.Addresses = d.v.texts[vip]
	}
	return ClaimWrite{VIP: vip, Kind: Empty, Claim: n, IfMod: ifMod(c)}
}

// widest is the store's, found once.
func (d *decision) widest() time.Duration {
	if d.widestWait == 0 {
		d.widestWait = d.v.etcd.widest()
	}
	return d.widestWait
}

// writeMine: what to write to a claim that this registration holds.
func (d *decision) writeMine(vip string, c claim, l *local) (ClaimWrite, bool) {
	v := d.v
	down := func() bool { return d.down(vip, c, l) }
	switch {
	case c.born() && !l.giving && down():
		return d.empty(vip, c, l), true
	case l.doubt || c.born():
		return d.restamp(vip, c), true
	case d.cannot(vip) != "":
		if down() {
			return d.release(vip, c, d.cannot(vip)), true
		}
	case d.shedding(vip, c, l):
		if down() {
			return d.release(vip, c, v.whyShed(vip)), true
		}
	case d.handing(c, l):
		if down() {
			return d.transfer(vip, c), true
		}
	case c.To != "":
		if l.offered != c.To || d.at(l.offeredAt+offerTimeout) {
			n := d.next(vip, c)
			n.To, n.Accept = "", 0
			if l.offered == c.To {
				n.Why = l.whyHere
			}
			return ClaimWrite{VIP: vip, Kind: Cancel, Claim: n, IfMod: c.mod}, true
		}
	case c.WaitMS != d.stampWait(vip, c) || d.restampsFast(vip, c, l):
		return d.restamp(vip, c), true
	case !d.current():
	default:
		d.mayOffer(vip)
	}
	return ClaimWrite{}, false
}

// down tells whether nothing of the VIP is up here, nor may be: not under its own name, and none of its claim's addresses under another name or as a
// former one. What another claim of this node accounts for does not count.
func (d *decision) down(vip string, c claim, l *local) bool {
	if l.some || l.op != idle {
		return false
	}
	for _, a := range c.Addresses {
		if slices.ContainsFunc(d.unaccounted()[a], func(name string) bool { return name != vip }) {
			return false
		}
	}
	return true
}

// unaccounted is what is up here, or may be, and is no address of a claim of this node under the same name: the names by address. It is found once.
func (d *decision) unaccounted() map[string][]string {
	if d.strays != nil {
		return d.strays
	}
	v := d.v
	d.strays = map[string][]string{}
	for name, l := range v.local {
		if c := v.etcd.claims[name]; !l.some && l.op == idle || v.mine(c) && v.means(name, c) {
			continue
		}
		for _, a := range l.both() {
			text := a.Prefix.String()
			d.strays[text] = append(d.strays[text], name)
		}
	}
	return d.strays
}

// next is the claim's value for the next write: the same, with a new attempt id and the version that etcd will give it.
func (d *decision) next(vip string, c claim) Claim {
	d.tries++
	n := c.Claim
	if !c.valid() {
		n = Claim{}
	}
	n.V, n.VIP = Format, vip
	n.Try = fmt.Sprintf("%s/%d", d.v.cfg.Seed, d.v.tries+d.tries)
	n.Writes = 1
	if !c.absent && c.mod > 0 {
		n.Writes = c.version + 1
	}
	return n
}

// stamped is the claim's next value with this node as its holder.
func (d *decision) stamped(vip string, c claim) Claim {
	v := d.v
	n := d.next(vip, c)
	if n.Node != v.cfg.Node || n.Since.IsZero() {
		n.Since = d.now.Wall
	}
	n.Node, n.Reg, n.MemberRev, n.WaitMS = v.cfg.Node, v.self.reg.ID, v.self.reg.MemberRev, d.stampWait(vip, c)
	n.To, n.Accept, n.Empty, n.Contested, n.Fast = "", 0, false, false, d.stampFast(vip, c)
	if v.vipHere(vip) && !v.mine(c) && !v.own(c) {
		n.Addresses = v.texts[vip]
	}
	return n
}

// stampWait is the wait that a claim of this node has to ask for: its own W, and that of the process before while what that has set may be up.
func (d *decision) stampWait(vip string, c claim) int64 {
	v, l := d.v, d.v.local[vip]
	if (v.mine(c) || v.own(c)) && l.some && l.t0 == 0 {
		return max(v.waitMS(), c.wait().Milliseconds())
	}
	return v.waitMS()
}

// means tells whether the claim names the addresses that this node's configuration means by the VIP.
func (v *View) means(vip string, c claim) bool {
	return slices.Equal(c.Addresses, v.texts[vip])
}

// waitMS is W for the claim, rounded up.
func (v *View) waitMS() int64 { return int64((v.cfg.Wait + time.Millisecond - 1) / time.Millisecond) }

func (d *decision) restamp(vip string, c claim) ClaimWrite {
	n := d.stamped(vip, c)
	if !c.valid() {
		n.Why = "the claim was missing or foreign; written again by its holder"
	}
	return ClaimWrite{VIP: vip, Kind: Restamp, Claim: n, IfMod: ifMod(c)}
}

func (d *decision) release(vip string, c claim, why string) ClaimWrite {
	n := d.next(vip, c)
	n.Node, n.Reg, n.MemberRev, n.To, n.Accept = "", "", 0, "", 0
	n.Stay, n.Fast, n.Contested = false, Terms{}, d.v.local[vip].contested
	n.Why = fmt.Sprintf("released by %s: %s", d.v.cfg.Node, why)
	return ClaimWrite{VIP: vip, Kind: Release, Claim: n, IfMod: c.mod}
}

func (d *decision) transfer(vip string, c claim) ClaimWrite {
	v := d.v
	target := v.etcd.members[c.To]
	n := d.next(vip, c)
	n.Node, n.Reg, n.MemberRev, n.To, n.Accept = c.To, target.Reg, target.create, "", 0
	n.Since, n.Stay, n.Fast = d.now.Wall, v.local[vip].stays, Terms{}
	n.Why = v.movedFromHere() + c.Why
	return ClaimWrite{VIP: vip, Kind: Transfer, Claim: n, IfMod: c.mod, Cause: transferCause(c), TargetHere: &MemberRef{c.To, target.create}}
}

// movedFromHere begins the reason of a claim that this node has transferred.
func (v *View) movedFromHere() string { return "moved from " + v.cfg.Node + ": " }

func ifMod(c claim) int64 {
	if c.absent {
		return 0
	}
	return c.mod
}

// accepts tells whether this node would raise the VIP at once if it were transferred now.
func (d *decision) accepts(vip string, c claim) bool {
	v := d.v
	state, _, _ := v.readiness(d.now.Boot)
	_, drained := v.etcd.drains[v.cfg.Node]
	return state == StateReady && !drained && v.means(vip, c) && d.cannot(vip) == "" && d.chosen(vip) && v.etcd.alive(c.owner()) &&
		v.self.freshCheck() && d.now.Boot-v.self.good.t0 < 2*v.cfg.CheckTimeout && d.now.Boot >= v.notBefore
}

// handing tells whether the VIP is on its way out: the target of our offer is ready for it.
func (d *decision) handing(c claim, l *local) bool {
	v := d.v
	return v.mine(c) && c.To != "" && c.Accept > 0 && l.offered == c.To && v.etcd.alive(MemberRef{c.To, c.Accept}) && !l.doubt
}

// shedding tells whether this node gives the VIP up without a target: it stops, or one of its checks forbids it, and nobody is there to take it over in an
// orderly way.
func (d *decision) shedding(vip string, c claim, l *local) bool {
	v, s := d.v, &d.v.self
	deadline := s.deadline
	if !s.leaving {
		why, since := v.forbids(vip)
		if why == "" {
			return false
		}
		deadline = since + forbidTimeout
	}
	if v.mine(c) && c.To != "" && l.offered == c.To && !d.at(deadline) {
		return false // a move is under way
	}
	etcdAway := !s.freshCheck() || d.now.Boot-s.good.t0 > 3*v.cfg.CheckTimeout
	if !s.leaving && !d.told() && !etcdAway {
		return d.at(deadline) // the others do not know yet that it has to go
	}
	if !etcdAway && !d.current() {
		return d.at(deadline)
	}
	_, ok := d.move(vip)
	return !ok || etcdAway || d.at(deadline)
}

// whyShed says in words why.
func (v *View) whyShed(vip string) string {
	if why, _ := v.forbids(vip); why != "" && !v.self.leaving {
		return why
	}
	return "stopping"
}

// take: the claim is somebody else's, nobody's, or missing. It may be taken when the plan gives the VIP to this node and the evidence is old enough.
func (d *decision) take(vip string, c claim, l *local) (ClaimWrite, bool) {
	v := d.v
	free, why, ok := d.free(vip, c)
	if !ok || v.self.leaving || l.some || l.op != idle || !v.self.freshCheck() { // as it is with most claims of others
		return ClaimWrite{}, false
	}
	if !d.current() || v.placement().assign[vip] != v.cfg.Node || d.cannot(vip) != "" || !d.told() {
		return ClaimWrite{}, false
	}
	probe, cause := c.Node != "" || c.Empty || c.Contested, takeCause(c)
	switch d.quickly(vip, c, l) {
	case asking:
		return ClaimWrite{}, false
	case quiet:
		free, why, probe = 0, c.Node+" was evicted: it does not answer on the LAN", false
		cause = CauseEvicted
	}
	at := max(free, v.notBefore)
	if probe {
		d.askAhead(vip, c, l, at)
		probe = !l.ahead.silent(c, d.now.Boot)
	}
	if !d.at(at) || v.rivalName(vip, d.now.Boot) != "" {
		return ClaimWrite{}, false
	}
	n := d.stamped(vip, c)
	n.Since, n.Why, n.Stay = d.now.Wall, why, false
	w := ClaimWrite{VIP: vip, Kind: Take, Claim: n, IfMod: ifMod(c), Cause: cause, Probe: probe, Quick: cause == CauseEvicted}
	if c.valid() && c.Node != "" {
		owner := c.owner()
		w.OwnerGone = &owner
	}
	return w, true
}

// free says from which boot time on the claim may be taken, and why; ok is false when it has a live owner, or nobody can tell.
func (d *decision) free(vip string, c claim) (at time.Duration, why string, ok bool) {
	v := d.v
	switch {
	case !c.valid():
		return 0, "", false
	case c.Empty:
		e, ok := v.evidence.empty[vip]
		return e.since + max(v.cfg.Wait, c.wait(), e.wait), "nobody held it", ok && e.mod == c.mod
	case c.Node == "":
		return 0, c.Why, true
	case v.etcd.alive(c.owner()):
		return 0, "", false
	}
	since, ok := v.evidence.gone[c.owner()]
	return since + max(v.cfg.Wait, c.wait()), c.Node + " is gone", ok // the larger wait [S10]
}
