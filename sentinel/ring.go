package sentinel

import (
	"maps"
	"slices"
	"time"
)

// ring is the ready members that take part, by name.
func (v *Viewed) ring() []string {
	var names []string
	for _, x := range v.Members {
		if x.Ready && x.Fast {
			names = append(names, x.Node)
		}
	}
	slices.Sort(names)
	return names
}

// guards are the next two in the ring after the owner of a claim, whether it stands in the ring itself or not.
func guards(ring []string, owner string) []string {
	at, stands := slices.BinarySearch(ring, owner)
	n := len(ring)
	if stands {
		at, n = at+1, n-1
	}
	var out []string
	for i := range min(n, 2) {
		out = append(out, ring[(at+i)%len(ring)])
	}
	return out
}

// arrange decides whom this node asks on each interface: what is known of those that stay is kept.
func (m *Machine) arrange(now time.Duration) {
	m.arranged, m.settles = true, never
	ring := m.view.ring()
	nobody := len(m.guards) == 0
	if m.guards = guards(ring, m.view.Me.Node); nobody && len(m.guards) > 0 {
		m.guarded = now
	}
	chosen := map[string]map[key]*target{}
	at := func(link string) map[key]*target {
		if chosen[link] == nil {
			chosen[link] = map[key]*target{}
		}
		return chosen[link]
	}
	for _, o := range m.view.Own {
		at(o.Link)
	}
	for _, h := range m.view.Witnesses {
		at(h.Link)[key{addr: h.Addr}] = &target{key: key{addr: h.Addr}, Host: h}
	}
	for i := range m.view.Claims {
		c := &m.view.Claims[i]
		if c.Owner.Node == m.view.Me.Node || c.Moving || m.gone(c.Owner) {
			continue
		}
		if due := c.Seen + settled; now < due {
			m.settles = min(m.settles, due)
			continue
		}
		m.choose(at(c.Link), c, ring)
	}
	for name, targets := range chosen {
		m.thin(targets)
		l := m.links[name]
		if l == nil {
			l = &link{name: name}
			m.links[name] = l
		}
		for k, t := range targets {
			if old := l.targets[k]; old != nil && old.Host == t.Host {
				old.vip, old.mod, old.terms, old.ward = t.vip, t.mod, t.terms, t.ward
				targets[k] = old
				continue
			}
			t.due = now
		}
		l.targets = targets
		l.sort()
	}
	for name, l := range m.links {
		if chosen[name] == nil {
			l.targets = nil
			l.sort()
		}
	}
	for _, o := range m.view.Own {
		l := m.links[o.Link]
		if l.held = o.Held; o.Held && l.contact == 0 {
			l.contact = now // what the process before heard is not known
		}
	}
	m.order = m.order[:0]
	for _, name := range slices.Sorted(maps.Keys(m.links)) {
		m.order = append(m.order, m.links[name])
	}
}

func (m *Machine) gone(r Ref) bool { _, fell := m.fallen[r]; return fell }

// choose makes the claim's owner a target by it, unless another of its claims is better or is asked for already: one with terms, whose owner this node may
// guard, goes first, then by name.
func (m *Machine) choose(targets map[key]*target, c *Claim, ring []string) {
	t := &target{key: key{ref: c.Owner}, Host: c.Host, vip: c.VIP, mod: c.Mod, terms: c.Terms}
	t.ward = c.Terms != Terms{} && m.view.Ready && m.fast(c.Owner) && slices.Contains(guards(ring, c.Owner.Node), m.view.Me.Node)
	other := targets[t.key]
	better := other == nil || t.ward && !other.ward
	if !better && t.ward == other.ward {
		known := m.known(c.Link, t.key)
		better = known != nil && known.Host == t.Host || (known == nil || known.Host != other.Host) && t.vip < other.vip
	}
	if better {
		targets[t.key] = t
	}
}

// fast tells whether the registration takes part, as far as is known: its terms say so when it is gone [F7].
func (m *Machine) fast(r Ref) bool {
	for _, x := range m.view.Members {
		if x.Ref == r {
			return x.Fast
		}
	}
	return true
}

func (m *Machine) known(link string, k key) *target {
	if l := m.links[link]; l != nil {
		return l.targets[k]
	}
	return nil
}

// thin leaves the wards, the hosts, and the first few of the other members that come after this node in the ring.
func (m *Machine) thin(targets map[key]*target) {
	var after, before []key
	for k, t := range targets {
		switch {
		case t.ward || k.ref.Node == "":
		case k.ref.Node > m.view.Me.Node:
			after = append(after, k)
		default:
			before = append(before, k)
		}
	}
	byName := func(a, b key) int {
		switch {
		case a.ref.Node != b.ref.Node && a.ref.Node < b.ref.Node:
			return -1
		case a.ref.Node != b.ref.Node:
			return 1
		}
		return int(a.ref.Rev - b.ref.Rev)
	}
	slices.SortFunc(after, byName)
	slices.SortFunc(before, byName)
	others := append(after, before...)
	for _, k := range others[min(members, len(others)):] {
		delete(targets, k)
	}
}

// others tells whether another member is registered.
func (v *Viewed) others() bool {
	return slices.ContainsFunc(v.Members, func(x Member) bool { return x.Node != v.Me.Node })
}

// recently lists the registrations that fell within evictEvery.
func (m *Machine) recently(now time.Duration) int {
	n := 0
	for _, at := range m.fallen {
		if now-at < evictEvery {
			n++
		}
	}
	return n
}
