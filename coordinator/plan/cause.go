package plan

import "viplease/coordinator/placement"

// Causes of a take: what the claim was before.
const (
	CauseEvicted  = "evicted"  // its owner does not answer on the LAN, and its guards ended its registration
	CauseGone     = "gone"     // its owner's registration did not stand any more
	CauseReleased = "released" // its owner had given it up
	CauseNobody   = "nobody"   // nobody was known to hold it
)

func takeCause(c claim) string {
	switch {
	case c.Empty:
		return CauseNobody
	case c.Node == "":
		return CauseReleased
	}
	return CauseGone
}

// transferCause is the reason of the move that the claim names. It was in etcd meanwhile, so it is only believed to be one of those that there are.
func transferCause(c claim) string {
	switch why := placement.Why(c.Why); why {
	case placement.Drain, placement.Unfit, placement.Pinned, placement.Prefer, placement.Balance, moveAsked:
		return string(why)
	}
	return "other"
}
