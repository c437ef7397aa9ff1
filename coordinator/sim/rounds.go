package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"viplease/coordinator/placement"
	"viplease/coordinator/plan"
)

// rounds is what the judge knows of the balance round in progress.
type rounds struct {
	filled []time.Duration // when slots were filled, of the last few
	lives  int             // of etcd: what was before a restore does not count
}

// writes is told of every write of a claim that is about to be made.
func (j *judge) writes(w plan.ClaimWrite) {
	if w.Kind != plan.Offer {
		return
	}
	if since, frozen := j.frozen(); frozen && j.w.s.orderly() && j.w.now > since+prompt {
		j.breaks("frozen: %s is offered to %s", w.VIP, w.Claim.To)
	}
	j.seat(w)
	if why := placement.Why(w.Claim.Why); why != placement.Balance && why != placement.Prefer {
		return
	}
	for _, n := range j.w.nodes {
		up := j.w.now - n.linkDown
		if n.name == w.Claim.To && j.w.s.orderly() && n.linkDown > 0 && up >= 0 && up < j.w.timers.mature-j.w.timers.mature/500 {
			j.breaks("flap: %s is offered to %s for %s %v after its link came back", w.VIP, n.name, w.Claim.Why, up)
		}
	}
	switch most := j.w.s.Policy.moves(); {
	case most == 0:
		j.breaks("rounds: %s is offered to %s for %s, and no move may be", w.VIP, w.Claim.To, w.Claim.Why)
	case most > 0:
		j.slot(w, most)
	}
}

// slot judges an offer that needs one: the key round as it stands, and as it is about to be written with the offer.
func (j *judge) slot(w plan.ClaimWrite, most int) {
	e, r := j.w.etcd, &j.rounds
	if r.lives != e.lives {
		*r = rounds{lives: e.lives}
	}
	if w.Slot == nil {
		j.breaks("rounds: %s is offered to %s without a slot", w.VIP, w.Claim.To)
		return
	}
	stands, next := e.keys["round"], w.Slot.Round
	var old plan.Round
	_ = json.Unmarshal(stands.Value, &old)
	if len(next.Slots) == 0 || next.Slots[len(next.Slots)-1] != w.VIP || len(next.Slots) > most {
		j.breaks("rounds: %s is offered with the slots %v, and a round has %d", w.VIP, next.Slots, most)
	}
	last := time.Duration(-1 << 62)
	if len(r.filled) > 0 {
		last = r.filled[len(r.filled)-1]
	}
	asked := e.keys["balance"].Mod > stands.Mod
	interval := j.w.timers.round - j.w.timers.round/500 // clocks run a little fast
	switch {
	case next.Number == old.Number && slices.Equal(next.Slots[:len(next.Slots)-1], old.Slots):
	case next.Number == old.Number+1 && len(next.Slots) == 1 && (asked || j.w.now >= last+interval):
	default:
		j.breaks("rounds: after round %d with slots %v, filled %v ago, comes round %d with %v", old.Number, old.Slots, j.w.now-last, next.Number, next.Slots)
	}
	r.filled = append(r.filled, j.w.now)
	if asked && next.Number > old.Number {
		r.filled = r.filled[len(r.filled)-1:]
	}
	// What it is all for, whatever the key says.
	if n := len(r.filled) - 1 - most; n >= 0 && j.w.now-r.filled[n] < interval {
		j.breaks("rounds: %d offers within %v", most+1, j.w.now-r.filled[n])
	}
}

// seat judges an offer by what operators moved: each request is tried once, and a VIP that was moved is not offered to others for the sake of the load.
func (j *judge) seat(w plan.ClaimWrite) {
	before := decodeClaim(j.w.etcd.keys["claims/"+w.VIP].Value)
	asked := w.Claim.Moved != before.Moved
	if k := j.w.etcd.keys["moves/"+w.VIP]; (w.Claim.Why == "move") != asked || asked && w.Claim.Moved > k.Mod {
		j.breaks("move: %s is offered to %s for %q, its claim goes from move %d to %d, and %d is asked for", w.VIP, w.Claim.To, w.Claim.Why, before.Moved, w.Claim.Moved, k.Mod)
	}
	if why := placement.Why(w.Claim.Why); j.w.seated(before) && (why == placement.Balance || why == placement.Prefer) {
		j.breaks("move: %s was moved to %s and is offered to %s for %s", w.VIP, before.Node, w.Claim.To, why)
	}
}

