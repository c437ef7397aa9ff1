package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// MemberStatus is one node of the cluster, as an operator sees it. Its JSON is part of the contract with the outside.
type MemberStatus struct {
	Node   string    `json:"node"`
	State  string    `json:"state"` // ready, joining, drained, unfit, gone
	Why    string    `json:"why"`
	Since  time.Time `json:"since,omitzero"`
	Weight int       `json:"weight"`
	Held   int       `json:"held"`

	Checks []CheckState `json:"checks,omitempty"` // health checks that do not pass there
}

// VIPStatus is one virtual IP: its addresses move together. Its JSON is part of the contract with the outside.
type VIPStatus struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses"`
	Node      string    `json:"node"` // holder, "" when nobody
	Since     time.Time `json:"since,omitzero"`
	Why       string    `json:"why"`
	State     string    `json:"state"` // held, moving, waiting, unheld, unplaceable
	To        string    `json:"to,omitempty"`
	Pin       string    `json:"pin,omitempty"`   // where an operator pinned it
	Rival     string    `json:"rival,omitempty"` // another machine that uses an address of it, as its holder heard
	Here      bool      `json:"here,omitempty"`  // its addresses are up on the node that says this
}

// Members lists the nodes that are members, and those that are gone but still named by a claim, a drain or an eviction, by name.
func (v *View) Members() []MemberStatus {
	held := map[string]int{}
	for vip, c := range v.etcd.claims {
		if _, here := v.vips[vip]; c.valid() && c.Node != "" && (here || v.etcd.alive(c.owner())) {
			held[c.Node] += boolInt(v.etcd.alive(c.owner()))
		}
	}
	nodes := map[string]bool{}
	for n := range held {
		nodes[n] = true
	}
	for n := range v.etcd.members {
		nodes[n] = true
	}
	for n := range v.etcd.drains {
		nodes[n] = true
	}
	for n := range v.etcd.evictions {
		nodes[n] = true
	}
	out := []MemberStatus{}
	for _, n := range sortedKeys(nodes) {
		m := v.memberStatus(n)
		m.Held = held[n]
		out = append(out, m)
	}
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (v *View) memberStatus(node string) MemberStatus {
	st := v.etcd.states[node].State
	m := MemberStatus{Node: node, State: st.State, Why: st.Why, Since: st.Since, Weight: max(st.Weight, 1)}
	drain, drained := v.etcd.drains[node]
	_, member := v.etcd.members[node]
	switch {
	case !member:
		m.State, m.Why, m.Since = "gone", "its lease has ended", time.Time{}
		if e, evicted := v.etcd.evictions[node]; evicted {
			m.Why, m.Since = "evicted by "+e.By+": it did not answer on the LAN", e.At
		}
		if drained {
			m.Why += "; drained"
		}
	case drained:
		m.State, m.Since, m.Why = "drained", drain.At, "drained"
		if drain.By != "" {
			m.Why = "drained by " + drain.By
		}
		if why := st.Why; why != "" {
			m.Why += "; " + why
		}
	case st.State == StateLeaving:
		m.State = "unfit"
	case st.State == "" && understood(v.etcd.members[node].V, Format) != nil:
		m.State, m.Why = "joining", fmt.Sprintf("what it says is of format %d, this node knows %d", v.etcd.members[node].V, Format)
	case st.State == "":
		m.State, m.Why = "joining", "it has not said what state it is in"
	case st.State == StateReady && st.Digest != v.digest:
		m.Why = "its configuration differs from this node's: nothing is moved for balance until they agree"
	}
	if m.State == StateReady || m.State == StateJoining {
		v.holdsBack(&m, st)
	}
	if m.State == StateReady || m.State == StateJoining {
		m.checkStatus(st.Checks)
	}
	return m
}

// holdsBack says which VIPs a node that is registered is not given, and why. One that can hold none is unfit.
func (v *View) holdsBack(m *MemberStatus, st State) {
	l, _ := v.layoutOf(st)
	all := func(list []string) bool { return len(l.VIPs) > 0 && len(list) >= len(l.VIPs) }
	say := func(text string) {
		if m.State == StateJoining && m.Why != "" {
			text = m.Why + "; " + text
		}
		m.Why = text
	}
	switch unable := st.unable(l); {
	case len(unable) > 0:
		text := fmt.Sprintf("cannot hold %s", shorten(unable))
		if all(unable) {
			text = "cannot hold any VIP"
		}
		if why := st.because(unable[0], l); why != "" {
			text += ": " + why
		}
		say(text)
		if m.State == StateReady && all(unable) {
			m.State = "unfit"
		}
	case len(st.Recovers) > 0:
		say(fmt.Sprintf("can hold %s again, and is given what others hold when that has been so for a while", shorten(st.Recovers)))
		if m.State == StateReady && all(st.Recovers) {
			m.State = StateJoining
		}
	}
}

func shorten(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s, %s and %d more", names[0], names[1], len(names)-2)
	}
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}

