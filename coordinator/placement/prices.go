package placement

import "math"

// slack returns the smallest reduced cost of a step from what the last pass
// reached to what it did not. It is at least 1.
func (f *flow) slack() int32 {
	least := int32(math.MaxInt32)
	if f.poolMarked {
		for u := range int32(f.nodes) {
			if f.gives(u) && !f.marked[0].has(u) {
				least = min(least, f.poolPot-f.pot[u])
			}
		}
	}
	for layer, m := range f.marked {
		m.each(func(u int32) {
			if least > 1 {
				least = min(least, f.slackAt(int32(layer), u))
			}
		})
	}
	if least == math.MaxInt32 {
		panic("placement: no way to place all units within the bounds")
	}
	return least
}

// slackAt returns the smallest reduced cost of a step from a vertex.
func (f *flow) slackAt(layer, u int32) int32 {
	least := int32(math.MaxInt32)
	g := layer*int32(f.nodes) + u
	pot := f.pot[g]
	if layer != 0 {
		if !f.marked[0].has(u) {
			least = pot + f.count[g] - f.pot[u]
		}
	} else {
		if !f.poolMarked && f.load[u] < f.hi[u] {
			least = pot - f.poolPot
		}
		f.tags[u].each(func(layer int32) {
			if g := layer*int32(f.nodes) + u; !f.marked[layer].has(u) {
				least = min(least, pot-(f.count[g]-1)-f.pot[g])
			}
		})
	}
	class := none
	for i := f.head[g]; i != none && least > 1; i = f.next[i] {
		if f.class[i] != class {
			class = f.class[i]
			least = min(least, f.slackOf(i, pot))
		}
	}
	return least
}

// slackOf returns the smallest reduced cost of a step of unit i, which is at a
// place with that potential.
func (f *flow) slackOf(i, pot int32) int32 {
	least := int32(math.MaxInt32)
	layer, home := f.layer[i], f.home[i]
	marked := f.marked[layer]
	if home != none && f.at[i] == home {
		pot++
	} else if home != none && !marked.has(home) {
		least = pot - 1 - f.pot[home]
	}
	for _, l := range f.equal[layer] {
		if pot-l.pot >= least {
			continue
		}
		for k, w := range f.rows[i] {
			w &= l.set[k] &^ marked[k]
			if w != 0 {
				least = pot - l.pot
				break
			}
		}
	}
	return least
}

// raise adds to the potential of everything that the last pass did not reach.
func (f *flow) raise(by int32) {
	if !f.poolMarked {
		f.poolPot += by
	}
	for layer, levels := range f.equal {
		marked := f.marked[layer]
		pots := f.pot[layer*f.nodes : (layer+1)*f.nodes]
		var raised []level
		for _, l := range levels {
			stay, rise := make(row, f.words), make(row, f.words)
			for k, w := range l.set {
				stay[k] = w & marked[k]
				rise[k] = w &^ marked[k]
			}
			rise.each(func(u int32) { pots[u] += by })
			raised = merge(raised, l.pot, stay)
			raised = merge(raised, l.pot+by, rise)
		}
		f.equal[layer] = raised
	}
}

// merge adds a set of vertices with that potential to the levels of a layer.
func merge(levels []level, pot int32, set row) []level {
	if set.empty() {
		return levels
	}
	for _, l := range levels {
		if l.pot == pot {
			l.set.or(set)
			return levels
		}
	}
	return append(levels, level{pot, set})
}

// narrow cuts the row of unit i down to the nodes where it is in any cheapest
// placement: its row then holds the places of least cost, potential counted.
func (f *flow) narrow(i int) {
	at, home, r := f.at[i], f.home[i], f.rows[i]
	price := f.pot[f.vertex(i, at)]
	isHome := false
	if home != none {
		if at != home {
			price--
		}
		isHome = f.pot[f.vertex(i, home)] == price
		price++
	}
	set := f.level(f.layer[i], price)
	for k := range r {
		if set == nil {
			r[k] = 0
		} else {
			r[k] &= set[k]
		}
	}
	if home != none {
		r.del(home)
		if isHome {
			r.add(home)
		}
	}
}

// narrowRoom cuts the bounds of the nodes down to what they are in any cheapest
// placement.
func (f *flow) narrowRoom() {
	for u := range f.lo {
		if f.lo[u] == f.hi[u] {
			continue
		}
		switch pot := f.pot[u]; {
		case pot > f.poolPot:
			f.hi[u] = f.lo[u]
		case pot < f.poolPot:
			f.lo[u] = f.hi[u]
		}
	}
}
