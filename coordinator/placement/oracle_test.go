package placement

import (
	"fmt"
	"math"
	"math/big"
	"slices"
)

// This file judges plans without using anything of the package but its types:
// what each VIP may do is read off the rules again, one VIP at a time.

// options returns the nodes that the rules leave to VIP i before evenness
// counts: one, if its place is given, none if it cannot be placed.
func options(in Input, i int) []string {
	v := in.VIPs[i]
	can := func(node string) bool {
		for _, m := range in.Members {
			if m.Node == node && m.Ready && !m.Cannot.Has(i) {
				return true
			}
		}
		return false
	}
	listed := slices.ContainsFunc(in.Members, func(m Member) bool { return m.Node == v.Holder })
	if in.Frozen && listed {
		return []string{v.Holder}
	}
	if can(v.Pin) {
		return []string{v.Pin}
	}
	if can(v.Holder) && in.MovesPerRound == 0 {
		return []string{v.Holder}
	}
	if k := slices.IndexFunc(v.Prefer, can); k >= 0 {
		if in.Failback || !can(v.Holder) || v.Prefer[k] == v.Holder {
			return []string{v.Prefer[k]}
		}
	}
	var all []string
	for _, m := range in.Members {
		if can(m.Node) {
			all = append(all, m.Node)
		}
	}
	return all
}

// alive reports whether VIP i has a live holder.
func alive(in Input, i int) bool {
	return slices.ContainsFunc(in.Members, func(m Member) bool {
		return m.Node == in.VIPs[i].Holder && m.Ready && !m.Cannot.Has(i)
	})
}

// A score is what a placement costs, most important first.
type score struct {
	load         *big.Rat
	moves, pairs int
}

func (s score) cmp(t score) int {
	if c := s.load.Cmp(t.load); c != 0 {
		return c
	}
	if s.moves != t.moves {
		return s.moves - t.moves
	}
	return s.pairs - t.pairs
}

func (s score) String() string {
	return fmt.Sprintf("load %s, %d moves, %d pairs", s.load.RatString(), s.moves, s.pairs)
}

// scoreOf returns the cost of an assignment, or an error if it breaks a rule.
func scoreOf(in Input, assign func(vip string) string) (score, error) {
	s := score{load: new(big.Rat)}
	load := map[string]int64{}
	pairs := map[[2]string]int{}
	for i, v := range in.VIPs {
		node, opts := assign(v.Name), options(in, i)
		if len(opts) == 0 && node == "" {
			continue
		}
		if !slices.Contains(opts, node) {
			return s, fmt.Errorf("%s is on %q, not on one of %q", v.Name, node, opts)
		}
		if alive(in, i) && node != v.Holder {
			s.moves++
		}
		if !readyNode(in, node) {
			continue // frozen there, no part of the load
		}
		load[node]++
		if v.Spread != "" {
			s.pairs += pairs[[2]string{v.Spread, node}]
			pairs[[2]string{v.Spread, node}]++
		}
	}
	for _, m := range in.Members {
		s.load.Add(s.load, big.NewRat(load[m.Node]*load[m.Node], int64(m.Weight)))
	}
	return s, nil
}

func readyNode(in Input, node string) bool {
	return slices.ContainsFunc(in.Members, func(m Member) bool { return m.Node == node && m.Ready })
}

// bruteForce returns the score of the best placement, by trying all of them
// except those that continue a start that is worse already.
func bruteForce(in Input) score {
	scale := int64(1)
	for _, m := range in.Members {
		scale = lcm(scale, int64(m.Weight))
	}
	type cost struct{ load, moves, pairs int64 }
	less := func(a, b cost) bool {
		if a.load != b.load {
			return a.load < b.load
		}
		if a.moves != b.moves {
			return a.moves < b.moves
		}
		return a.pairs < b.pairs
	}
	tags := map[string]int{}
	var choice [][]int
	for i, v := range in.VIPs {
		if _, ok := tags[v.Spread]; !ok {
			tags[v.Spread] = len(tags)
		}
		var c []int
		for _, node := range options(in, i) {
			c = append(c, slices.IndexFunc(in.Members, func(m Member) bool { return m.Node == node }))
		}
		choice = append(choice, c)
	}
	load := make([]int64, len(in.Members))
	pairs := make([][]int64, len(tags))
	for i := range pairs {
		pairs[i] = make([]int64, len(in.Members))
	}
	best := cost{load: math.MaxInt64}
	var try func(i int, c cost)
	try = func(i int, c cost) {
		if !less(c, best) {
			return
		}
		if i == len(choice) {
			best = c
			return
		}
		if len(choice[i]) == 0 {
			try(i+1, c)
			return
		}
		v := in.VIPs[i]
		tag := tags[v.Spread]
		for _, u := range choice[i] {
			d := c
			if alive(in, i) && in.Members[u].Node != v.Holder {
				d.moves++
			}
			if !in.Members[u].Ready {
				try(i+1, d)
				continue
			}
			d.load += (2*load[u] + 1) * (scale / int64(in.Members[u].Weight))
			if v.Spread != "" {
				d.pairs += pairs[tag][u]
			}
			load[u]++
			pairs[tag][u]++
			try(i+1, d)
			load[u]--
			pairs[tag][u]--
		}
	}
	try(0, cost{})
	return score{big.NewRat(best.load, scale), int(best.moves), int(best.pairs)}
}

