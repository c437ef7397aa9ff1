package plan

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Note is something an operator may want to know: a line of history, and of the log.
type Note struct {
	VIP, Node, What, Why string
	Cause                string // of a VIP that was claimed or transferred: why, in one of a few words, for those who count
	Grade                Grade
}

// Grade is how much an operator wants to know of it.
type Grade int

const (
	News   Grade = iota // what has changed here
	Detail              // a step on the way, or what another node says for itself
	Alarm               // something is not as it should be
)

func (v *View) note(vip, what, why string)   { v.graded(News, vip, what, why) }
func (v *View) detail(vip, what, why string) { v.graded(Detail, vip, what, why) }
func (v *View) alarm(vip, what, why string)  { v.graded(Alarm, vip, what, why) }

func (v *View) graded(g Grade, vip, what, why string) {
	v.notes = append(v.notes, Note{VIP: vip, Node: v.cfg.Node, What: what, Why: why, Grade: g})
}

// Notes returns what happened since the last call.
func (v *View) Notes() []Note {
	n := v.notes
	v.notes = nil
	return n
}

// orders are what operators have asked for, as it was last noted.
type orders struct {
	drains, pins map[string]Intent
	frozen       *Intent
	balance      int64
}

// noteOrders notes what operators have asked for since, or taken back: else nobody could tell from the log why VIPs move.
func (v *View) noteOrders() {
	was, now := v.orders, orders{v.etcd.drains, v.etcd.pins, v.etcd.frozen, v.etcd.balance.mod}
	first := was.drains == nil
	v.notePairs(was.drains, now.drains, func(node string, i *Intent) {
		n := Note{Node: node, What: "undrained", Why: "it is given VIPs again", Grade: Detail}
		if i != nil {
			n.What, n.Why = "drained", i.Said()
		}
		if node == v.cfg.Node {
			n.Grade = News
		}
		if !first || node == v.cfg.Node {
			v.notes = append(v.notes, n)
		}
	})
	v.notePairs(was.pins, now.pins, func(vip string, i *Intent) {
		if first {
			return
		}
		if i != nil {
			v.detail(vip, "pinned", "to "+i.Node+" "+i.Said())
		} else {
			v.detail(vip, "unpinned", "it is placed like others")
		}
	})
	switch {
	case was.frozen == nil && now.frozen != nil:
		v.note("", "frozen", now.frozen.Said()+": nothing is moved")
	case was.frozen != nil && now.frozen == nil:
		v.note("", "unfrozen", "what is due is moved")
	}
	if now.balance > was.balance && !first {
		v.detail("", "balance", "asked for "+v.etcd.balance.Said())
	}
	v.orders = orders{maps.Clone(now.drains), maps.Clone(now.pins), now.frozen, now.balance}
}

// isOrder tells whether the key holds what an operator asked for, as far as noteOrders goes.
func isOrder(key string) bool {
	kind, _, _ := strings.Cut(key, "/")
	return kind == "drains" || kind == "pins" || kind == "frozen" || kind == "balance"
}

// notePairs tells say of each name that came, with its intent, and of each that went, with nil, in order.
func (v *View) notePairs(was, now map[string]Intent, say func(name string, i *Intent)) {
	for _, name := range sortedKeys(was) {
		if _, ok := now[name]; !ok {
			say(name, nil)
		}
	}
	for _, name := range sortedKeys(now) {
		if i := now[name]; was[name].At != i.At || was[name].Node != i.Node {
			say(name, &i)
		}
	}
}

// silentAfter is how long etcd is silent before that is worth a line: checks are lost now and then.
const silentAfter = time.Second

// noteSilence notes that no check has been answered well for a while.
func (v *View) noteSilence(err error, now time.Duration) {
	s := &v.self
	if s.silent || !s.good.have || now-s.good.t0 < silentAfter {
		return
	}
	s.silent = true
	why := fmt.Sprintf("no good answer for %.1f s: %v", (now - s.good.t0).Seconds(), err)
	if left := v.Authority() - now; left > 0 {
		why += fmt.Sprintf("; the addresses go in %.1f s if that lasts", left.Seconds())
	}
	v.alarm("", "etcd silent", why)
}

// noteAnswer notes the end of a silence of etcd's; before is the last good check before.
func (v *View) noteAnswer(before, now time.Duration) {
	if v.self.silent {
		v.self.silent = false
		v.note("", "etcd answers", fmt.Sprintf("after %.1f s", (now-before).Seconds()))
	}
}

// noteState notes what this node says of itself, when that has changed.
func (v *View) noteState(is State) {
	switch {
	case v.self.said == is.State || is.State == StateLeaving:
	case is.State == StateReady:
		v.note("", "ready", fmt.Sprintf("registered and healthy for %v", v.cfg.Mature))
	case v.self.said == StateReady:
		v.alarm("", "not ready", is.Why)
	}
	v.self.said = is.State
}
