package placement

import (
	"cmp"
	"math/bits"
)

// A ratio is a load per weight, or a difference of two; den is positive.
type ratio struct{ num, den int64 }

// less compares exactly. Loads are below 2^30, weights below 2^10, so that the
// products of two costs, and those of two gains (see deal), fit an int64.
func (a ratio) less(b ratio) bool  { return a.num*b.den < b.num*a.den }
func (a ratio) equal(b ratio) bool { return a.num*b.den == b.num*a.den }
func (a ratio) cmp(b ratio) int    { return cmp.Compare(a.num*b.den, b.num*a.den) }

// room is the number of VIPs that each node may have in any placement with the
// most even load: lo, or up to hi, which is lo or lo+1.
type room struct{ lo, hi []int32 }

// A leveller evens the load of the free VIPs. Adding a VIP to a node with load
// L and weight w costs ((L+1)²-L²)/w = (2L+1)/w; taking one away saves
// (2L-1)/w. VIPs passed on from node to node along a path change the cost at
// its ends only, so the load is optimal when no path leads from a node that
// saves more to one that costs less.
type leveller struct {
	*table
	load  []int32   // free VIPs included
	held  [][]int32 // free VIPs on each node
	reach []row     // where the free VIPs of each node could go; may list too much
}

// evenLoad places every free VIP so that the sum of load²/weight is minimal,
// narrows the row of each to the nodes it has in any such placement, and
// returns how many VIPs each node has in any of them. It is settled, and these
// two are left undone, if every free VIP can stay with a live holder.
func (t *table) evenLoad() (r room, settled bool) {
	l := &leveller{table: t, load: append([]int32(nil), t.load...)}
	l.fill()
	l.level()
	settled = true
	for _, v := range l.free {
		if l.at[v] != l.home[v] {
			settled = false
			break
		}
	}
	if settled {
		return room{}, true
	}
	return l.narrow(), false
}

func (l *leveller) cost(u int32) ratio   { return ratio{2*int64(l.load[u]) + 1, l.weight[u]} }
func (l *leveller) saving(u int32) ratio { return ratio{2*int64(l.load[u]) - 1, l.weight[u]} }

// fill leaves VIPs with a live holder there and puts each other one where it
// costs least.
func (l *leveller) fill() {
	for _, v := range l.free {
		if u := l.home[v]; u != none {
			l.at[v] = u
			l.load[u]++
		}
	}
	for _, v := range l.free {
		if l.at[v] == none {
			u := l.cheapest(l.row(v))
			l.at[v] = u
			l.load[u]++
		}
	}
	l.held = make([][]int32, len(l.nodes))
	l.reach = rows(len(l.nodes), l.words)
	space := make([]int32, len(l.free))
	for u := range l.held {
		n := l.load[u] - l.table.load[u]
		l.held[u], space = space[:0:n], space[n:]
	}
	for _, v := range l.free {
		u := l.at[v]
		l.held[u] = append(l.held[u], v)
		l.reach[u].or(l.row(v))
	}
}

func (l *leveller) cheapest(among row) int32 {
	best := none
	var least ratio
	for k, w := range among {
		for ; w != 0; w &= w - 1 {
			u := int32(k<<6 + bits.TrailingZeros64(w))
			if c := l.cost(u); best == none || c.less(least) {
				best, least = u, c
			}
		}
	}
	return best
}

// level applies cost-reducing paths until there are none. The nodes that the
// dearest node reaches without finding a cheaper place are settled: no VIP can
// leave them, and none gains by entering.
func (l *leveller) level() {
	settled := make(row, l.words)
	seen := make(row, l.words)
	parent := make([]int32, len(l.nodes))
	queue := make([]int32, 0, len(l.nodes))
	for {
		from := l.dearest(settled)
		if from == none {
			return
		}
		copy(seen, settled)
		seen.add(from)
		queue = append(queue[:0], from)
		for i := 0; i < len(queue); i++ {
			u := queue[i]
			for k, w := range l.reach[u] {
				for w &^= seen[k]; w != 0; w &= w - 1 {
					x := int32(k<<6 + bits.TrailingZeros64(w))
					seen.add(x)
					parent[x] = u
					queue = append(queue, x)
				}
			}
		}
		to := from
		for _, u := range queue[1:] {
			if to == from || l.cost(u).less(l.cost(to)) {
				to = u
			}
		}
		if to == from || !l.cost(to).less(l.saving(from)) {
			copy(settled, seen)
			continue
		}
		l.shift(from, to, parent)
	}
}

