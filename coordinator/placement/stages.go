package placement

// fewestMoves places the free VIPs so that as few as possible leave a live
// holder, narrows their rows and the room to what all such placements have in
// common, and returns the VIPs that still have a choice. The others are part
// of the load from here on.
func (t *table) fewestMoves(r room) []int32 {
	moved := false
	for _, v := range t.free {
		if t.home[v] != none && t.at[v] != t.home[v] {
			moved = true
			break
		}
	}
	if moved {
		t.bringHome(r)
	} else {
		for _, v := range t.free {
			if u := t.home[v]; u != none {
				clear(t.row(v))
				t.row(v).add(u)
			}
		}
	}
	var open []int32
	for _, v := range t.free {
		if t.row(v).single() {
			t.load[t.at[v]]++
		} else {
			open = append(open, v)
		}
	}
	return open
}

// bringHome finds the fewest moves when the load cannot be even without any.
// A VIP that no even load leaves at home has none as far as this is concerned.
func (t *table) bringHome(r room) {
	f := newFlow(len(t.nodes), 0, len(t.free), r, t.load)
	for i, v := range t.free {
		f.rows[i] = t.row(v)
		if u := t.home[v]; u != none && f.rows[i].has(u) {
			f.home[i], f.at[i] = u, u
		}
	}
	f.run()
	for i, v := range t.free {
		t.at[v] = f.at[i]
		f.narrow(i)
	}
	f.narrowRoom()
}

// fewestPairs places the open VIPs so that as few as possible share a tag and
// a node.
func (t *table) fewestPairs(open []int32, r room) {
	layers := t.readTags(open)
	if layers == 0 {
		return
	}
	f := newFlow(len(t.nodes), layers, len(open), r, t.load)
	for i, v := range open {
		f.rows[i] = t.row(v)
		f.layer[i] = t.tag[v]
		t.at[v] = none
	}
	for v, layer := range t.tag {
		if u := t.at[v]; layer != 0 && u != none {
			f.count[int(layer)*len(t.nodes)+int(u)]++
		}
	}
	f.run()
	for i, v := range open {
		t.at[v] = f.at[i]
	}
}

// readTags numbers the tags of the open VIPs that another VIP has too, from 1
// on in the order of the VIPs, and returns how many there are.
func (t *table) readTags(open []int32) int {
	number := make(map[string]int32)
	for _, v := range open {
		if tag := t.spread(v); tag != "" {
			number[tag] = 0
		}
	}
	if len(number) == 0 {
		return 0
	}
	const once = -1
	t.tag = make([]int32, len(t.order))
	layers := 0
	for i := range t.order {
		v := int32(i)
		n, ok := number[t.spread(v)]
		switch {
		case !ok || t.at[v] == none:
		case n == 0:
			number[t.spread(v)] = once
		case n == once:
			layers++
			number[t.spread(v)] = int32(layers)
		}
	}
	for i := range t.order {
		if t.at[i] != none {
			t.tag[i] = max(number[t.spread(int32(i))], 0)
		}
	}
	return layers
}

func (t *table) spread(v int32) string { return t.in.VIPs[t.order[v]].Spread }