// VIPs lists every VIP that this node or a ready member configures, by name.
func (v *View) VIPs(now Now) []VIPStatus {
	p := v.placement()
	names := map[string]bool{}
	for vip := range v.vips {
		names[vip] = true
	}
	for vip := range p.assign {
		names[vip] = true
	}
	for vip := range p.unplaced {
		names[vip] = true
	}
	out := []VIPStatus{}
	for _, vip := range sortedKeys(names) {
		out = append(out, v.vipStatus(vip, p, now))
	}
	return out
}

func (v *View) vipStatus(vip string, p *placed, now Now) VIPStatus {
	c := v.etcd.claims[vip]
	s := VIPStatus{Name: vip, Addresses: v.texts[vip]}
	if c.valid() {
		s.Why = c.Why
		if len(s.Addresses) == 0 {
			s.Addresses = slices.Clone(c.Addresses)
		}
	}
	s.Pin = v.etcd.pins[vip].Node
	if l := v.local[vip]; l != nil {
		s.Here = l.up
		if l.rival.heard > 0 {
			s.Rival = fmt.Sprintf("%s, heard %d times", l.rival.hardware, l.rival.heard)
		}
	}
	alive := c.valid() && c.Node != "" && v.etcd.alive(c.owner())
	switch {
	case alive:
		s.Node, s.Since, s.State, s.To = c.Node, c.Since, "held", c.To
		if c.To != "" {
			s.State = "moving"
		}
		if p.disputed[vip] {
			s.Why = "the nodes' configurations give this name different addresses; it stays where it is until they agree"
		} else if why := v.keptAnyway(vip, c.Node, p); why != "" {
			s.Why = why
		}
	case errors.Is(c.foreign, errNewer):
		s.State, s.Why = "waiting", "its claim was "+c.foreign.Error()+"; upgrade this node"
	case p.unplaced[vip]:
		s.State, s.Why = "unplaceable", "no ready node can hold it"
		d := decision{v: v, now: now, wake: never}
		why := ""
		if v.local[vip] != nil {
			why = d.cannot(vip)
		}
		if check, _ := v.forbids(vip); why == "" {
			why = check
		}
		if why != "" {
			s.Why += "; here: " + why
		}
	default:
		s.State = "unheld"
		d := decision{v: v, now: now, wake: never}
		if at, why, ok := d.free(vip, c); ok && at > now.Boot {
			s.State, s.Why = "waiting", fmt.Sprintf("%s; it may be taken in %.1f s", why, (at-now.Boot).Seconds())
		} else if why := v.rivalName(vip, now.Boot); why != "" {
			s.State, s.Why = "waiting", why+"; it is taken when the nodes' files agree"
		} else if p.assign[vip] != "" {
			s.Why = "to be claimed by " + p.assign[vip]
		}
	}
	return s
}

// Standing is what a node knows of its own place in the cluster.
type Standing struct {
	Revision   int64
	Registered bool
	Checked    bool   // the last authority check was answered well
	CheckErr   error  // else why not, if it was tried
	ReadErr    string // why etcd could not be read, if that was the last of it
	Trouble    string
	Frozen     *Intent
}

// Standing returns what this node knows of itself now.
func (v *View) Standing() Standing {
	s := Standing{
		Revision: v.etcd.rev, Registered: v.self.phase == registered, Trouble: v.self.trouble,
		CheckErr: v.self.checkErr, ReadErr: v.self.reading, Frozen: v.etcd.frozen,
	}
	if s.Trouble == "" {
		s.Trouble = v.self.writing
	}
	if s.Trouble == "" {
		s.Trouble = v.apart()
	}
	s.Checked = v.self.freshCheck() && v.self.checkErr == nil
	if v.self.name != "" {
		s.Trouble = v.self.name
	}
	return s
}
