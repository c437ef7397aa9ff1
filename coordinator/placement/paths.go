package placement

import "math/bits"

// The functions in this file walk along steps of reduced cost zero. Each tries
// to make room for one unit somewhere, marks its vertex, and unmarks it only if
// it succeeds: then, and only then, another try may succeed too. What was marked
// in a pass that found no path is all that could be reached.

// settle puts a unit that is nowhere onto a node that lacks one, if that is a
// path of reduced cost zero. The paths that leave finds may be long; to take the
// shortest ones first saves most of the work. It marks what takes none.
func (f *flow) settle(i int32) bool {
	layer := f.layer[i]
	set := f.level(layer, 0)
	if set == nil {
		return false
	}
	for k, w := range f.rows[i] {
		for w &= set[k] & f.lacking[k] &^ f.marked[layer][k]; w != 0; w &= w - 1 {
			u := int32(k<<6 + bits.TrailingZeros64(w))
			g := layer*int32(f.nodes) + u
			if layer != 0 {
				if f.pot[u] != f.count[g] {
					f.marked[layer].add(u)
					continue
				}
				f.count[g]++
			}
			f.load[u]++
			if f.load[u] >= f.lo[u] {
				f.lacking.del(u)
			}
			f.move(i, u)
			return true
		}
	}
	return false
}

// leave moves unit i, at a place with that potential, to a place that can take
// it or make room.
func (f *flow) leave(i, pot int32) bool {
	home := f.home[i]
	if home != none && f.at[i] == home {
		pot++
	} else if home != none && f.pot[home] == pot-1 && !f.marked[0].has(home) && f.node(home) {
		f.move(i, home)
		return true
	}
	layer := f.layer[i]
	set := f.level(layer, pot)
	if set == nil {
		return false
	}
	allowed, marked := f.rows[i], f.marked[layer]
	for k := range allowed {
		for {
			w := allowed[k] & set[k] &^ marked[k]
			if w == 0 {
				break
			}
			u := int32(k<<6 + bits.TrailingZeros64(w))
			if layer == 0 && f.node(u) || layer != 0 && f.group(layer, u) {
				f.move(i, u)
				return true
			}
		}
	}
	return false
}

// node takes one more unit onto u, or passes one on in exchange.
func (f *flow) node(u int32) bool {
	f.marked[0].add(u)
	if !f.nodeTakes(u) {
		return false
	}
	f.marked[0].del(u)
	return true
}

func (f *flow) nodeTakes(u int32) bool {
	pot := f.pot[u]
	switch {
	case f.load[u] < f.lo[u]:
		f.load[u]++
		if f.load[u] >= f.lo[u] {
			f.lacking.del(u)
		}
		return true
	case f.load[u] < f.hi[u] && f.poolPot == pot && !f.poolMarked && f.pool():
		f.load[u]++
		return true
	}
	if f.anyLeaves(f.head[u], pot) {
		return true
	}
	for k, w := range f.tags[u] {
		for ; w != 0; w &= w - 1 {
			layer := int32(k<<6 + bits.TrailingZeros64(w))
			g := layer*int32(f.nodes) + u
			if f.pot[g] == pot-(f.count[g]-1) && !f.marked[layer].has(u) && f.group(layer, u) {
				f.count[g]--
				return true
			}
		}
	}
	return false
}

// group takes one more unit of a tag onto u, or passes one on in exchange.
func (f *flow) group(layer, u int32) bool {
	f.marked[layer].add(u)
	if !f.groupTakes(layer, u) {
		return false
	}
	f.marked[layer].del(u)
	return true
}

func (f *flow) groupTakes(layer, u int32) bool {
	g := layer*int32(f.nodes) + u
	pot := f.pot[g]
	if f.pot[u] == pot+f.count[g] && !f.marked[0].has(u) && f.node(u) {
		f.count[g]++
		return true
	}
	return f.anyLeaves(f.head[g], pot)
}

// anyLeaves moves one unit of a list, all at a place with that potential.
func (f *flow) anyLeaves(head, pot int32) bool {
	failed := none
	for i := head; i != none; i = f.next[i] {
		if f.class[i] == failed {
			continue
		}
		if f.leave(i, pot) {
			return true
		}
		failed = f.class[i]
	}
	return false
}

// pool hands out an optional place, or takes one back from a node that passes
// a unit on.
func (f *flow) pool() bool {
	f.poolMarked = true
	if f.spare > 0 {
		f.spare--
		f.poolMarked = false
		return true
	}
	for u := range int32(f.nodes) {
		if f.gives(u) && f.pot[u] == f.poolPot && !f.marked[0].has(u) && f.node(u) {
			f.load[u]--
			f.poolMarked = false
			return true
		}
	}
	return false
}
