package plan

import "slices"

// A state lists the VIPs that its node cannot hold, or those that it can, whichever are fewer: on a cluster that spans several networks most nodes can hold
// few of many VIPs, and each reads what all say. Names are what an operator can read with etcdctl; a set of bits over the sorted names of the configuration
// would be an eighth of their size, and tell nobody anything.

// unable lists by name the VIPs of its configuration l that the member says it cannot hold.
func (st State) unable(l Layout) []string {
	if st.Only == nil {
		return st.Cannot
	}
	can := make(map[string]bool, len(st.Only))
	for _, vip := range st.Only {
		can[vip] = true
	}
	for _, vip := range st.Cannot {
		can[vip] = false
	}
	var out []string
	for _, vip := range l.VIPs {
		if !can[vip.Name] {
			out = append(out, vip.Name)
		}
	}
	return out
}

// isUnable tells whether the member says that it cannot hold the VIP, which is in its configuration.
func (st State) isUnable(vip string) bool {
	return slices.Contains(st.Cannot, vip) || st.Only != nil && !slices.Contains(st.Only, vip)
}

// isUseless tells whether it says so of every VIP of its configuration l.
func (st State) isUseless(l Layout) bool {
	if st.Only != nil && len(st.Cannot) == 0 {
		return len(st.Only) == 0
	}
	return len(st.Cannot) > 0 && len(st.unable(l)) >= len(l.VIPs)
}

// samePlaces tells whether both say the same VIPs in the same way.
func (st State) samePlaces(o State) bool {
	return slices.Equal(st.Cannot, o.Cannot) && slices.Equal(st.Only, o.Only) && (st.Only == nil) == (o.Only == nil)
}

// because says why a member cannot hold a VIP of its configuration l; "" if it did not say.
func (st State) because(vip string, l Layout) string {
	why := ""
	for i, name := range st.unable(l) {
		if i < len(st.Because) && st.Because[i] != "" {
			why = st.Because[i]
		}
		if name == vip {
			return why
		}
	}
	return ""
}

// say makes the lists of a state from what the node cannot hold, of all in its configuration, and why not, both by name.
func (st *State) say(cannot, because []string, all []string) {
	for len(because) > 0 && because[len(because)-1] == "" {
		because = because[:len(because)-1]
	}
	st.Cannot, st.Only, st.Because = cannot, nil, because
	if 2*len(cannot) <= len(all) {
		return
	}
	st.Cannot, st.Only = nil, []string{}
	for _, vip := range all { // both are sorted
		if len(cannot) > 0 && cannot[0] == vip {
			cannot = cannot[1:]
			continue
		}
		st.Only = append(st.Only, vip)
	}
}
