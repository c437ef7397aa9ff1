package plan

import (
	"time"

	"viplease/sentinel"
)

// contact is how this node stands on an interface, as the sentinel sees it.
type contact struct {
	basis, lost bool
	unasked     time.Duration // since when its guards ask this node no more, as far as it was told; 0: they do
	found       time.Duration // when it was back last
}

func (v *View) foldContact(a sentinel.Contact, now time.Duration) {
	was := v.fast.links[a.Link]
	is := contact{basis: a.Basis, lost: a.Lost, found: was.found}
	switch {
	case a.Unasked && was.unasked > 0:
		is.unasked = was.unasked
	case a.Unasked:
		is.unasked = now
	}
	switch {
	case a.Lost && !was.lost:
		v.fast.counts.Quarantines++
		v.alarm("", "cut off", "nobody is heard on "+a.Link+": its VIPs come down until somebody is")
	case !a.Lost && was.lost:
		is.found = now
		v.self.checkAt = min(v.self.checkAt, now)
		v.note("", "in contact", "others are heard again on "+a.Link)
	}
	v.fast.links[a.Link] = is
	v.replan()
}

// cutOff is the interface of the VIP on which nobody is heard; "" if there is none.
func (v *View) cutOff(l *local) string {
	if len(v.fast.links) == 0 {
		return ""
	}
	for _, list := range [][]Address{l.place.Addresses, l.set} {
		for _, a := range list {
			if v.fast.links[a.Link].lost {
				return a.Link
			}
		}
	}
	return ""
}

// unasked is until when what is up of the VIP may stay, if its guards may not hear this node any more [F4]. Until they count as cut off from it, it may stay
// anyway; then for a grace after each good check: it saw no challenge, so none can end in an eviction before. Where a challenge is known, that is all the
// time there is to refute it.
func (v *View) unasked(l *local) (until time.Duration, unasked bool) {
	if len(v.fast.links) == 0 {
		return 0, false
	}
	_, accused := v.accused()
	for _, list := range [][]Address{l.place.Addresses, l.set} {
		for _, a := range list {
			switch since := v.fast.links[a.Link].unasked; {
			case since == 0:
			case accused:
				return v.self.good.t0 + v.cfg.Fast.Grace, true
			default:
				return max(since+v.cfg.Fast.Unasked(), v.self.good.t0+v.cfg.Fast.Grace), true
			}
		}
	}
	return 0, false
}

// hastens is when this node has to check next, on account of guards that ask it no more.
func (v *View) hastens() time.Duration {
	for _, on := range v.fast.links {
		if on.unasked > 0 {
			return max(v.self.urgentAt, v.self.good.t0+v.cfg.Fast.Grace/3)
		}
	}
	return never
}

// foundSince is when contact was back last on the interfaces of the VIP.
func (v *View) foundSince(vip string) time.Duration {
	at := time.Duration(0)
	for _, a := range v.local[vip].place.Addresses {
		at = max(at, v.fast.links[a.Link].found)
	}
	return at
}
