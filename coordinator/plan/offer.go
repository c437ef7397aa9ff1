package plan

import (
	"time"

	"viplease/coordinator/placement"
)

// A VIP that moves is down from when its holder deletes its addresses until its next holder has added them, and what happens in between to one of many
// happens to all that move with it. So they move in chunks: as many as one transaction writes, for one target as far as there are enough, so that each of the
// three writes of a move is one revision for all of them. The next chunk begins when the last has been handed over; all others stay up meanwhile. A target that
// does not answer soon is not waited for.

// acceptSoon is how long an offer that is not accepted keeps the next chunk waiting: some ten times what an accept takes.
const acceptSoon = 50 * time.Millisecond

// chunk is how many claims one transaction writes at the most.
func (v *View) chunk() int { return max(v.cfg.MaxWrites, 1) }

// offer is a move that may begin now, as far as its VIP goes.
type offer struct {
	vip  string
	move placement.Move
	slot *Slot
}

// mayOffer notes that a VIP which this node holds is to move.
func (d *decision) mayOffer(vip string) {
	m, ok := d.move(vip)
	if !ok {
		return
	}
	o := offer{vip: vip, move: m}
	if m.Round > 0 && d.v.cfg.MovesPerRound > 0 {
		if o.slot = d.slot(vip); o.slot == nil {
			return
		}
	}
	d.offers = append(d.offers, o)
}

// offering offers the moves whose turn it is.
func (d *decision) offering() {
	if len(d.offers) == 0 {
		return
	}
	waiting := map[string][]offer{}
	for _, o := range d.offers {
		waiting[o.move.To] = append(waiting[o.move.To], o)
	}
	moving, waitedFor := d.moving()
	room := d.v.chunk() - waitedFor
	for rest := len(d.offers); rest > 0 && room >= min(rest, d.v.chunk()); {
		var writes []ClaimWrite
		for most := min(rest, d.v.chunk()); len(writes) < most; {
			to := idlest(waiting, moving)
			for len(waiting[to]) > 0 && len(writes) < most {
				writes = append(writes, d.offer(waiting[to][0]))
				waiting[to] = waiting[to][1:]
				moving[to]++
			}
		}
		d.commit(writes)
		rest -= len(writes)
		room -= len(writes)
	}
}

// moving counts the VIPs that this node has offered, or is about to, and has not handed over: by target, and those that the next chunk waits for.
func (d *decision) moving() (to map[string]int, waitedFor int) {
	v := d.v
	to = map[string]int{}
	for i, vip := range v.names {
		l, c := v.locals[i], v.etcd.claims[vip]
		switch {
		case !v.mine(c):
		case c.To != "":
			limit := acceptSoon
			if c.Accept > 0 {
				limit = offerTimeout // one that cannot be deleted is not waited for either
			}
			to[c.To]++
			waitedFor += boolInt(!d.at(l.offeredAt + limit))
		case l.write && l.offered != "":
			to[l.offered]++
			waitedFor += boolInt(!d.at(l.offeredAt + acceptSoon))
		}
	}
	return to, waitedFor
}

// idlest is the target that waits for VIPs and has the fewest on their way to it.
func idlest(waiting map[string][]offer, moving map[string]int) string {
	best := ""
	for to, list := range waiting {
		if len(list) > 0 && (best == "" || moving[to] < moving[best] || moving[to] == moving[best] && to < best) {
			best = to
		}
	}
	return best
}

// offer names the target of a move.
func (d *decision) offer(o offer) ClaimWrite {
	v, c := d.v, d.v.etcd.claims[o.vip]
	n := d.next(o.vip, c)
	n.To, n.Accept, n.Why = o.move.To, 0, string(o.move.Why)
	if o.move.Why == moveAsked {
		n.Moved = v.etcd.moves[o.vip].mod // used up
	}
	target := MemberRef{o.move.To, v.etcd.members[o.move.To].create}
	return ClaimWrite{VIP: o.vip, Kind: Offer, Claim: n, IfMod: c.mod, TargetHere: &target, Slot: o.slot}
}
