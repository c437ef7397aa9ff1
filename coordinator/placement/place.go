package placement

import "sort"

// All as MovesPerRound puts every move into the first round.
const All = -1

// MaxWeight is the largest weight of a member. It bounds the products that
// exact comparisons of load per weight need.
const MaxWeight = 1000

// Input is everything a placement depends on. Names of members are unique, and
// so are names of VIPs; the order of both does not matter.
type Input struct {
	Members []Member
	VIPs    []VIP

	// Failback lets a VIP return to its preferred node from a live holder.
	Failback bool

	// MovesPerRound is the number of balance and homecoming moves that a round
	// may hold: All (or any negative number), or 0 for no such moves at all.
	MovesPerRound int

	// Frozen keeps every VIP with its holder, as long as that is a listed
	// member. VIPs without one are still placed.
	Frozen bool
}

// Member is a live node of the cluster.
type Member struct {
	Node string

	// Ready members are given VIPs. One that is not (it drains, joins, or is
	// unfit) loses those it has.
	Ready bool

	// Weight is the share of the load that this node takes in proportion to
	// the others, 1 to MaxWeight. Smaller counts as 1, larger as MaxWeight.
	Weight int

	// Cannot holds the VIPs that must not be here, by their index in
	// Input.VIPs. The zero value excludes none.
	Cannot Set
}

// VIP is one unit of load; its addresses move together.
type VIP struct {
	Name string

	// Holder is the node that has the VIP now, or empty. A holder that is no
	// ready member counts as none (but see Input.Frozen).
	Holder string

	// Prefer lists nodes, best first.
	Prefer []string

	// Pin is the node that an operator wants the VIP on, or empty.
	Pin string

	// Spread is a tag, or empty. VIPs with the same tag avoid each other.
	Spread string
}

// Why is the reason for a move: why the VIP leaves where it is, or else what
// draws it to where it goes.
type Why string

// The reasons, by precedence.
const (
	Unheld   Why = "unheld"   // it has no holder
	Takeover Why = "takeover" // its holder is no member
	Drain    Why = "drain"    // its holder is a member but not ready
	Unfit    Why = "unfit"    // its holder is ready but cannot hold this VIP
	Pinned   Why = "pin"      // an operator pinned it elsewhere
	Prefer   Why = "prefer"   // a better preferred node is ready
	Balance  Why = "balance"  // the load is more even that way
)

// Move takes one VIP to another node.
type Move struct {
	VIP   string `json:"vip"`
	From  string `json:"from"` // the holder as given, alive or not, or empty
	To    string `json:"to"`
	Why   Why    `json:"why"`
	Round int    `json:"round"` // 0: at once; 1, 2, ...: in that balance round
}

// Assignment says that a VIP belongs on a node.
type Assignment struct {
	VIP, Node string
}

// Plan is a placement, and how to get there.
type Plan struct {
	// Assign is the state after all rounds, sorted by VIP.
	Assign []Assignment

	// Moves leads from the holders to Assign, sorted by round, then VIP.
	Moves []Move

	// Unplaced lists the VIPs that no ready member can hold, sorted. They
	// have neither an assignment nor a move.
	Unplaced []string
}

// Node returns the node that the plan assigns to a VIP, or an empty string.
func (p Plan) Node(vip string) string {
	i := sort.Search(len(p.Assign), func(i int) bool { return p.Assign[i].VIP >= vip })
	if i < len(p.Assign) && p.Assign[i].VIP == vip {
		return p.Assign[i].Node
	}
	return ""
}

// Place computes the placement. It does not keep or change its input, and may
// be called from several goroutines at a time.
func Place(in Input) Plan {
	t := newTable(&in)
	t.classify()
	t.solve()
	return t.plan()
}

// solve places the free VIPs: load first, then moves, then pairs, each stage
// within what the one before found to be optimal.
func (t *table) solve() {
	if len(t.free) == 0 {
		return
	}
	groups := t.alike()
	room, settled := t.evenLoad()
	if settled {
		return
	}
	open := t.fewestMoves(room)
	t.fewestPairs(open, room)
	for _, group := range groups {
		t.arrange(group)
	}
}
