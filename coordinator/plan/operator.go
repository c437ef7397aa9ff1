package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"viplease/coordinator/placement"
)

// What an operator's commands have to know before they ask for something: which names there are, and why something cannot be had. None of it decides
// anything: whatever is asked for, the rules of the protocol carry it out or do not.

// Known tells that this node has read etcd: before, nothing can be said.
func (v *View) Known() bool { return v.etcd.synced }

// NodeNames are the nodes that Members lists, sorted.
func (v *View) NodeNames() []string {
	var names []string
	for _, m := range v.Members() {
		names = append(names, m.Node)
	}
	return names
}

// VIPNames are the VIPs that this node or a ready member configures, and those that a claim names, sorted.
func (v *View) VIPNames() []string {
	names := map[string]bool{}
	for _, m := range v.meanings(&placed{disputed: map[string]bool{}}) {
		names[m.Name] = true
	}
	for vip, c := range v.etcd.claims {
		if !c.absent {
			names[vip] = true
		}
	}
	return sortedKeys(names)
}

// NameOfAddress finds the VIP that an address belongs to; "" if none does.
func (v *View) NameOfAddress(text string) string {
	for _, vip := range v.layout.VIPs {
		for _, a := range vip.Addresses {
			if bare, _, _ := strings.Cut(a, "/"); bare == text || a == text {
				return vip.Name
			}
		}
	}
	return ""
}

// MemberRev names the registration of a node; 0: it has none.
func (v *View) MemberRev(node string) int64 { return v.etcd.members[node].create }

// Holder is the live node that holds the VIP, "" if there is none.
func (v *View) Holder(vip string) string {
	if c := v.etcd.claims[vip]; c.valid() && v.etcd.alive(c.owner()) {
		return c.Node
	}
	return ""
}

// Pin is where an operator pinned the VIP; nil: nowhere.
func (v *View) Pin(vip string) *Intent {
	if pin, ok := v.etcd.pins[vip]; ok {
		return &pin
	}
	return nil
}

// Said tells in words when something was asked for, and by whom.
func (i Intent) Said() string {
	s := "since " + i.At.UTC().Format(time.RFC3339)
	if i.By != "" {
		s += " by " + i.By
	}
	return s
}

// Frozen says since when nothing is moved; "" when it is.
func (v *View) Frozen() string {
	if v.etcd.frozen == nil {
		return ""
	}
	return "frozen " + v.etcd.frozen.Said()
}

// Unready says why the node is given nothing now, and since when; "" when it is ready.
func (v *View) Unready(node string) string {
	drain, drained := v.etcd.drains[node]
	switch m := v.memberStatus(node); {
	case m.State == "gone":
		return node + " is gone: it has no registration"
	case drained:
		return node + " is drained " + drain.Said()
	case !v.ready(node):
		return strings.TrimSuffix(fmt.Sprintf("%s is %s since %s: %s", node, m.State, m.Since.UTC().Format(time.RFC3339), m.Why), ": ")
	}
	return ""
}

// CannotMove says why the VIP cannot be moved to the node now; "" when it can.
func (v *View) CannotMove(vip, node string, now Now) string {
	if pin := v.Pin(vip); pin != nil && pin.Node != node && v.etcd.frozen == nil {
		return fmt.Sprintf("%s is pinned to %s %s; `viplease unpin %s` first", vip, pin.Node, pin.Said(), vip)
	}
	if v.Holder(vip) == "" {
		s := v.vipStatus(vip, v.placement(), now)
		return fmt.Sprintf("no node holds %s (%s): %s", vip, s.State, s.Why)
	}
	return v.CannotPin(vip, node)
}

// CannotPin says why a pin of the VIP to the node is no more than a wish now; "" when it is carried out at once.
func (v *View) CannotPin(vip, node string) string {
	if why := v.Frozen(); why != "" {
		return why + "; `viplease unfreeze` first"
	}
	if why := v.Unready(node); why != "" {
		return why
	}
	return v.cannotHave(vip, node)
}

