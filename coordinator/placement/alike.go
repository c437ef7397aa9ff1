package placement

// alike groups the free VIPs without a live holder that could change places: those that may be on the same nodes and have the same tag. It looks at the
// rows before they are narrowed.
func (t *table) alike() [][]int32 {
	var groups [][]int32
	index := map[string]int{}
	var key []byte
	for _, v := range t.free {
		if t.home[v] != none {
			continue
		}
		key = key[:0]
		for _, w := range t.row(v) {
			for shift := 0; shift < 64; shift += 8 {
				key = append(key, byte(w>>shift))
			}
		}
		key = append(key, t.spread(v)...)
		i, ok := index[string(key)]
		if !ok {
			i = len(groups)
			index[string(key)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], v)
	}
	return groups
}

// arrange gives every VIP of a group a place of the group, such that it depends on as little else as possible: the first that is left from the node on that
// its own number names. When some of them have been put where this says, the others get the same places again: nodes that plan one after the other, while
// VIPs are being claimed, do not want the same ones.
func (t *table) arrange(group []int32) {
	if len(group) < 2 {
		return
	}
	n := int32(len(t.nodes))
	left := make([]int32, n)
	for _, v := range group {
		left[t.at[v]]++
	}
	for _, v := range group {
		u := v % n
		for left[u] == 0 {
			u = (u + 1) % n
		}
		t.at[v] = u
		left[u]--
	}
}
