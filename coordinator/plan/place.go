package plan

import (
	"slices"
	"time"

	"viplease/coordinator/placement"
)

// placed is the placement of the view, kept until something that it depends on changes.
type placed struct {
	assign   map[string]string // by VIP
	moves    map[string]placement.Move
	waiting  []placement.Move // those that wait for rounds, in the order of their turns
	unplaced map[string]bool
	agreed   bool            // all ready members plan alike
	disputed map[string]bool // VIPs that configurations give different addresses

	names map[string]map[string][]string // see namesIn
}

// ready tells whether the member may be given VIPs, as everybody sees it.
func (v *View) ready(node string) bool {
	_, drained := v.etcd.drains[node]
	_, member := v.etcd.members[node]
	return member && !drained && v.etcd.states[node].State.State == StateReady
}

// placement plans who should hold what, by what etcd was last seen to hold and nothing else: every node comes to the same.
func (v *View) placement() *placed {
	if v.placed != nil && v.clock < v.planDue() {
		return v.placed
	}
	p := &placed{assign: map[string]string{}, moves: map[string]placement.Move{}, unplaced: map[string]bool{}, agreed: true, disputed: map[string]bool{}}
	out := placement.Place(v.placementInput(p))
	for _, a := range out.Assign {
		p.assign[a.VIP] = a.Node
	}
	for _, m := range out.Moves {
		p.moves[m.VIP] = m
		if m.Round > 0 && !p.disputed[m.VIP] {
			p.waiting = append(p.waiting, m)
		}
	}
	v.seated(p)
	for _, vip := range out.Unplaced {
		p.unplaced[vip] = true
	}
	v.unsettle(v.placed, p)
	v.placed, v.age, v.plannedAt = p, fresh, v.clock
	return p
}

// reclaimed is told of a claim that has another value than before. An offer, an accept and most re-stamps say nothing new about who holds what, and there
// are hundreds of them while many VIPs move.
func (v *View) reclaimed(vip string, before claim) {
	after := v.etcd.claims[vip]
	_, asked := v.etcd.moves[vip]
	if before.valid() != after.valid() || before.owner() != after.owner() || !slices.Equal(before.Addresses, after.Addresses) ||
		before.Stay != after.Stay || before.Moved != after.Moved || asked && before.To != after.To {
		v.replanFor(touched{claims: []string{vip}})
	}
}

// uniform tells whether no address can go by two names: every member configures what this node does, and every claim is of a VIP that it configures.
func (v *View) uniform() bool {
	if v.plain == nil {
		plain := true
		for _, st := range v.etcd.states {
			plain = plain && st.Digest == v.digest
		}
		for vip, c := range v.etcd.claims {
			plain = plain && v.isPlain(vip, c)
		}
		v.plain = &plain
	}
	return *v.plain
}

func (v *View) isPlain(vip string, c claim) bool {
	return !c.valid() || c.Node == "" || v.vipHere(vip) && v.means(vip, c)
}

// otherName tells under which other name, in a claim older than the given mod revision whose owner is not gone for long, an address of the VIP stands.
func (v *View) otherName(vip string, before int64, now time.Duration) string {
	if v.uniform() {
		return ""
	}
	mine := v.texts[vip]
	for other, c := range v.etcd.claims {
		if other == vip || !c.valid() || c.Node == "" || c.mod >= before || !slices.ContainsFunc(c.Addresses, func(a string) bool { return slices.Contains(mine, a) }) {
			continue
		}
		if since, gone := v.evidence.gone[c.owner()]; !gone || now < since+max(v.cfg.Wait, c.wait()) {
			return "its address is claimed as " + other
		}
	}
	return ""
}

// PlacementInput is what this node plans with now.
func (v *View) PlacementInput() placement.Input {
	return v.placementInput(&placed{disputed: map[string]bool{}})
}

func (v *View) placementInput(p *placed) placement.Input {
	in := placement.Input{Failback: v.cfg.Failback, MovesPerRound: v.cfg.MovesPerRound, Frozen: v.etcd.frozen != nil}
	meaning := v.meanings(p)
	in.VIPs = make([]placement.VIP, 0, len(meaning))
	for _, m := range meaning {
		vip, c := m.Name, v.etcd.claims[m.Name]
		x := placement.VIP{Name: vip, Prefer: m.Prefer, Spread: m.Spread}
		if c.valid() && v.etcd.alive(c.owner()) {
			x.Holder = c.Node
		}
		in.VIPs = append(in.VIPs, x)
	}
	can := v.eligible(meaning)
	for _, node := range sortedKeys(v.etcd.members) {
		st := v.etcd.states[node].State
		m := placement.Member{Node: node, Weight: st.Weight, Ready: v.ready(node) && !(node == v.cfg.Node && v.self.leaving)}
		p.agreed = p.agreed && (!m.Ready || st.Digest == v.digest && st.Planner == Planner)
		l, known := v.layoutOf(st)
		m.Cannot = can.not(node, st, l, known)
		if _, drained := v.etcd.drains[node]; st.State == StateJoining && !drained {
			v.keeps(node, &m, in.VIPs)
		}
		in.Members = append(in.Members, m)
	}
	v.heed(&in)
	v.recovering(&in)
	v.seats(&in)
	return in
}