// seated tells whether a move brought the VIP of the claim to its holder, and nobody has asked for the balance since.
func (w *world) seated(c plan.Claim) bool { return c.Stay && c.Moved > w.etcd.keys["balance"].Mod }

// frozen tells since when nobody may be moved.
func (j *judge) frozen() (since time.Duration, frozen bool) {
	k, frozen := j.w.etcd.keys["frozen"]
	if !frozen {
		return 0, false
	}
	var i plan.Intent
	_ = json.Unmarshal(k.Value, &i)
	return i.At.Sub(wallStart), true
}

// misplaced says which VIP is not where it should be, by pins, preferences and the placement of what etcd holds. Claims and addresses agree.
func (j *judge) misplaced() string {
	w := j.w
	if _, frozen := j.frozen(); frozen {
		return ""
	}
	for _, v := range w.final().vips {
		want, why := w.wanted(v)
		if c, ok := j.claim(v.Name); ok && want != nil && c.Node != "" && c.Node != want.name {
			return fmt.Sprintf("%s is on %s and its %s is %s", v.Name, c.Node, why, want.name)
		}
	}
	cfg := w.nodes[0].cfg
	cfg.VIPs = w.final().vips
	view := plan.New(cfg, plan.Now{})
	view.Apply(w.etcd.read(), plan.Now{})
	for _, m := range placement.Place(view.PlacementInput()).Moves {
		return fmt.Sprintf("the placement takes %s from %s to %s: %s", m.VIP, m.From, m.To, m.Why)
	}
	return ""
}

// wanted is the node that a pin or a preference wants the VIP on, if it can be had.
func (w *world) wanted(v plan.VIP) (*node, string) {
	var pin plan.Intent
	_ = json.Unmarshal(w.etcd.keys["pins/"+v.Name].Value, &pin)
	for _, n := range w.nodes {
		if n.name == pin.Node && n.able() {
			return n, "pin"
		}
	}
	if w.s.Policy.Stay || w.s.Policy.moves() == 0 || w.moved(v.Name) {
		return nil, ""
	}
	for _, name := range v.Prefer {
		for _, n := range w.nodes {
			if n.name == name && n.able() {
				return n, "preference"
			}
		}
	}
	return nil, ""
}

// uneven says that the load is not where it should be.
func (j *judge) uneven(load []int) string {
	w := j.w
	if _, frozen := j.frozen(); frozen {
		return ""
	}
	for _, n := range w.nodes {
		if !n.able() && load[n.id] > 0 {
			return fmt.Sprintf("%s holds %d VIPs and should hold none", n.name, load[n.id])
		}
	}
	if w.s.Policy.moves() == 0 || w.s.Policy.Prefer || w.pinned() {
		return "" // what the load is then, the placement says
	}
	if best := w.even(load); w.cost(load) != w.cost(best) {
		return fmt.Sprintf("the loads are %v, and could be %v", load, best)
	}
	return ""
}

// pinned tells whether an operator has said where some VIP goes.
func (w *world) pinned() bool {
	for _, v := range w.final().vips {
		if _, ok := w.etcd.keys["pins/"+v.Name]; ok || w.moved(v.Name) {
			return true
		}
	}
	return false
}

// moved tells whether an operator moved the VIP to where it is, or has asked for that.
func (w *world) moved(vip string) bool {
	c, _ := w.judge.claim(vip)
	return w.seated(c) || w.etcd.keys["moves/"+vip].Mod > c.Moved
}

// even is the best load of as many VIPs: each goes where it costs least, which is the least in all since the costs of a node grow.
func (w *world) even(load []int) []int {
	best := make([]int, len(load))
	for _, n := range load {
		for range n {
			var to *node
			for _, n := range w.nodes {
				if n.able() && (to == nil || (2*best[n.id]+1)*to.cfg.Weight < (2*best[to.id]+1)*n.cfg.Weight) {
					to = n
				}
			}
			if to != nil {
				best[to.id]++
			}
		}
	}
	return best
}

// cost is six times the sum of load squared / weight, a whole number since weights are 1 to 3.
func (w *world) cost(load []int) (sum int) {
	for _, n := range w.nodes {
		sum += load[n.id] * load[n.id] * 6 / n.cfg.Weight
	}
	return sum
}
