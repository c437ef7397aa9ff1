package sentinel

import "slices"

func (m *Machine) byName() []*link { return m.order }

// basis tells whether the link has a witness: a host that is no member, or two members. Measured from the last contact, so that it stays as it was while
// nobody is heard.
func (l *link) basis() bool {
	nodes := map[string]bool{}
	for _, t := range l.targets {
		if t.answered == 0 || l.contact-t.answered > basisMost {
			continue
		}
		if t.ref.Node == "" {
			return true
		}
		nodes[t.ref.Node] = true
	}
	return len(nodes) >= 2
}

func (l *link) lose() {
	if !l.lost {
		l.lost, l.back = true, 0
	}
}

// contact decides whether this node is cut off on a link [F4].
func (d *decision) contact(l *link) {
	m := d.m
	fast := slices.ContainsFunc(m.view.Own, func(o Own) bool { return o.Link == l.name && o.Fast })
	silent := l.contact + m.cfg.quarantine()
	switch {
	case l.contact == 0:
	case !m.view.others() && !l.held && !l.strangers(d.now):
		l.lost = false // nobody is there to be in the way
	case l.lost:
		if l.back > 0 && d.now >= silent {
			l.back = 0
		}
		if l.back > 0 && d.at(l.back+stable) {
			l.lost = false
		}
	case !l.told.Basis && !fast:
	case m.late > 0 && d.now-m.late < m.cfg.Interval: // what was heard meanwhile may not have been read yet
		d.at(m.late + m.cfg.Interval)
	case d.at(silent):
		l.lose()
	}
}

// report tells what has changed.
func (d *decision) report() {
	for _, l := range d.m.byName() {
		now := Contact{Link: l.name, Basis: l.told.Basis, Lost: l.lost, Unasked: l.unasked, At: d.now}
		if !l.lost {
			now.Basis = l.basis()
		}
		if now.Basis != l.told.Basis || now.Lost != l.told.Lost || now.Unasked != l.told.Unasked {
			l.told = now
			d.do(now)
		}
	}
}