// cannotHave says why the node cannot hold the VIP, ready or not; "" when it can.
func (v *View) cannotHave(vip, node string) string {
	st := v.etcd.states[node].State
	l, known := v.layoutOf(st)
	at := slices.IndexFunc(l.VIPs, func(x LayoutVIP) bool { return x.Name == vip })
	meanings := v.meanings(&placed{disputed: map[string]bool{}})
	means := slices.IndexFunc(meanings, func(x LayoutVIP) bool { return x.Name == vip })
	switch {
	case !known:
		return fmt.Sprintf("the configuration of %s is not known yet", node)
	case at < 0:
		return fmt.Sprintf("%s is not in the configuration of %s", vip, node)
	case means >= 0 && !slices.Equal(l.VIPs[at].Addresses, meanings[means].Addresses):
		return fmt.Sprintf("the configuration of %s gives %s other addresses", node, vip)
	case st.isUnable(vip):
		return strings.TrimSuffix(fmt.Sprintf("%s cannot hold %s now: %s", node, vip, st.because(vip, l)), ": ")
	case slices.Contains(st.Recovers, vip):
		return fmt.Sprintf("%s can hold %s again since %s, and has to be able to for a while before it is given it", node, vip, st.Since.UTC().Format(time.RFC3339))
	}
	for _, c := range st.Checks {
		if c.about(vip) {
			return fmt.Sprintf("%s is not fit for %s: %s since %s", node, vip, c.text(), c.Since.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// CannotBalance says why nothing is moved for balance, however often it is asked for; "" when it can be.
func (v *View) CannotBalance() string {
	p := v.placement()
	switch {
	case v.etcd.frozen != nil:
		return v.Frozen() + "; `viplease unfreeze` first"
	case v.cfg.MovesPerRound == 0:
		return "nothing is moved for balance: moves_per_round is 0"
	case !p.agreed:
		return "nothing is moved for balance until the members agree: their configurations or versions differ"
	}
	return ""
}

// Left is what stands in etcd for a name that is of no use any more.
type Left struct {
	Keys  []string // below the prefix, sorted
	InUse string   // why nothing of it may go; "" when it may
}

// LeftOfNode is what a node left that is gone: its drain, pins and moves to it, and claims of VIPs that nobody configures. A claim that others may still
// take over is none of it: without it they would have to wait anew.
func (v *View) LeftOfNode(node string) Left {
	if m, ok := v.etcd.members[node]; ok {
		return Left{InUse: fmt.Sprintf("%s is a member (%s); stop its daemon first", node, m.Address)}
	}
	var l Left
	if _, ok := v.etcd.drains[node]; ok {
		l.Keys = append(l.Keys, "drains/"+node)
	}
	if _, ok := v.etcd.evictions[node]; ok {
		l.Keys = append(l.Keys, "evictions/"+node)
	}
	for _, vip := range sortedKeys(v.etcd.pins) {
		if v.etcd.pins[vip].Node == node {
			l.Keys = append(l.Keys, "pins/"+vip)
		}
	}
	for _, vip := range sortedKeys(v.etcd.moves) {
		if v.etcd.moves[vip].Node == node {
			l.Keys = append(l.Keys, "moves/"+vip)
		}
	}
	for _, vip := range sortedKeys(v.etcd.claims) {
		if c := v.etcd.claims[vip]; c.valid() && c.Node == node && v.configures(vip) == "" {
			l.Keys = append(l.Keys, "claims/"+vip)
		}
	}
	slices.Sort(l.Keys)
	return l
}

// LeftOfVIP is what stands for a VIP that no member configures and no live node holds.
func (v *View) LeftOfVIP(vip string) Left {
	if who := v.configures(vip); who != "" {
		return Left{InUse: who}
	}
	if node := v.Holder(vip); node != "" {
		return Left{InUse: fmt.Sprintf("%s holds %s", node, vip)}
	}
	var l Left
	if c, ok := v.etcd.claims[vip]; ok && !c.absent {
		l.Keys = append(l.Keys, "claims/"+vip)
	}
	if _, ok := v.etcd.moves[vip]; ok {
		l.Keys = append(l.Keys, "moves/"+vip)
	}
	if _, ok := v.etcd.pins[vip]; ok {
		l.Keys = append(l.Keys, "pins/"+vip)
	}
	return l
}

// configures says which member has the VIP in its configuration, or may have; "" when none does.
func (v *View) configures(vip string) string {
	for _, node := range sortedKeys(v.etcd.members) {
		l, known := v.layoutOf(v.etcd.states[node].State)
		switch {
		case !known:
			return fmt.Sprintf("the configuration of %s is not known yet", node)
		case slices.ContainsFunc(l.VIPs, func(x LayoutVIP) bool { return x.Name == vip }):
			return fmt.Sprintf("%s configures %s; take it out of the files of all nodes first", node, vip)
		}
	}
	return ""
}

// PinnedTo tells whether the value of a pin names the node.
func PinnedTo(value []byte, node string) bool {
	pin, err := decodeIntent(value)
	return err == nil && pin.Node == node
}

// BalancedInput is what this node would plan with if the balance were asked for.
func (v *View) BalancedInput() placement.Input {
	after := *v
	after.etcd.balance.mod = never64
	return after.PlacementInput()
}
