package placement

import "slices"

// A flow finds the cheapest way to place units (VIPs) on nodes such that each
// node gets between lo and hi of them, with costs of two kinds: 1 for a unit
// that is away from its home, and for each group, the units with one tag on
// one node, the number of pairs in it.
//
// It is a minimum-cost flow on a graph with a vertex for each node, for each
// group, and one more, the pool of optional places: a node with lo units may
// take a place from the pool, one with lo+1 may give it back. A unit with a tag
// goes from group to group of that tag; a group gets a unit from its node, or
// gives one to it, at the price of the pairs that this makes or saves.
//
// The method is primal-dual. Each vertex has a potential, such that no step
// that the flow leaves open has a negative reduced cost: cost + potential of
// its start - potential of its end. Units move along paths of steps with reduced
// cost zero from where there are too many to where there are too few, until
// there is no such path; then the potential of everything that was not reached
// rises by the smallest reduced cost that bars the way. Potentials are small
// integers, and all start at 0, where no cost is negative.
type flow struct {
	nodes, words, layers int

	lo, hi, load []int32 // by node
	lacking      row     // nodes with load below lo
	spare        int     // optional places not yet taken; negative: too many are

	rows  []row   // by unit: where it may be
	home  []int32 // by unit: where it costs nothing, or none: anywhere
	layer []int32 // by unit: its tag from 1 on, or 0: no tag; one with a tag has no home
	class []int32 // by unit: the same for units with the same row, home and layer
	at    []int32 // by unit: where it is, or none

	// By vertex, layer*nodes + node; layer 0 is the nodes themselves.
	pot   []int32
	count []int32 // units in the group, fixed ones included
	head  []int32 // first unit there that can move

	next, prev []int32 // by unit: its list

	tags   []row     // by node: layers that have a unit there that can move
	marked []row     // by layer: nodes reached in this pass
	equal  [][]level // by layer: nodes by potential

	poolPot    int32
	poolMarked bool
	pending    [][]int32 // by class: units not yet placed
}

// A level is the set of vertices of a layer with the same potential.
type level struct {
	pot int32
	set row
}

// newFlow returns a flow for units that are nowhere yet. The load is that of
// the VIPs that are not units; count is to be filled in by the caller, before
// units are put anywhere.
func newFlow(nodes, layers, units int, r room, load []int32) *flow {
	words := (nodes + 63) / 64
	vertices := (layers + 1) * nodes
	f := &flow{
		nodes: nodes, words: words, layers: layers,
		lo: r.lo, hi: r.hi, load: append([]int32(nil), load...),
		rows:    make([]row, units),
		home:    filled(units, none),
		layer:   make([]int32, units),
		at:      filled(units, none),
		pot:     make([]int32, vertices),
		count:   make([]int32, vertices),
		head:    filled(vertices, none),
		next:    make([]int32, units),
		prev:    make([]int32, units),
		tags:    rows(nodes, layers>>6+1),
		lacking: make(row, words),
	}
	f.marked = rows(layers+1, words)
	sets := rows(layers+1, words)
	all := make([]level, layers+1)
	f.equal = make([][]level, layers+1)
	for u := range nodes {
		sets[0].add(int32(u))
	}
	for l := range f.equal {
		copy(sets[l], sets[0])
		all[l] = level{0, sets[l]}
		f.equal[l] = all[l : l+1 : l+1]
	}
	return f
}

// run places all units. The bounds must allow it.
func (f *flow) run() {
	f.findAlike()
	total := len(f.rows)
	for u := range f.nodes {
		f.spare -= int(f.lo[u])
		total += int(f.load[u])
	}
	for i, u := range f.at {
		if c := f.class[i]; u == none {
			f.pending[c] = append(f.pending[c], int32(i))
		} else {
			f.link(int32(i), u)
			f.count[f.vertex(i, u)]++
			f.load[u]++
		}
	}
	f.spare += total
	for u := range f.nodes {
		if f.lo[u] < f.hi[u] && f.load[u] > f.lo[u] {
			f.spare--
		}
		if f.load[u] < f.lo[u] {
			f.lacking.add(int32(u))
		}
	}
	for {
		for f.pass() {
		}
		if f.done() {
			return
		}
		f.raise(f.slack())
	}
}

