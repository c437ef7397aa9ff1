package plan

import (
	"slices"
	"time"

	"viplease/coordinator/placement"
)

// Balance and homecoming moves between live nodes wait for rounds, unless Config.MovesPerRound says that they need not. There is one round at a time in the
// whole cluster, the key round. Who offers a move writes its VIP into a slot there, in the transaction that writes the offer: no address comes down for a
// slot that may be lost. Every such write compares the key's mod revision, so two nodes never fill one slot.
//
// A round that has been full, or left alone, is followed by the next when Config.Interval has passed on a node's own clock since it first saw the last slot
// being filled. So in any time of that length there are at most MovesPerRound offers, whoever makes them and whatever clocks say; a node that dies with a slot
// costs that slot, and blocks nothing.

// Round is the value of the key round: the balance round in progress. Only offers of moves write it.
type Round struct {
	V      int       `json:"v"`
	Number int64     `json:"number"`
	Slots  []string  `json:"slots"`            // VIPs whose moves have a slot in it
	Missed []string  `json:"missed,omitempty"` // VIPs that had a slot in a round before, the longest ago first, and are still where they were
	By     string    `json:"by"`               // who filled the last slot
	At     time.Time `json:"at,omitzero"`      // when, for people
}

// Slot is a place in a round that an offer takes: the round as it is with it, written only if the key round is as it was seen.
type Slot struct {
	Round Round
	IfMod int64 // the key's mod revision; 0: it must not exist
}

// roundKey is the key round as it was last seen. What was not written by an offer stands for a round that is full.
type roundKey struct {
	Round
	absent, foreign bool
	mod             int64
}

// putRound folds the key.
func (s *store) putRound(e Entry) {
	if s.round.mod >= e.Mod {
		return
	}
	r, err := decode(e.Value, func(r *Round) int { return r.V })
	if err != nil {
		r = Round{}
	}
	s.round = roundKey{Round: r, foreign: err != nil, mod: e.Mod}
}

// roundEnds is when the round in progress is over for this node.
func (v *View) roundEnds() time.Duration {
	if v.etcd.round.mod == 0 || v.etcd.balance.mod > v.etcd.round.mod { // there was none yet, or an operator has asked for the next
		return 0
	}
	return v.evidence.round.since + v.cfg.Interval
}

// slot returns the place in a round that the VIP's move may take now; nil while it has to wait. One slot is taken at a time: the next one needs to know what
// the key round became.
func (d *decision) slot(vip string) *Slot {
	v, r := d.v, d.v.etcd.round
	if v.slotting || d.slotted {
		return nil
	}
	next := Round{V: Format, Number: r.Number, Missed: r.Missed, By: v.cfg.Node, At: d.now.Wall}
	switch over := d.at(v.roundEnds()); {
	case over:
		next.Number++
		next.Missed = v.stillWaiting(append(slices.Clone(r.Missed), r.Slots...))
	case r.absent || r.foreign: // deleted or overwritten by hand: nobody knows how many slots were filled
		return nil
	default:
		next.Slots = slices.Clone(r.Slots)
	}
	turns := v.turns(next)
	if free := v.cfg.MovesPerRound - len(next.Slots); !slices.Contains(turns[:min(max(free, 0), len(turns))], vip) {
		return nil
	}
	next.Slots = append(next.Slots, vip)
	next.Missed = slices.DeleteFunc(slices.Clone(next.Missed), func(m string) bool { return m == vip })
	d.slotted = true
	s := &Slot{Round: next, IfMod: r.mod}
	if r.absent {
		s.IfMod = 0
	}
	return s
}

// turns are the VIPs whose moves wait for a slot, in the order in which they get one in the round: that of the placement. Moves that had their slots and were
// not made come after the others, so that one that fails for ever does not keep them waiting.
func (v *View) turns(r Round) (out []string) {
	for _, m := range v.placement().waiting {
		if !slices.Contains(r.Slots, m.VIP) && !slices.Contains(r.Missed, m.VIP) {
			out = append(out, m.VIP)
		}
	}
	for _, vip := range v.stillWaiting(r.Missed) {
		if !slices.Contains(r.Slots, vip) {
			out = append(out, vip)
		}
	}
	return out
}

// stillWaiting is the part of a list of VIPs whose moves wait for rounds.
func (v *View) stillWaiting(list []string) (out []string) {
	for _, vip := range list {
		waits := slices.ContainsFunc(v.placement().waiting, func(m placement.Move) bool { return m.VIP == vip })
		if waits && !slices.Contains(out, vip) {
			out = append(out, vip)
		}
	}
	return out
}

// foldSlot takes in what became of a slot that an offer wanted. It tells whether this node has learnt something about the round.
func (v *View) foldSlot(w ClaimWrite, r WriteResult, revision int64) bool {
	before := v.etcd.round.mod
	switch {
	case w.Slot == nil:
	case r.Won && before < revision:
		v.etcd.round = roundKey{Round: w.Slot.Round, mod: revision}
	case !r.Won && r.Round != nil:
		v.etcd.putRound(*r.Round)
	}
	return v.etcd.round.mod != before
}

// slotAnswered is told of every transaction that was answered, or will not be.
func (v *View) slotAnswered(writes []ClaimWrite) {
	if slices.ContainsFunc(writes, func(w ClaimWrite) bool { return w.Slot != nil }) {
		v.slotting = false
	}
}
