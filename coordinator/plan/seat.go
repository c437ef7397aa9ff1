package plan

import (
	"fmt"

	"viplease/coordinator/placement"
)

// A seat is where an operator wants a VIP, and the placement lays all others around it. There are three, the first that applies counting:
//
//   - a pin, until it is taken away;
//   - a move that was asked for and is still to be made. It is made once: the holder's offer uses it up (Claim.Moved), whatever comes of the offer, and it
//     is void when its target has another registration than when it was asked for, so it never comes into force later, out of the blue;
//   - the holder, if a move brought the VIP there (Claim.Stay): else balance or a preference would undo the move at once. Such a seat ends by itself when the
//     VIP leaves its holder, for whatever reason, or when an operator asks for the balance.
//
// A move is made by the holder's offer, the target's accept and the holder's transfer, as every other: nothing here gives anybody a right to an address.

// moveAsked is the reason of a move that an operator asked for.
const moveAsked placement.Why = "move"

// asked is an intent with the revision that wrote it, which names it.
type asked struct {
	Intent
	mod int64
}

// seat is where the VIP has to be, if a node of that name can hold it; "" when nobody has asked for anything.
func (v *View) seat(vip string) (node string, why placement.Why) {
	c := v.etcd.claims[vip]
	switch pin, pinned := v.etcd.pins[vip]; {
	case pinned && pin.Node != "":
		return pin.Node, placement.Pinned
	case v.moveDue(vip):
		return v.etcd.moves[vip].Node, moveAsked
	case c.valid() && c.Stay && c.Moved > v.etcd.balance.mod:
		return c.Node, moveAsked
	}
	return "", ""
}

// moveDue tells whether a move of the VIP was asked for, can still be made, and has not been tried.
func (v *View) moveDue(vip string) bool {
	m, c := v.etcd.moves[vip], v.etcd.claims[vip]
	tried := m.mod == c.Moved && c.To != m.Node
	return m.mod > v.etcd.balance.mod && !tried && v.etcd.alive(MemberRef{m.Node, m.MemberRev}) && c.valid() && v.etcd.alive(c.owner()) && c.Node != m.Node
}

// seated gives the moves to seats that are no pins their reason.
func (v *View) seated(p *placed) {
	for vip, m := range p.moves {
		if node, why := v.seat(vip); m.Why == placement.Pinned && node == m.To {
			m.Why = why
			p.moves[vip] = m
		}
	}
}

// MoveOutcome tells what has become of the move that was written at revision rev: made, still under way, or why it was not made.
func (v *View) MoveOutcome(vip, node string, rev int64, now Now) (made bool, failed string) {
	c := v.etcd.claims[vip]
	switch m := v.etcd.moves[vip]; {
	case c.valid() && c.Node == node && v.etcd.alive(c.owner()):
		return true, ""
	case v.etcd.rev < rev || c.valid() && c.To == node:
		return false, ""
	case c.Moved == rev:
		return false, fmt.Sprintf("%s did not take it within %v", node, offerTimeout)
	case m.mod != rev || v.etcd.balance.mod > rev:
		return false, "another request came in between"
	case m.MemberRev != v.etcd.members[node].create:
		return false, node + " registered anew in between"
	}
	return false, v.CannotMove(vip, node, now)
}
