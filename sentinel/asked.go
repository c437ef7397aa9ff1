package sentinel

import (
	"slices"
	"time"
)

// questioned: somebody asked this node, and counts if it is a guard. A host that is no member asks for other reasons, and so does a member that guards
// others and needs a witness. Only the question before counts: the port may have gone before the answer to this one left.
func (m *Machine) questioned(l *link, f Questioned, now time.Duration) {
	if !m.view.others() {
		l.stranger = now
	}
	asker := slices.IndexFunc(l.order, func(t *target) bool { return f.MAC != (MAC{}) && t.mac == f.MAC && t.ref.Node != "" })
	if asker < 0 && f.Sure || asker >= 0 && slices.Contains(m.guards, l.order[asker].ref.Node) {
		l.asked, l.question = l.question, now
	}
}

// strangers tells whether somebody guards this node of whom it has not heard from etcd: its view lags.
func (l *link) strangers(now time.Duration) bool {
	return l.stranger > 0 && now < l.stranger+unaskedMost
}

// unasked decides whether this node's guards may have stopped hearing it [F4]. That it hears somebody proves little, for its port may come and go between
// their questions, or the LAN may have fallen apart: what the guards go by are their own questions, and those that reached this node were answered. It
// counts from when they asked before, or from when they should have begun, where they have ever asked; and not for ever, for they may have reasons that this
// node does not know. When all members have lost their registrations there are no guards; those that are back have
// 172 ms by default to ask twice, half of what an eviction takes them. It is told before the quarantine is over, so that a check has time to answer.
func (d *decision) unasked(l *link) {
	m := d.m
	i := slices.IndexFunc(m.view.Own, func(o Own) bool { return o.Link == l.name && o.Fast })
	if i < 0 || len(m.guards) == 0 && !l.strangers(d.now) {
		l.unasked = false
		return
	}
	due := max(l.asked, m.view.Own[i].Since+settled, m.guarded-m.cfg.Unasked()) + m.cfg.quarantine() - m.cfg.Unasked()
	switch {
	case l.asked == 0 || d.at(due+unaskedMost):
		l.unasked = false
	case m.late > 0 && d.now-m.late < m.cfg.Interval: // what was asked meanwhile may not have been read yet
		d.at(m.late + m.cfg.Interval)
	default:
		if l.unasked = d.at(due); l.unasked { // a question ends it
			d.at(d.now + m.cfg.Interval/hearings)
		}
	}
}