func (f *flow) done() bool {
	for u, n := range f.load {
		if n > f.hi[u] {
			return false
		}
	}
	for _, units := range f.pending {
		if len(units) > 0 {
			return false
		}
	}
	return f.spare >= 0
}

// findAlike gives units that are alike the same class.
func (f *flow) findAlike() {
	f.class = make([]int32, len(f.rows))
	first := make(map[uint64]int, len(f.rows)) // by hash: the first such unit
	var sizes []int
	for i, r := range f.rows {
		hash := uint64(f.layer[i]) + uint64(f.home[i])<<32
		for _, w := range r {
			hash = (hash ^ w) * 0x9e3779b97f4a7c15
			hash ^= hash >> 29
		}
		j, ok := first[hash]
		if ok && f.layer[i] == f.layer[j] && f.home[i] == f.home[j] && slices.Equal(r, f.rows[j]) {
			f.class[i] = f.class[j]
			sizes[f.class[i]]++
			continue
		}
		first[hash] = i
		f.class[i] = int32(len(sizes))
		sizes = append(sizes, 1)
	}
	f.pending = make([][]int32, len(sizes))
	space := make([]int32, len(f.rows))
	for c, n := range sizes {
		f.pending[c], space = space[:0:n], space[n:]
	}
}

// pass pushes units from every place with too many along paths of reduced cost
// zero, and reports whether it found one. If not, the marks tell what can be
// reached.
func (f *flow) pass() bool {
	f.unmark()
	found := f.place(f.settle)
	f.unmark()
	if f.place(func(i int32) bool { return f.leave(i, 0) }) {
		found = true
	}
	for u := range int32(f.nodes) {
		for f.load[u] > f.hi[u] && f.node(u) {
			f.load[u]--
			found = true
		}
	}
	for f.spare < 0 && f.pool() {
		f.spare++
		found = true
	}
	return found
}

func (f *flow) unmark() {
	for _, m := range f.marked {
		clear(m)
	}
	f.poolMarked = false
}

// place tries to place the pending units, of each class until one fails, and
// reports whether it placed any.
func (f *flow) place(try func(i int32) bool) bool {
	placed := false
	for c, units := range f.pending {
		for len(units) > 0 && try(units[0]) {
			units = units[1:]
			placed = true
		}
		f.pending[c] = units
	}
	return placed
}

// gives reports whether u has taken an optional place and no more than that.
func (f *flow) gives(u int32) bool {
	return f.lo[u] < f.hi[u] && f.load[u] == f.hi[u]
}

// level returns the vertices of a layer with that potential, or nil.
func (f *flow) level(layer, pot int32) row {
	for _, l := range f.equal[layer] {
		if l.pot == pot {
			return l.set
		}
	}
	return nil
}

func (f *flow) vertex(i int, u int32) int32 {
	return f.layer[i]*int32(f.nodes) + u
}

// move takes unit i from its list, if it is in one, to that of node u. Counts
// and loads are the business of those who follow the path: they change at its
// turns and ends only.
func (f *flow) move(i, u int32) {
	if from := f.at[i]; from != none {
		g := f.vertex(int(i), from)
		if f.prev[i] != none {
			f.next[f.prev[i]] = f.next[i]
		} else {
			f.head[g] = f.next[i]
		}
		if f.next[i] != none {
			f.prev[f.next[i]] = f.prev[i]
		}
		if f.head[g] == none && f.layer[i] != 0 {
			f.tags[from].del(f.layer[i])
		}
	}
	f.link(i, u)
}

func (f *flow) link(i, u int32) {
	g := f.vertex(int(i), u)
	f.at[i], f.prev[i], f.next[i] = u, none, f.head[g]
	if f.head[g] != none {
		f.prev[f.head[g]] = i
	}
	f.head[g] = i
	if f.layer[i] != 0 {
		f.tags[u].add(f.layer[i])
	}
}
