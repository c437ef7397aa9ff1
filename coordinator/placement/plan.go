package placement

import (
	"cmp"
	"slices"
	"strings"
)

// plan turns the placement by number into names and moves.
func (t *table) plan() Plan {
	p := Plan{Assign: make([]Assignment, 0, len(t.order))}
	var waiting []step
	for i, index := range t.order {
		v, vip := int32(i), &t.in.VIPs[index]
		if t.kept != nil && t.kept[v] {
			p.Assign = append(p.Assign, Assignment{vip.Name, vip.Holder})
			continue
		}
		u := t.at[v]
		if u == none {
			p.Unplaced = append(p.Unplaced, vip.Name)
			continue
		}
		p.Assign = append(p.Assign, Assignment{vip.Name, t.nodes[u]})
		if vip.Holder == t.nodes[u] {
			continue
		}
		m := Move{VIP: vip.Name, From: vip.Holder, To: t.nodes[u], Why: t.why(v, vip)}
		if m.Why == Prefer || m.Why == Balance {
			waiting = append(waiting, step{v, len(p.Moves)})
		}
		p.Moves = append(p.Moves, m)
	}
	t.deal(p.Moves, waiting)
	slices.SortStableFunc(p.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(a.Round, b.Round), strings.Compare(a.VIP, b.VIP))
	})
	return p
}

// why returns the reason for a VIP to go from its holder to where it is placed.
func (t *table) why(v int32, vip *VIP) Why {
	if t.home[v] == none {
		u, listed := t.number[vip.Holder]
		switch {
		case vip.Holder == "":
			return Unheld
		case !listed:
			return Takeover
		case u == none:
			return Drain
		default:
			return Unfit
		}
	}
	if t.ready(v, vip.Pin) == t.at[v] {
		return Pinned
	}
	if t.in.Failback {
		for _, node := range vip.Prefer {
			if t.ready(v, node) == t.at[v] {
				return Prefer
			}
		}
	}
	return Balance
}

// A step is a move that waits for a round.
type step struct {
	vip  int32
	move int // index in Plan.Moves
}

// A lane is the steps between one pair of nodes, in the order of the VIPs.
type lane struct {
	from, to int32
	steps    []step
}

// deal gives the waiting moves their rounds, at each turn the one that evens
// the load most, seen from the state that the moves before it leave.
func (t *table) deal(moves []Move, waiting []step) {
	if t.in.MovesPerRound < 0 {
		for _, s := range waiting {
			moves[s.move].Round = 1
		}
		return
	}
	load := make([]int32, len(t.nodes))
	for _, u := range t.at {
		if u != none {
			load[u]++
		}
	}
	for _, s := range waiting {
		load[t.at[s.vip]]--
		load[t.home[s.vip]]++
	}
	lanes := t.lanes(waiting)
	for dealt := range waiting {
		best, most := 0, ratio{}
		for i := range lanes {
			g := t.gain(load, lanes[i].from, lanes[i].to)
			c := 0
			if i > 0 {
				c = most.cmp(g)
			}
			if i == 0 || c < 0 || c == 0 && lanes[i].steps[0].vip < lanes[best].steps[0].vip {
				best, most = i, g
			}
		}
		l := &lanes[best]
		moves[l.steps[0].move].Round = 1 + dealt/t.in.MovesPerRound
		load[l.from]--
		load[l.to]++
		if l.steps = l.steps[1:]; len(l.steps) == 0 {
			lanes[best] = lanes[len(lanes)-1]
			lanes = lanes[:len(lanes)-1]
		}
	}
}

func (t *table) lanes(waiting []step) []lane {
	slices.SortStableFunc(waiting, func(a, b step) int {
		return cmp.Or(cmp.Compare(t.home[a.vip], t.home[b.vip]), cmp.Compare(t.at[a.vip], t.at[b.vip]))
	})
	var lanes []lane
	for len(waiting) > 0 {
		from, to := t.home[waiting[0].vip], t.at[waiting[0].vip]
		n := 1
		for n < len(waiting) && t.home[waiting[n].vip] == from && t.at[waiting[n].vip] == to {
			n++
		}
		lanes = append(lanes, lane{from, to, waiting[:n]})
		waiting = waiting[n:]
	}
	return lanes
}

// gain returns how much the sum of load²/weight falls when a VIP goes from one
// node to another.
func (t *table) gain(load []int32, from, to int32) ratio {
	a, b := t.weight[from], t.weight[to]
	return ratio{(2*int64(load[from])-1)*b - (2*int64(load[to])+1)*a, a * b}
}
