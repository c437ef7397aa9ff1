package plan

import "viplease/coordinator/placement"

// A VIP that moves is down from when its holder deletes its addresses until its next holder has added them, and what happens in between to one of many
// happens to all that move with it. So they move in chunks: as many as one transaction writes, for one target as far as there are enough, so that each of the
// three writes of a move is one revision for all of them. Two chunks are under way at once, so that one target works while the other does; the next one begins
// when one of them has been handed over. All others stay up meanwhile.

// chunksMost is how many chunks are under way at once.
const chunksMost = 2

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
	moving := d.v.moving()
	room := chunksMost * d.v.chunk()
	for _, n := range moving {
		room -= n
	}
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

// moving counts the VIPs that this node has offered, or is about to, and has not handed over, by target.
func (v *View) moving() map[string]int {
	n := map[string]int{}
	for i, vip := range v.names {
		l, c := v.locals[i], v.etcd.claims[vip]
		switch {
		case !v.mine(c):
		case c.To != "":
			n[c.To]++
		case l.write && l.offered != "":
			n[l.offered]++
		}
	}
	return n
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