// rivalName tells whether an address of the VIP goes by another name: in a live claim, or in the configuration of a live member. While names are
// being changed, an address is taken under neither; its holder keeps it until the files agree. A member whose configuration is not known yet counts as one
// that differs; it is joining, and says it at once.
func (v *View) rivalName(vip string, now time.Duration) (why string) {
	if why := v.otherName(vip, never64, now); why != "" {
		return why
	}
	p := v.placement()
	for node := range v.etcd.members {
		st, said := v.etcd.states[node].State, v.etcd.states[node].mod > 0
		l, known := v.layoutOf(st)
		switch {
		case said && !known:
			return "the configuration of " + node + " is not known yet"
		case st.Digest == v.digest:
			continue
		}
		names := p.namesIn(st.Digest, l)
		for _, a := range v.texts[vip] {
			if i := slices.IndexFunc(names[a], func(n string) bool { return n != vip }); i >= 0 {
				return node + " knows its address as " + names[a][i]
			}
		}
	}
	return ""
}

// namesIn is every name that a configuration has for an address. It is made once for all VIPs and all members that run it: whoever writes to etcd must not
// be able to make that the product of the three.
func (p *placed) namesIn(digest string, l Layout) map[string][]string {
	if names, ok := p.names[digest]; ok {
		return names
	}
	names := map[string][]string{}
	for _, vip := range l.VIPs {
		for _, a := range vip.Addresses {
			names[a] = append(names[a], vip.Name)
		}
	}
	if p.names == nil {
		p.names = map[string]map[string][]string{}
	}
	p.names[digest] = names
	return names
}

// layoutOf is the configuration that a member runs, if it is known.
func (v *View) layoutOf(st State) (Layout, bool) {
	if st.Digest == v.digest {
		return v.layout, true
	}
	l, ok := v.etcd.layouts[st.Digest]
	return l, ok
}

// keeps lets a member that is joining keep what it holds, and gives it nothing more: after etcd was away from everybody, everybody comes back as joining
// with its claims, and nothing needs to move.
func (v *View) keeps(node string, m *placement.Member, vips []placement.VIP) {
	cannot := placement.Set{}
	for i, vip := range vips {
		if vip.Holder != node || m.Cannot.Has(i) {
			cannot.Add(i)
		} else {
			m.Ready = true
		}
	}
	if m.Ready {
		m.Cannot = cannot
	}
}

// meanings says what every VIP name means: what its claim says, else what the configuration of the first member by name says. A name with two meanings
// is disputed: it stays where it is until the files agree.
func (v *View) meanings(p *placed) []LayoutVIP {
	out := make([]LayoutVIP, 0, len(v.layout.VIPs))
	var known map[string]int // index in out; the first configuration names nothing twice
	add := func(l Layout) {
		for _, vip := range l.VIPs {
			if i, ok := known[vip.Name]; ok {
				p.disputed[vip.Name] = p.disputed[vip.Name] || !slices.Equal(out[i].Addresses, vip.Addresses)
				continue
			}
			if c := v.etcd.claims[vip.Name]; c.valid() && len(c.Addresses) > 0 && !slices.Equal(c.Addresses, vip.Addresses) {
				p.disputed[vip.Name] = v.etcd.alive(c.owner())
				if p.disputed[vip.Name] {
					vip.Addresses = c.Addresses
				}
			}
			if known != nil {
				known[vip.Name] = len(out)
			}
			out = append(out, vip)
		}
	}
	seen := map[string]bool{v.digest: true}
	add(v.layout)
	for _, node := range sortedKeys(v.etcd.members) {
		st := v.etcd.states[node].State
		if l, ok := v.layoutOf(st); ok && v.ready(node) && !seen[st.Digest] {
			seen[st.Digest] = true
			if known == nil {
				known = indexOf(out)
			}
			add(l)
		}
	}
	slices.SortFunc(out, byName)
	return out
}

// move returns the move that this node should offer for a VIP it holds.
func (d *decision) move(vip string) (placement.Move, bool) {
	v := d.v
	p := v.placement()
	m, ok := p.moves[vip]
	if !ok || m.From != v.cfg.Node || m.To == v.cfg.Node || !v.ready(m.To) {
		return m, false
	}
	if m.Round > 0 && (!p.agreed || v.etcd.frozen != nil || p.disputed[vip]) {
		return m, false
	}
	if until, ok := v.local[vip].shunned[m.To]; ok && m.Why != moveAsked && !d.at(until) {
		return m, false
	}
	return m, true
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
