package sentinel

import (
	"slices"
	"time"
)

// accuse decides about the wards that are silent.
func (d *decision) accuse() {
	m := d.m
	for i := range m.view.Challenges { // of this node's, those whose grounds are gone
		s := &m.view.Challenges[i]
		if s.By.Node == m.view.Me.Node && m.ward(s.Ward) == nil && !m.gone(s.Ward) {
			d.cancel(s, "its claim has changed")
		}
	}
	for _, l := range m.byName() {
		for _, t := range l.sorted() {
			if t.ward {
				d.judge(l, t)
			}
		}
	}
}

// ward finds the ward of this registration, on any interface.
func (m *Machine) ward(r Ref) *target {
	for _, l := range m.byName() {
		if t := l.targets[key{ref: r}]; t != nil && t.ward {
			return t
		}
	}
	return nil
}

// judge: one ward.
func (d *decision) judge(l *link, t *target) {
	m := d.m
	i := slices.IndexFunc(m.view.Challenges, func(s Standing) bool { return s.Ward == t.ref })
	switch {
	case i < 0:
		if d.proved(l, t) && d.allowed(l, t) {
			d.order(Challenge{Ward: t.ref, VIP: t.vip, Mod: t.mod})
		}
	case m.view.Challenges[i].By.Node == m.view.Me.Node:
		d.pursue(l, t, &m.view.Challenges[i])
	case !slices.Contains(m.view.Challenges[i].Consents, m.view.Me.Node):
		if d.proved(l, t) && d.at(t.silent+max(m.cfg.Terms().Silence, t.terms.Silence)*7/10) { // by then the ward, if it lives, knows that it is not asked [F4]
			d.order(Consent{Ward: t.ref, Mod: m.view.Challenges[i].Mod})
		}
	case t.misses == 0: // [F2]
		d.order(Dissent{Ward: t.ref, Mod: m.view.Challenges[i].Mod})
	}
}

// proved tells whether the ward's silence is its own: enough questions were lost, and a witness answered meanwhile.
func (d *decision) proved(l *link, t *target) bool {
	m := d.m
	if t.misses < m.cfg.Misses || l.lost || m.view.Me.Rev == 0 || d.now-m.view.Confirmed > viewMost { // [F9]
		return false
	}
	return l.witness(t, t.silent, min(max(m.cfg.Misses-1, 1), streakMost))
}

// witness tells whether another host on the link has answered so often since an instant [F10].
func (l *link) witness(ward *target, since time.Duration, answers int) bool {
	for _, t := range l.targets {
		if t.ref.Node != ward.ref.Node && t.since(since) >= answers {
			return true
		}
	}
	return false
}

// allowed tells whether a challenge may be made now [F8, F11].
func (d *decision) allowed(l *link, t *target) bool {
	m := d.m
	if !d.at(m.backoff[t.ref.Node].until) {
		return false
	}
	if m.evicted >= 0 && t.silent > m.evicted && !d.at(m.evicted+evictEvery) {
		return false
	}
	silent, all := m.recently(d.now), 1+m.recently(d.now)
	for _, o := range l.targets {
		if o.ref.Node == "" {
			continue
		}
		all++
		if o.misses >= min(m.cfg.Misses, 2) {
			silent++
		}
	}
	if all > 2 && 2*silent >= all {
		d.at(d.now + m.cfg.Interval)
		return false
	}
	return true
}

// pursue: this node has challenged the ward.
func (d *decision) pursue(l *link, t *target, s *Standing) {
	m := d.m
	terms := Terms{Grace: max(m.cfg.Grace, t.terms.Grace), Silence: max(m.cfg.Terms().Silence, t.terms.Silence)}
	if t.misses == 0 || t.answered > s.Seen { // [F2]
		d.cancel(s, "it answers")
		return
	}
	end := max(s.Seen+terms.Grace, t.silent+terms.Silence)
	if !d.at(end) {
		return
	}
	agreed := len(m.view.ring()) < 3 || len(s.Consents) > 0 // [F11]
	switch {
	case s.Read && agreed && d.proved(l, t) && l.witness(t, s.Seen, 1):
		m.evicted = d.now
		d.order(Evict{Ward: t.ref, Mod: s.Mod, Terms: terms})
	case d.at(end + patience):
		d.cancel(s, "etcd, the witness or the other guard do not confirm it")
	}
}

func (d *decision) cancel(s *Standing, why string) {
	if !d.m.over[s.Ward] {
		d.m.over[s.Ward] = true
		d.m.back(s.Ward.Node, d.now, false)
	}
	d.order(Cancel{Ward: s.Ward, Mod: s.Mod, Why: why})
}

// refute: this node is challenged.
func (d *decision) refute() {
	m, a := d.m, d.m.view.Accused
	l := m.links[a.Link]
	if a.Mod == 0 || l == nil {
		return
	}
	for _, t := range l.targets {
		if t.answered >= m.accused && t.answered > 0 {
			d.order(Refute{Mod: a.Mod})
			return
		}
	}
	if d.at(m.accused + m.cfg.Grace/2) {
		l.lose()
	}
}
