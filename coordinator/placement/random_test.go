package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"
)

// A draw returns a number from 0 to n-1.
type draw func(n int) int

func fromRand(r *rand.Rand) draw { return r.IntN }

func fromRapid(t *rapid.T) draw {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
}

// A shape bounds the cases that random makes. Each case then uses only some of
// the features, so that plain ones are among them.
type shape struct {
	members, vips, tags int
	weights             []int
	allReady            bool
	free                bool // no pins, preferences, freeze or move limit
	pairwise            bool // each VIP can be on two nodes
}

var small = shape{members: 5, vips: 8, tags: 3, weights: []int{1, 1, 2, 3, 5, 10}}

func random(d draw, s shape) Input {
	in := Input{Failback: true, MovesPerRound: All}
	n := 1 + d(s.members)
	k := d(s.vips + 1)
	weighted, partial := d(2) == 0, d(4)
	pairwise := s.pairwise || partial == 3
	for i := range n {
		m := Member{Node: fmt.Sprintf("n%02d", i), Ready: s.allReady || d(8) != 0, Weight: 1}
		if weighted {
			m.Weight = s.weights[d(len(s.weights))]
		}
		for v := range k {
			if pairwise || d(4) < partial {
				m.Cannot.Add(v)
			}
		}
		in.Members = append(in.Members, m)
	}
	for v := 0; pairwise && v < k; v++ {
		in.Members[d(n)].Cannot.Del(v)
		in.Members[d(n)].Cannot.Del(v)
	}
	held, given, tagged := d(5), d(2) == 0 && !s.free, d(4)
	node := func() string { return fmt.Sprintf("n%02d", d(n+1)) } // the last one is no member
	for i := range k {
		v := VIP{Name: fmt.Sprintf("v%03d", i)}
		if d(4) < held {
			v.Holder = node()
			if held == 4 && d(2) == 0 {
				v.Holder = in.Members[0].Node
			}
			if can := canHold(in, i); len(can) > 0 && d(4) != 0 {
				v.Holder = can[d(len(can))]
			}
		}
		if given && d(6) == 0 {
			v.Pin = node()
		}
		for given && d(3) == 0 {
			v.Prefer = append(v.Prefer, node())
		}
		if d(4) < tagged {
			v.Spread = fmt.Sprintf("t%d", d(s.tags))
		}
		in.VIPs = append(in.VIPs, v)
	}
	if !s.free {
		in.Failback = d(3) != 0
		in.MovesPerRound = []int{All, All, 0, 1, 2}[d(5)]
		in.Frozen = d(10) == 0
	}
	return in
}

// canHold returns the members that can hold VIP i, ready or not.
func canHold(in Input, i int) []string {
	var nodes []string
	for _, m := range in.Members {
		if !m.Cannot.Has(i) {
			nodes = append(nodes, m.Node)
		}
	}
	return nodes
}

// shuffle returns the same input in another order.
func shuffle(in Input, d draw) Input {
	out := in
	perm := make([]int, len(in.VIPs)) // new position -> old
	for i := range perm {
		perm[i] = i
	}
	for i := len(perm) - 1; i > 0; i-- {
		j := d(i + 1)
		perm[i], perm[j] = perm[j], perm[i]
	}
	out.VIPs, out.Members = nil, nil
	for _, old := range perm {
		out.VIPs = append(out.VIPs, in.VIPs[old])
	}
	for _, m := range in.Members {
		can := m.Cannot
		m.Cannot = nil
		for i, old := range perm {
			if can.Has(old) {
				m.Cannot.Add(i)
			}
		}
		out.Members = slices.Insert(out.Members, d(len(out.Members)+1), m)
	}
	return out
}

// after returns the input as it is once the plan is carried out.
func after(in Input, p Plan) Input {
	in.VIPs = slices.Clone(in.VIPs)
	for i := range in.VIPs {
		if node := p.Node(in.VIPs[i].Name); node != "" {
			in.VIPs[i].Holder = node
		}
	}
	return in
}

// without returns the input with one member gone.
func without(in Input, node string) Input {
	in.Members = slices.DeleteFunc(slices.Clone(in.Members), func(m Member) bool { return m.Node == node })
	return in
}
