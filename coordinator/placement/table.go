package placement

import (
	"slices"
	"strings"
)

// none is the place of a VIP that is nowhere.
const none int32 = -1

// A table is the input by number: ready members and VIPs in the order of their
// names, so that nothing that follows depends on the order of the input.
type table struct {
	in *Input

	nodes  []string // ready members
	weight []int64  // of each node
	order  []int32  // VIP number -> index in Input.VIPs
	number map[string]int32

	words int      // of a row
	can   []uint64 // a row per VIP: where it may be; the stages narrow it

	home []int32 // live holder of each VIP, or none
	at   []int32 // where each VIP is placed, or none
	kept []bool  // frozen with a member that is not ready, outside the table

	load []int32 // VIPs on each node that are not free
	free []int32 // the VIPs that the stages place
	tag  []int32 // number of the spread tag of each VIP, 0 if it does not matter
}

func newTable(in *Input) *table {
	t := &table{in: in, number: make(map[string]int32, len(in.Members))}
	ready := make([]*Member, 0, len(in.Members))
	for i := range in.Members {
		if m := &in.Members[i]; m.Ready {
			ready = append(ready, m)
		} else {
			t.number[m.Node] = none
		}
	}
	slices.SortStableFunc(ready, func(a, b *Member) int { return strings.Compare(a.Node, b.Node) })
	for i, m := range ready {
		t.number[m.Node] = int32(i)
		t.nodes = append(t.nodes, m.Node)
		t.weight = append(t.weight, int64(min(max(m.Weight, 1), MaxWeight)))
	}

	t.order = make([]int32, len(in.VIPs))
	for i := range t.order {
		t.order[i] = int32(i)
	}
	byName := func(a, b int32) int { return strings.Compare(in.VIPs[a].Name, in.VIPs[b].Name) }
	if !slices.IsSortedFunc(t.order, byName) {
		slices.SortStableFunc(t.order, byName)
	}

	t.words = (len(ready) + 63) / 64
	t.can = make([]uint64, len(in.VIPs)*t.words)
	t.readEligibility(ready)

	t.home = filled(len(in.VIPs), none)
	t.at = filled(len(in.VIPs), none)
	t.load = make([]int32, len(ready))
	return t
}

// readEligibility turns the members' sets of VIPs into the VIPs' rows of nodes.
func (t *table) readEligibility(ready []*Member) {
	rank := make([]int32, len(t.order)) // index in Input.VIPs -> VIP number
	for v, i := range t.order {
		rank[i] = int32(v)
	}
	var block [64]uint64
	for k := range t.words {
		members := ready[k<<6 : min(k<<6+64, len(ready))]
		every := ^uint64(0) >> (64 - len(members))
		for b := 0; b<<6 < len(rank); b++ {
			block = [64]uint64{}
			some := uint64(0)
			for j, m := range members {
				block[j] = m.Cannot.word(b)
				some |= block[j]
			}
			if some != 0 {
				transpose(&block)
			}
			for i, v := range rank[b<<6 : min(b<<6+64, len(rank))] {
				t.can[int(v)*t.words+k] = every &^ block[i]
			}
		}
	}
}

// row returns where VIP v may be.
func (t *table) row(v int32) row {
	return t.can[int(v)*t.words : (int(v)+1)*t.words]
}

// ready returns the number of a node that is ready and can hold v, or none.
func (t *table) ready(v int32, node string) int32 {
	if node == "" {
		return none
	}
	if u, ok := t.number[node]; ok && u != none && t.row(v).has(u) {
		return u
	}
	return none
}

// classify finds the VIPs whose place is given, and leaves the rest free.
func (t *table) classify() {
	in := t.in
	for i := range t.order {
		v := int32(i)
		vip := &in.VIPs[t.order[v]]
		t.home[v] = t.ready(v, vip.Holder)
		if u, listed := t.number[vip.Holder]; in.Frozen && listed && vip.Holder != "" {
			if u == none {
				if t.kept == nil {
					t.kept = make([]bool, len(t.order))
				}
				t.kept[v] = true
				continue
			}
			t.at[v] = u
		} else {
			t.at[v] = t.given(v, vip)
		}
		if u := t.at[v]; u != none {
			t.load[u]++
		} else if !t.row(v).empty() {
			t.free = append(t.free, v)
		}
	}
}

// given returns the node that v must be on in a cluster that is not frozen, or
// none if it is free.
func (t *table) given(v int32, vip *VIP) int32 {
	if u := t.ready(v, vip.Pin); u != none {
		return u
	}
	home := t.home[v]
	if home != none && t.in.MovesPerRound == 0 {
		return home
	}
	for _, node := range vip.Prefer {
		u := t.ready(v, node)
		if u == none {
			continue
		}
		if t.in.Failback || home == none || home == u {
			return u
		}
		break
	}
	return none
}

func filled(n int, v int32) []int32 {
	s := make([]int32, n)
	for i := range s {
		s[i] = v
	}
	return s
}