func lcm(a, b int64) int64 {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}

// textbookFlow returns the score of the best placement as the cheapest of all
// flows from VIPs through (tag, node) groups and nodes, built up by shortest
// paths (Bellman and Ford) on the whole graph with one number as the cost. It
// is for cases that are too large to try them all; weights must be from a small
// set, and nothing frozen.
func textbookFlow(in Input) score {
	const moveCost, loadCost = 1 << 18, 1 << 34
	scale := int64(1)
	for _, m := range in.Members {
		scale = lcm(scale, int64(m.Weight))
	}
	g := &textbookGraph{}
	source, sink := g.vertex(), g.vertex()
	node := map[string]int{}
	for _, m := range in.Members {
		node[m.Node] = g.vertex()
		for k := range int64(len(in.VIPs)) {
			g.arc(node[m.Node], sink, (2*k+1)*(scale/int64(m.Weight))*loadCost)
		}
	}
	group := map[[2]string]int{}
	placed := 0
	for i, v := range in.VIPs {
		vip := g.vertex()
		g.arc(source, vip, 0)
		opts := options(in, i)
		if len(opts) > 0 {
			placed++
		}
		for _, n := range opts {
			to := node[n]
			if v.Spread != "" {
				key := [2]string{v.Spread, n}
				if _, ok := group[key]; !ok {
					group[key] = g.vertex()
					for k := range len(in.VIPs) {
						g.arc(group[key], to, int64(k))
					}
				}
				to = group[key]
			}
			c := int64(0)
			if alive(in, i) && n != v.Holder {
				c = moveCost
			}
			g.arc(vip, to, c)
		}
	}
	total := int64(0)
	for range placed {
		total += g.augment(source, sink)
	}
	return score{big.NewRat(total/loadCost, scale), int(total % loadCost / moveCost), int(total % moveCost)}
}

// A textbookGraph has arcs of capacity 1; arc e^1 is the reverse of arc e.
type textbookGraph struct {
	out  [][]int
	to   []int
	cost []int64
	free []bool
}

func (g *textbookGraph) vertex() int {
	g.out = append(g.out, nil)
	return len(g.out) - 1
}

func (g *textbookGraph) arc(from, to int, cost int64) {
	e := len(g.to)
	g.to = append(g.to, to, from)
	g.cost = append(g.cost, cost, -cost)
	g.free = append(g.free, true, false)
	g.out[from] = append(g.out[from], e)
	g.out[to] = append(g.out[to], e+1)
}

func (g *textbookGraph) augment(source, sink int) int64 {
	const far = math.MaxInt64
	dist := make([]int64, len(g.out))
	via := make([]int, len(g.out))
	for i := range dist {
		dist[i] = far
	}
	dist[source] = 0
	queue, queued := []int{source}, make([]bool, len(g.out))
	for len(queue) > 0 {
		x := queue[0]
		queue, queued[x] = queue[1:], false
		for _, e := range g.out[x] {
			if y := g.to[e]; g.free[e] && dist[x]+g.cost[e] < dist[y] {
				dist[y], via[y] = dist[x]+g.cost[e], e
				if !queued[y] {
					queue, queued[y] = append(queue, y), true
				}
			}
		}
	}
	if dist[sink] == far {
		panic("no path")
	}
	for x := sink; x != source; x = g.to[via[x]^1] {
		g.free[via[x]], g.free[via[x]^1] = false, true
	}
	return dist[sink]
}
