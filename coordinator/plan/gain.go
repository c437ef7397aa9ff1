package plan

import (
	"net/netip"
	"slices"
)

// Change is a VIP that this node has really gained or lost, or cannot hold: what an operator's programs are told. An address that comes back at once, a refresh,
// a restart of the daemon are none.
type Change struct {
	Kind      ChangeKind
	VIP       string
	Addresses []Address
	Old, New  string // nodes; "": nobody, or nobody yet
	Why       string
}

// ChangeKind is what happened to the VIP.
type ChangeKind string

// The kinds of changes. For one VIP, Acquired and Released come by turns.
const (
	Acquired ChangeKind = "acquired" // it is up here
	Released ChangeKind = "released" // it was up here and is not any more
	Faulty   ChangeKind = "fault"    // it should be up here and cannot be
)

// Changes returns what has changed since the last call. It compares what was told with what is so, so nothing gets lost between two calls, nor, by
// Remembered.Gained, between two processes.
func (v *View) Changes(now Now) (out []Change) {
	if !v.observed {
		return nil
	}
	d := &decision{v: v, now: now, wake: never}
	for i, vip := range v.names {
		l := v.locals[i]
		switch up, down := l.up && !l.stray, !l.some && l.op == idle; {
		case !l.gained && up:
			if c := v.etcd.claims[vip]; v.etcd.synced && (v.mine(c) || v.own(c)) {
				l.gained, l.faulty = true, false
				v.remember++
				out = append(out, Change{Kind: Acquired, VIP: vip, Addresses: slices.Clone(l.set), Old: l.giver, New: v.cfg.Node, Why: c.Why})
			}
		case l.gained && down:
			if c := v.etcd.claims[vip]; d.lost(vip, c, l) {
				l.gained = false
				v.remember++
				out = append(out, Change{Kind: Released, VIP: vip, Addresses: l.last(c), Old: v.cfg.Node, New: v.successor(c), Why: v.whyLost(vip, c, l, now)})
			}
		}
		if l.fails == 0 {
			l.faulty = false
		} else if !l.faulty {
			l.faulty = true
			out = append(out, Change{Kind: Faulty, VIP: vip, Addresses: slices.Clone(l.place.Addresses), Why: l.why})
		}
	}
	return out
}

// lost tells whether a VIP whose addresses are down does not come back at once.
func (d *decision) lost(vip string, c claim, l *local) bool {
	v := d.v
	if !v.vipHere(vip) { // it is accounted for as a former address
		return v.etcd.synced && d.down(vip, c, l)
	}
	return l.giving || !d.wants(vip, c, l) || !v.self.freshCheck() || d.now.Boot >= v.Authority()
}

// successor is the node that has the VIP now or is about to; "" if none is known.
func (v *View) successor(c claim) string {
	switch {
	case v.mine(c) && c.Accept > 0:
		return c.To
	case c.valid() && c.Node != v.cfg.Node:
		return c.Node
	}
	return ""
}

func (v *View) whyLost(vip string, c claim, l *local, now Now) string {
	switch {
	case v.mine(c) && c.Accept > 0:
		return c.Why
	case l.whyDown != "":
		return l.whyDown
	}
	return v.whyDown(vip, now.Boot)
}

// last are the addresses that the VIP had here, as far as anybody knows.
func (l *local) last(c claim) []Address {
	switch {
	case len(l.set) > 0:
		return slices.Clone(l.set)
	case len(l.place.Addresses) > 0:
		return slices.Clone(l.place.Addresses)
	}
	var out []Address
	for _, text := range c.Addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, Address{Prefix: p})
		}
	}
	return out
}

// gained are the VIPs whose gain was told, and their loss not yet.
func (v *View) gained() []string {
	var out []string
	for _, vip := range v.names {
		if v.local[vip].gained {
			out = append(out, vip)
		}
	}
	return out
}
