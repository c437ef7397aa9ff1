package plan

import (
	"slices"
	"time"
)

// mayShow is the safety rule (see the package comment): may this node set the addresses of the VIP, or set their lifetime again, if the kernel does it
// before the returned boot time? It says nothing about whether the node should.
func (v *View) mayShow(vip string, now time.Duration) (until time.Duration, ok bool) {
	c, l := v.etcd.claims[vip], v.local[vip]
	switch {
	case !v.mine(c): // the claim names this registration [S1]
		return 0, false
	case !v.self.freshCheck(): // and a check confirmed that it stands
		return 0, false
	case !v.plays(c): // this node holds to what the claim says of its holder
		return 0, false
	case !l.up && v.self.good.t0 < v.foundSince(vip): // a check from before this node was cut off says nothing [F4]
		return 0, false
	case !v.means(vip, c): // the claim is about these addresses
		return 0, false
	case !l.up && (v.self.good.revision < c.mod || v.otherName(vip, never64, now) != ""): // and no other is, as a check since it was won tells
		return 0, false
	case l.doubt || l.giving: // rule 4 [S2, S3]
		return 0, false
	case c.born() && !l.up: // rule 5
		return 0, false
	case c.wait() < v.cfg.Wait: // takers would not wait long enough [S10]
		return 0, false
	case now < v.notBefore:
		return 0, false
	}
	until = v.self.good.t0 + v.cfg.CheckTimeout // rule 1: what W counts on
	if !l.up {
		until = v.self.good.t0 + v.addWithin() // what an eviction counts on [F1]
	}
	return until, now < until
}

// keepUntil is when the addresses of a VIP that are up must be deleted, if they are not set again before: the check that their lifetime rests on + hold.
func (v *View) keepUntil(l *local) time.Duration {
	until := l.t0 + v.cfg.Hold
	if l.t0 == 0 {
		until = v.self.started + v.cfg.Hold // found at the start: the kernel ends them by then at the latest
	}
	if sooner, unasked := v.unasked(l); unasked {
		until = min(until, sooner)
	}
	return until
}

// mayKeep tells whether an address that is up may stay for the rest of its lifetime: its claim is this node's, or it was when it went missing and nobody
// else may take it yet.
func (v *View) mayKeep(c claim, l *local, now time.Duration) bool {
	switch {
	case now >= v.keepUntil(l):
		return false
	case !v.etcd.synced: // a new process has not read yet; one whose store went back has forgotten
		return v.notBefore == 0
	}
	if v.evicted(c) {
		return false // others need not wait
	}
	return v.mine(c) || v.own(c) || !c.holds() && l.here && l.lost
}

// addresses decides about every address of ours on this node: at most one operation per VIP at a time.
func (d *decision) addresses() {
	v := d.v
	if !v.reading && d.at(v.readAt) {
		d.do(ReadAddresses{})
	}
	if !v.observed {
		return
	}
	var due due
	for i, vip := range v.names {
		if l := v.locals[i]; !d.awaits(l.rest) {
			l.rest = rest{until: never}
			found := due.size()
			d.look(&l.rest, func() { d.address(vip, l, &due) })
			if due.size() > found {
				l.rest.until = 0 // until it is under way
			}
		}
	}
	if len(due.del) > 0 {
		d.do(DelAddresses{due.del})
	}
	if len(due.probe) > 0 {
		d.do(ProbeAddresses{Items: due.probe})
	}
	d.burst(due.raise, true, v.addWithin()) // first: somebody waits for these
	d.burst(due.raise, false, v.cfg.CheckTimeout)
	d.actions = append(d.actions, due.announce...)
}

// due is what is to be done on addresses now.
type due struct {
	del, raise, probe []Item
	announce          []Action
}

func (d *due) size() int { return len(d.del) + len(d.raise) + len(d.probe) + len(d.announce) }

