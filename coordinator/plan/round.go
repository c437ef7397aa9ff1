package plan

import (
	"slices"
	"time"
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

// turn is who may fill a slot now.
type turn struct {
	round Round           // as it stands, or the next; without the new slot
	vips  map[string]bool // whose moves may have one
}

// slot returns the place in a round that the VIP's move may take now; nil while it has to wait. One slot is taken at a time: the next one needs to know what
// the key round became.
func (d *decision) slot(vip string) *Slot {
	v := d.v
	if v.slotting || d.slotted {
		return nil
	}
	if d.turn == nil {
		d.turn = d.whoseTurn()
	}
	if !d.turn.vips[vip] {
		return nil
	}
	d.slotted = true
	s := &Slot{Round: d.turn.round, IfMod: v.etcd.round.mod}
	s.Round.Slots = append(slices.Clone(s.Round.Slots), vip)
	s.Round.Missed = slices.DeleteFunc(slices.Clone(s.Round.Missed), func(m string) bool { return m == vip })
	if v.etcd.round.absent {
		s.IfMod = 0
	}
	return s
}

// whoseTurn lists the moves that may have a slot: as many as the round that stands has left, or the next one has. They come in the order of the placement, and
// those that had their slots and were not made after the others, so that one that fails for ever does not keep them waiting.
func (d *decision) whoseTurn() *turn {
	v, r := d.v, d.v.etcd.round
	t := &turn{vips: map[string]bool{}, round: Round{V: Format, Number: r.Number, Missed: r.Missed, By: v.cfg.Node, At: d.now.Wall}}
	switch over := d.at(v.roundEnds()); {
	case over:
		t.round.Number++
		t.round.Missed = slices.DeleteFunc(append(slices.Clone(r.Missed), r.Slots...), func(vip string) bool { return !v.waits(vip) })
	case r.absent || r.foreign: // deleted or overwritten by hand: nobody knows how many slots were filled
		return t
	default:
		t.round.Slots = r.Slots
	}
	had := map[string]bool{}
	for _, vip := range append(slices.Clone(t.round.Slots), t.round.Missed...) {
		had[vip] = true
	}
	free := max(v.cfg.MovesPerRound-len(t.round.Slots), 0)
	for _, m := range v.placement().waiting {
		if len(t.vips) < free && !had[m.VIP] {
			t.vips[m.VIP] = true
		}
	}
	for _, vip := range t.round.Missed {
		if len(t.vips) < free && v.waits(vip) && !slices.Contains(t.round.Slots, vip) {
			t.vips[vip] = true
		}
	}
	return t
}

// waits tells whether the VIP's move waits for a round.
func (v *View) waits(vip string) bool {
	p := v.placement()
	return p.moves[vip].Round > 0 && !p.disputed[vip]
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