// dearest returns the node outside of settled that saves most by giving a free
// VIP away, or none if no such node has one.
func (l *leveller) dearest(settled row) int32 {
	best := none
	for i := range l.nodes {
		u := int32(i)
		if len(l.held[u]) == 0 || settled.has(u) {
			continue
		}
		if best == none || l.saving(best).less(l.saving(u)) {
			best = u
		}
	}
	return best
}

// shift passes one VIP on along each step of the path. If reach promised a
// step that no VIP can take, it moves nothing and corrects that.
func (l *leveller) shift(from, to int32, parent []int32) {
	for x := to; x != from; x = parent[x] {
		if !l.passable(parent[x], x) {
			return
		}
	}
	for x := to; x != from; x = parent[x] {
		u := parent[x]
		i := l.choose(u, x)
		v := l.held[u][i]
		last := len(l.held[u]) - 1
		l.held[u][i] = l.held[u][last]
		l.held[u] = l.held[u][:last]
		l.held[x] = append(l.held[x], v)
		l.reach[x].or(l.row(v))
		l.at[v] = x
	}
	l.load[from]--
	l.load[to]++
}

// passable reports whether a VIP on u can go to x, and if not, corrects the
// reach of u.
func (l *leveller) passable(u, x int32) bool {
	if l.choose(u, x) >= 0 {
		return true
	}
	clear(l.reach[u])
	for _, v := range l.held[u] {
		l.reach[u].or(l.row(v))
	}
	return false
}

// choose returns the position among the VIPs of u of one that can go to x, or
// a negative number.
func (l *leveller) choose(u, x int32) int {
	for i, v := range l.held[u] {
		if l.row(v).has(x) {
			return i
		}
	}
	return -1
}

// narrow computes the price of each node, the least cost of a place that its
// VIPs can get to, directly or by passing on. In every optimal placement, each
// VIP is on a cheapest of its nodes, and each node has all the VIPs that cost
// less than its price and none that costs more. That reach may list too much
// does no harm: prices may be lower for it, but no path along reach reduces the
// cost, so that they fit the placement, which is all it takes.
func (l *leveller) narrow() room {
	n := len(l.nodes)
	r := room{lo: make([]int32, n), hi: make([]int32, n)}
	tier := filled(n, none)
	var tiers []row
	for {
		first := none
		for u := range int32(n) {
			if tier[u] == none && (first == none || l.cost(u).less(l.cost(first))) {
				first = u
			}
		}
		if first == none {
			break
		}
		price := l.cost(first)
		members := l.leadTo(price, int32(len(tiers)), tier)
		tiers = append(tiers, members)
		members.each(func(u int32) {
			r.lo[u], r.hi[u] = l.load[u], l.load[u]
			if l.cost(u).equal(price) {
				r.hi[u]++
			} else if len(l.held[u]) > 0 && l.saving(u).equal(price) {
				r.lo[u]--
			}
		})
	}
	if len(tiers) > 1 {
		for _, v := range l.free {
			same := tiers[tier[l.at[v]]]
			for k, w := range same {
				l.row(v)[k] &= w
			}
		}
	}
	return r
}

// leadTo gives the number to every node without a tier that leads to one with
// that price, and returns them.
func (l *leveller) leadTo(price ratio, number int32, tier []int32) row {
	members := make(row, l.words)
	var queue []int32
	for u := range tier {
		if tier[u] == none && l.cost(int32(u)).equal(price) {
			queue = append(queue, int32(u))
			tier[u] = number
			members.add(int32(u))
		}
	}
	for i := 0; i < len(queue); i++ {
		for u := range tier {
			if tier[u] == none && l.reach[u].has(queue[i]) {
				queue = append(queue, int32(u))
				tier[u] = number
				members.add(int32(u))
			}
		}
	}
	return members
}

// rows returns n empty rows in one piece.
func rows(n, words int) []row {
	all := make([]uint64, n*words)
	rs := make([]row, n)
	for i := range rs {
		rs[i] = all[i*words : (i+1)*words : (i+1)*words]
	}
	return rs
}
