package plan

import (
	"slices"
	"strings"

	"viplease/coordinator/placement"
)

// eligibility is who can hold which VIP, by its index in meaning. It is kept from one placement to the next: as a rule no member has said anything new. What a
// configuration lacks is found once for all members that run it.
type eligibility struct {
	meaning []LayoutVIP              // what every VIP means, sorted by name
	index   map[string]int           // of a name in it; nil: not needed yet
	lacking map[string]placement.Set // by digest
	members map[string]ability       // by node
}

// ability is what a member cannot hold, and what it said then.
type ability struct {
	digest       string
	cannot, only []string
	set          placement.Set
}

// eligible returns the eligibility with these meanings.
func (v *View) eligible(meaning []LayoutVIP) *eligibility {
	same := func(a, b LayoutVIP) bool { return a.Name == b.Name && slices.Equal(a.Addresses, b.Addresses) }
	if e := v.eligibility; e == nil || !slices.EqualFunc(e.meaning, meaning, same) {
		v.eligibility = &eligibility{meaning: meaning, lacking: map[string]placement.Set{}, members: map[string]ability{}}
	}
	if e := v.eligibility; len(e.members) > 2*len(v.etcd.members)+16 { // most of them are gone
		clear(e.members)
	}
	return v.eligibility
}

// not is the set of VIPs that a member in this state cannot hold: those that its configuration l, if it is known, lacks or gives another meaning, and those
// that it says it cannot. It is shared, and not to be changed.
func (e *eligibility) not(node string, st State, l Layout, known bool) placement.Set {
	if !known {
		return e.lacks(l)
	}
	if a, ok := e.members[node]; ok && a.digest == st.Digest && isSame(a.cannot, st.Cannot) && isSame(a.only, st.Only) {
		return a.set
	}
	set, ok := e.lacking[st.Digest]
	if !ok {
		set = e.lacks(l)
		e.lacking[st.Digest] = set
	}
	set = e.says(st, set)
	e.members[node] = ability{st.Digest, st.Cannot, st.Only, set}
	return set
}

// says adds to the set what the member says it cannot hold.
func (e *eligibility) says(st State, set placement.Set) placement.Set {
	if len(st.Cannot) == 0 && st.Only == nil {
		return set
	}
	if e.index == nil {
		e.index = indexOf(e.meaning)
	}
	if st.Only != nil {
		lacking := set
		set = nil
		for i := range e.meaning {
			set.Add(i)
		}
		for _, vip := range st.Only {
			if i, ok := e.index[vip]; ok && !lacking.Has(i) {
				set.Del(i)
			}
		}
	} else {
		set = slices.Clone(set)
	}
	for _, vip := range st.Cannot {
		if i, ok := e.index[vip]; ok {
			set.Add(i)
		}
	}
	return set
}

// isSame tells whether two lists of a state, which are never changed, are one.
func isSame(a, b []string) bool {
	return len(a) == len(b) && (a == nil) == (b == nil) && (len(a) == 0 || &a[0] == &b[0])
}

// lacks is the part of it that the configuration decides.
func (e *eligibility) lacks(l Layout) (set placement.Set) {
	here := l.VIPs // sorted by name, as meaning is, unless somebody else wrote it
	if !slices.IsSortedFunc(here, byName) {
		here = slices.SortedFunc(slices.Values(here), byName)
	}
	for i, m := range e.meaning {
		for len(here) > 0 && here[0].Name < m.Name {
			here = here[1:]
		}
		if len(here) == 0 || here[0].Name != m.Name || !slices.Equal(here[0].Addresses, m.Addresses) {
			set.Add(i)
		}
	}
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
