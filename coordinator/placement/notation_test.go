package placement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parse reads a state from a short notation. Members: "a", "b!" not ready, "c*2"
// weight 2, "d:v1,v2" can hold only these, "e:" none. VIPs: "v1", and then, in
// any order, "@a" holder, "^a" pin, ">a,b" preferences, "#t" spread tag.
func parse(members, vips string) Input {
	in := Input{Failback: true, MovesPerRound: All}
	index := map[string]int{}
	for i, s := range strings.Fields(vips) {
		name, rest := cut(s, "@^>#")
		v := VIP{Name: name}
		for rest != "" {
			var value string
			kind := rest[0]
			value, rest = cut(rest[1:], "@^>#")
			switch kind {
			case '@':
				v.Holder = value
			case '^':
				v.Pin = value
			case '>':
				v.Prefer = strings.Split(value, ",")
			case '#':
				v.Spread = value
			}
		}
		in.VIPs = append(in.VIPs, v)
		index[name] = i
	}
	for _, s := range strings.Fields(members) {
		s, list, limited := strings.Cut(s, ":")
		name, rest := cut(s, "!*")
		m := Member{Node: name, Ready: !strings.HasSuffix(rest, "!"), Weight: 1}
		if w, ok := strings.CutPrefix(strings.TrimSuffix(rest, "!"), "*"); ok {
			m.Weight, _ = strconv.Atoi(w)
		}
		if limited {
			can := strings.Split(list, ",")
			for v, i := range index {
				if !slices.Contains(can, v) {
					m.Cannot.Add(i)
				}
			}
		}
		in.Members = append(in.Members, m)
	}
	return in
}

func cut(s, chars string) (before, rest string) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// format writes a plan as "v1=a v2=b; v2 a>b balance 1; -v3".
func format(p Plan) string {
	var parts, assign []string
	for _, a := range p.Assign {
		assign = append(assign, a.VIP+"="+a.Node)
	}
	if len(assign) > 0 {
		parts = append(parts, strings.Join(assign, " "))
	}
	for _, m := range p.Moves {
		parts = append(parts, fmt.Sprintf("%s %s>%s %s %d", m.VIP, m.From, m.To, m.Why, m.Round))
	}
	for _, v := range p.Unplaced {
		parts = append(parts, "-"+v)
	}
	return strings.Join(parts, "; ")
}
