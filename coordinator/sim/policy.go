package sim

import (
	"fmt"
	"time"
)

// Policy is what the configuration says about who should hold what. The zero value is the default: all moves at once, nobody is preferred.
type Policy struct {
	Moves  int  // in a round; 0: all, -1: none
	Prefer bool // each VIP prefers two of the nodes
	Stay   bool // failback = "never"
	Uneven bool // nodes have weights from 1 to 3
}

// GoString is the policy as one writes it in a test.
func (p Policy) GoString() string {
	return fmt.Sprintf("Policy{Moves: %d, Prefer: %t, Stay: %t, Uneven: %t}", p.Moves, p.Prefer, p.Stay, p.Uneven)
}

// moves is Config.MovesPerRound.
func (p Policy) moves() int {
	switch p.Moves {
	case 0:
		return -1
	case -1:
		return 0
	}
	return p.Moves
}

func (p Policy) weight(id int) int {
	if !p.Uneven {
		return 1
	}
	return 1 + id%3
}

// preferring is how many nodes are preferred in turn.
func (s Schedule) preferring() int {
	if s.Policy.Prefer {
		return s.Nodes
	}
	return 0
}

// policy draws a policy, and what operators do about it, from a stream of its own. Themes that aim at one hole of the protocol have the default: there every
// fault has its place.
func (r *draft) policy(t theme) {
	switch t {
	case operators:
	case anything, restarts:
		if r.one(2) {
			return
		}
	default:
		return
	}
	r.Policy = Policy{Moves: []int{0, 1, 1, 2, 3, -1}[r.n(6)], Prefer: r.one(3), Stay: r.one(3), Uneven: r.one(3)}
	for range r.n(3) {
		f := Fault{At: r.upTo(r.at + r.span()), For: r.upTo(2 * r.span()), Kind: r.pick(Pin, Balance, Move), Node: r.anyNode(), VIP: r.n(r.VIPs)}
		if f.Kind == Pin && r.one(2) {
			f.For = 0 // for good
		}
		r.add(f)
	}
}

// operators is a schedule in which nothing fails, so that everything can be judged to the letter.
func (r *draft) operators() {
	r.Noise, r.Skew, r.VIPs = 0, false, 2+min(r.n(maxVIPs-1), r.n(maxVIPs-1))
	for range 2 + r.n(5) {
		f := Fault{At: r.later(r.span()), For: r.upTo(2 * r.span()), Kind: r.pick(Drain, Drain, Freeze, Freeze, Pin, Pin, Balance, Move, Move, Leave, LinkDown), Node: r.anyNode(), VIP: r.n(r.VIPs)}
		if f.Kind == Freeze && r.one(2) {
			f.For = 0
		}
		r.add(f)
	}
}

// orderly tells whether nothing fails: every node hears of everything at once.
func (s Schedule) orderly() bool {
	for _, f := range s.Faults {
		switch f.Kind {
		case Drain, Freeze, Pin, Balance, Move, Leave, LinkDown:
		default:
			return false
		}
	}
	return s.Noise == 0
}

// prompt is how long it takes until every node of an orderly cluster has heard of something.
const prompt = 50 * time.Millisecond