// address decides about the addresses of one VIP.
func (d *decision) address(vip string, l *local, due *due) {
	v := d.v
	if l.op != idle {
		return
	}
	if d.unverified(l) {
		due.del = append(due.del, Item{VIP: vip, Addresses: l.both()})
		return
	}
	c := v.etcd.claims[vip]
	switch {
	case l.some && d.mustDelete(vip, c, l):
		if d.at(l.delAt) {
			due.del = append(due.del, Item{VIP: vip, Addresses: l.both(), Held: l.up && v.mine(c)})
		}
	case d.wants(vip, c, l):
		switch it, ok := d.raise(vip, c, l); {
		case ok && it.Fresh && l.probe:
			if !l.probing {
				due.probe = append(due.probe, it)
			}
		case ok:
			due.raise = append(due.raise, it)
		}
		if l.announce && l.up && l.t0 > 0 || d.defends(l) {
			due.announce = append(due.announce, Announce{Item: Item{VIP: vip, Addresses: l.set}, Kept: l.kept, Defend: l.rival.at > 0})
		}
	}
	if l.some {
		d.at(v.keepUntil(l))
	}
}

// burst raises those of the items that are added, or those that are refreshed.
func (d *decision) burst(all []Item, fresh bool, within time.Duration) {
	var part []Item
	for _, it := range all {
		if it.Fresh == fresh {
			part = append(part, it)
		}
	}
	if len(part) > 0 {
		t0 := d.v.self.good.t0
		d.do(RaiseAddresses{Items: part, T0: t0, Until: t0 + within})
	}
}

// unverified tells whether a rival was heard, and authority has not been confirmed in time since.
func (d *decision) unverified(l *local) bool {
	if l.rival.at == 0 || !l.up || d.v.self.freshCheck() && d.v.self.good.t0 >= l.rival.at {
		return false
	}
	return d.at(l.rival.at + rivalTimeout)
}

// defends tells whether a rival was heard, authority has been confirmed since, and the last defence is long enough ago.
func (d *decision) defends(l *local) bool {
	r := l.rival
	return r.at > 0 && l.up && d.v.self.freshCheck() && d.v.self.good.t0 >= r.at && (r.defended == 0 || d.at(r.defended+l.defendEvery(d.now.Boot)))
}

// defendEvery is the least time between two defences of an address.
func (l *local) defendEvery(now time.Duration) time.Duration {
	if now < l.defend {
		return defendFast
	}
	return defendEvery
}

// both are the addresses that a VIP has here and those it had when they were last set.
func (l *local) both() []Address {
	out := slices.Clone(l.place.Addresses)
	for _, a := range l.set {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// mustDelete tells whether addresses that are up, or may be, have to go now.
func (d *decision) mustDelete(vip string, c claim, l *local) bool {
	v := d.v
	moved := l.place.Why == "" && len(l.set) > 0 && !slices.Equal(l.set, l.place.Addresses)
	return !v.mayKeep(c, l, d.now.Boot) || d.handing(c, l) || d.shedding(vip, c, l) || moved || l.stray || v.cutOff(l) != "" || l.place.Why != "" && v.etcd.synced && v.mine(c)
}

// wants tells whether this node should show the VIP as far as the claim goes.
func (d *decision) wants(vip string, c claim, l *local) bool {
	return d.v.mine(c) && d.cannotHere(vip, l) == "" && !d.handing(c, l) && !d.shedding(vip, c, l)
}

// refreshDue tells whether the last good check is newer than the one that the lifetime of an address rests on, by enough to be worth it: while VIPs come in
// chunks, each of which asks for a check, those that are up already would be set anew all the time.
func (v *View) refreshDue(l *local) bool { return v.self.good.t0-l.t0 >= v.cfg.CheckInterval*2/3 }

// raise returns the VIP's item for the burst if its addresses are missing, or if a newer check allows a new lifetime.
func (d *decision) raise(vip string, c claim, l *local) (Item, bool) {
	v := d.v
	until, ok := v.mayShow(vip, d.now.Boot)
	if l.up {
		return Item{VIP: vip, Addresses: l.place.Addresses}, ok && v.refreshDue(l)
	}
	d.at(v.notBefore)
	if !ok || d.now.Boot > until-v.addMargin() {
		if !l.doubt && !l.giving && !c.born() {
			d.urgent, d.after = true, max(d.after, c.mod)
		}
		return Item{}, false
	}
	return Item{VIP: vip, Addresses: l.place.Addresses, Fresh: true}, true
}
