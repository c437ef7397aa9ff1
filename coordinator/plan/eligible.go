package plan

import (
	"slices"
	"strings"

	"viplease/coordinator/placement"
)

// eligibility is who can hold which VIP, by its index in meaning. What a configuration lacks is found once for all members that run it: a cluster has many
// members, and as a rule one configuration.
type eligibility struct {
	v       *View
	meaning []LayoutVIP              // what every VIP means, sorted by name
	index   map[string]int           // of a name in it
	lacking map[string]placement.Set // by digest
}

// not is the set of VIPs that a member in this state cannot hold: those that its configuration lacks or gives another meaning, and those that it says it
// cannot.
func (e *eligibility) not(st State) placement.Set {
	set := e.lacks(st)
	if len(st.Cannot) == 0 {
		return set
	}
	if e.index == nil {
		e.index = indexOf(e.meaning)
	}
	set = slices.Clone(set)
	for _, vip := range st.Cannot {
		if i, ok := e.index[vip]; ok {
			set.Add(i)
		}
	}
	return set
}

// lacks is the part of it that the configuration decides. It is shared, and not to be changed.
func (e *eligibility) lacks(st State) placement.Set {
	if set, ok := e.lacking[st.Digest]; ok {
		return set
	}
	l, _ := e.v.layoutOf(st)
	here := l.VIPs // sorted by name, as meaning is, unless somebody else wrote it
	if !slices.IsSortedFunc(here, byName) {
		here = slices.SortedFunc(slices.Values(here), byName)
	}
	var set placement.Set
	for i, m := range e.meaning {
		for len(here) > 0 && here[0].Name < m.Name {
			here = here[1:]
		}
		if len(here) == 0 || here[0].Name != m.Name || !slices.Equal(here[0].Addresses, m.Addresses) {
			set.Add(i)
		}
	}
	if e.lacking == nil {
		e.lacking = map[string]placement.Set{}
	}
	e.lacking[st.Digest] = set
	return set
}

func byName(a, b LayoutVIP) int { return strings.Compare(a.Name, b.Name) }

// indexOf is the index of each name.
func indexOf(vips []LayoutVIP) map[string]int {
	index := make(map[string]int, len(vips))
	for i, vip := range vips {
		index[vip.Name] = i
	}
	return index
}
