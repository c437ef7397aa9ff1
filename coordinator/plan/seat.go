package plan

import (
	"fmt"
	"slices"

	"viplease/coordinator/placement"
)

// A seat is where an operator wants a VIP, and the placement lays all others around it. There are three, the first that can be had counting:
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

// wishes are the nodes that the VIP's seats name, the first that can be had counting.
func (v *View) wishes(vip string) (nodes []string) {
	if pin := v.etcd.pins[vip]; pin.Node != "" {
		nodes = append(nodes, pin.Node)
	}
	if len(nodes) == 0 && v.moveDue(vip) { // a pin that came after the request goes before it
		nodes = append(nodes, v.etcd.moves[vip].Node)
	}
	if c := v.etcd.claims[vip]; c.valid() && c.Stay && c.Moved > v.etcd.balance.mod {
		nodes = append(nodes, c.Node)
	}
	return nodes
}

// seats gives the VIPs of a placement their seats: of those that are wished for the first that the members, as they are now, can give.
func (v *View) seats(in *placement.Input) {
	for i := range in.VIPs {
		vip := &in.VIPs[i]
		for _, node := range v.wishes(vip.Name) {
			k := slices.IndexFunc(in.Members, func(m placement.Member) bool { return m.Node == node })
			if vip.Pin == "" && k >= 0 && in.Members[k].Ready && !in.Members[k].Cannot.Has(i) {
				vip.Pin = node
			}
		}
	}
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
		if m.Why == placement.Pinned && v.etcd.pins[vip].Node != m.To {
			m.Why = moveAsked
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
