package plan

import (
	"slices"
	"time"
)

// rest says how long something that was looked at need not be looked at again: a VIP, or what this node's state lists. With it, a turn on which nothing has
// changed costs next to nothing, at any number of VIPs. The rules stay where they are, and are the only ones; Decide passes over what rests.
//
// A VIP comes to rest when Decide has looked at it, found nothing to do, and it is in one of two simple situations: it is up here and well, or it is
// somewhere else and not this node's business. It rests until
//
//   - the time at which one of the rules wants to look again: whatever they compare with the time goes through decision.at;
//   - a newer check, if it is up here: that allows a new lifetime;
//   - a fact or an action that touches it, or may touch any VIP. Those that do not are listed in narrow and harmless; all others end every rest;
//   - the view is not calm: then every VIP is looked at on every turn.
//
// The simulation holds decisions against such that look at everything (TestRestingLeavesNothingOut in coordinator/sim).
type rest struct {
	era   uint64        // of the view when it was looked at; 0: it does not rest
	until time.Duration // when it is to be looked at again at the latest
	t0    time.Duration // of the check that it has been looked at with; -1: checks do not matter to it
}

// Rouse ends every rest and forgets what was concluded, so that the next decision looks at everything.
func (v *View) Rouse() {
	v.era++
	v.replan()
}

// stir ends the rests that keys in etcd end which have changed.
func (v *View) stir(t touched) {
	if t.or || slices.Contains(t.nodes, v.cfg.Node) {
		v.era++
	}
	for _, vip := range t.claims {
		v.rouse(vip)
	}
}

func (v *View) rouse(vip string) {
	if l := v.local[vip]; l != nil {
		l.rest = rest{}
	}
}

// unsettle ends the rests of VIPs for which something else is planned now.
func (v *View) unsettle(before, now *placed) {
	if before == nil {
		v.era++
		return
	}
	for i, vip := range v.names {
		if before.assign[vip] != now.assign[vip] || len(before.moves)+len(now.moves) > 0 && before.moves[vip] != now.moves[vip] {
			v.locals[i].rest = rest{}
		}
	}
}

// awaits tells whether nothing need be looked at before the time that the rest says, or a fact.
func (d *decision) awaits(r rest) bool {
	if !d.calm || r.era != d.v.era || d.now.Boot >= r.until || r.t0 >= 0 && r.t0 != d.v.self.good.t0 {
		return false
	}
	d.wake = min(d.wake, r.until)
	return true
}

// look lets rules look at something, and notes when they want to look again.
func (d *decision) look(r *rest, rules func()) {
	wake := d.wake
	d.wake = never
	rules()
	r.until = min(r.until, d.wake)
	d.wake = min(d.wake, wake)
}

// settle lets a VIP come to rest for which all rules have found nothing to do.
func (d *decision) settle(vip string, c claim, l *local) {
	v := d.v
	if !d.calm || l.op != idle || l.write || c.To != "" || !c.valid() {
		return
	}
	switch {
	case v.mine(c):
		_, moving := v.placement().moves[vip]
		if !l.up || v.refreshDue(l) || l.announce || l.doubt || l.stray || l.fails > 0 || l.rival.at > 0 || moving {
			return
		}
		l.rest.t0 = v.self.good.t0
	case l.some || l.probing || v.own(c) || !v.etcd.alive(c.owner()) && v.placement().assign[vip] == v.cfg.Node:
		return
	default:
		l.rest.t0 = -1
	}
	l.rest.era = v.era
}

// isCalm tells whether nothing is the matter with this node that could concern any VIP, whatever happens to it.
func (v *View) isCalm(now time.Duration) bool {
	s := &v.self
	if s.phase != registered || s.adopted || s.leaving || !v.etcd.synced || !v.observed || !s.freshCheck() || now < v.notBefore || !v.uniform() {
		return false
	}
	for _, h := range v.health {
		if !h.known || !h.passes {
			return false
		}
	}
	_, accused := v.accused()
	return !accused
}

// narrow tells of a fact that is about to be folded whether it concerns no VIP or only some, whose rests it ends.
func (v *View) narrow(f Fact) bool {
	switch f := f.(type) {
	case CheckAnswered: // the rests of VIPs that are up here end by its t0, and stir ends those of what has changed
		return f.Challenge == nil && f.Eviction == nil
	case BatchSeen: // stir does it
		return true
	case AddressesRaised:
		l := v.local[f.VIP]
		if l == nil || f.Err != nil || f.Late || f.Foreign || !l.up || l.fails > 0 {
			return false
		}
		l.rest = rest{}
		return true
	case ClaimsCommitted:
		return v.narrowWrites(f.Writes)
	case ClaimsFailed:
		return v.narrowWrites(f.Writes)
	case CheckFailed, Renewed, AddressChanged, NeighborsRead, Told, NeighborsWritten:
		return true
	}
	return false
}

// narrowWrites is narrow for what came of writes. A slot of a round concerns others that may have one.
func (v *View) narrowWrites(writes []ClaimWrite) bool {
	narrow := true
	for _, w := range writes {
		v.rouse(w.VIP)
		narrow = narrow && w.Slot == nil
	}
	return narrow
}

// harmless tells whether an action that is under way now concerns no VIP, or only those that it is about, which do not rest then.
func harmless(a Action) bool {
	switch a := a.(type) {
	case Check, Renew, RaiseAddresses, ReadAddresses, Announce, ReadNeighbors, Tell, WriteNeighbors, Reread:
		return true
	case Commit:
		for _, w := range a.Writes {
			if w.Slot != nil {
				return false // others may not have one meanwhile
			}
		}
		return len(a.Puts) == 0
	}
	return false
}
