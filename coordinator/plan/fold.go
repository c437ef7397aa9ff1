package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (v *View) foldSnapshot(f SnapshotRead, now time.Duration) {
	before := v.etcd
	if !v.etcd.replace(f) {
		v.wentBack(fmt.Sprintf("it is at revision %d of cluster %x after revision %d of cluster %x", f.Revision, f.Cluster, before.rev, before.cluster), now)
		v.etcd.replace(f)
		v.self.reread = false // it has been
	}
	if before.synced {
		for vip, c := range v.etcd.claims {
			v.changed(vip, before.claims[vip], c)
		}
	}
	v.replan()
	v.judge(now)
	v.standing(now)
	for _, node := range sortedKeys(before.neighbors) {
		if _, still := v.etcd.neighbors[node]; !still {
			v.departed(before.neighbors[node], now)
		}
	}
	if len(before.neighbors)+len(v.etcd.neighbors) > 0 {
		v.neighborsChanged(now)
	}
	v.noteOrders()
}

func (v *View) foldBatch(f BatchSeen, now time.Duration) {
	if !v.etcd.synced || f.Revision <= v.etcd.rev {
		return
	}
	v.etcd.rev = f.Revision
	v.fold(f.Changed, f.Deleted, now)
	v.standing(now)
	if slices.ContainsFunc(f.Changed, func(e Entry) bool { return isOrder(e.Key) }) || slices.ContainsFunc(f.Deleted, func(d Deleted) bool { return isOrder(d.Key) }) {
		v.noteOrders()
	}
}

// touched is what a batch of keys is about.
type touched struct {
	claims        []string
	nodes         []string // their states, or themselves
	comesOrGoes   bool     // one of the nodes, perhaps
	neighbors, or bool     // what other nodes see on their LANs; or something else
}

func (t *touched) add(key string) (vip string, isClaim bool) {
	switch kind, name, _ := strings.Cut(key, "/"); kind {
	case "claims":
		t.claims = append(t.claims, name)
		return name, true
	case "members":
		t.nodes, t.comesOrGoes = append(t.nodes, name), true
	case "states":
		t.nodes = append(t.nodes, name)
	case "neighbors":
		t.neighbors = true
	default:
		t.or = true
	}
	return "", false
}

// fold takes keys in, whose own revisions may be ahead of the view's.
func (v *View) fold(changed []Entry, deleted []Deleted, now time.Duration) {
	var t touched
	for _, e := range changed {
		vip, isClaim := t.add(e.Key) // also one that is known: the view may have caught up with it
		before := v.etcd.claims[vip]
		if !v.etcd.put(e) {
			continue
		}
		if isClaim {
			v.reclaimed(vip, before)
			v.changed(vip, before, v.etcd.claims[vip])
		} else {
			v.replanForKey(e.Key)
		}
	}
	for _, d := range deleted {
		vip, isClaim := t.add(d.Key)
		before := v.etcd.claims[vip]
		if node, ok := strings.CutPrefix(d.Key, "neighbors/"); ok {
			v.departed(v.etcd.neighbors[node], now)
		}
		v.etcd.remove(d.Key, d.Mod)
		v.replanForKey(d.Key)
		if isClaim {
			v.changed(vip, before, v.etcd.claims[vip])
		}
	}
	v.etcd.highest = max(v.etcd.highest, v.etcd.rev)
	if t.comesOrGoes {
		for vip, c := range v.etcd.claims {
			if slices.Contains(t.nodes, c.Node) {
				t.claims = append(t.claims, vip) // its owner may be gone
			}
		}
	}
	v.stir(t)
	v.judgeSome(t.claims, now)
	if t.neighbors {
		v.neighborsChanged(now)
	}
}

// judge brings everything up to date that follows from claims and members.
func (v *View) judge(now time.Duration) {
	v.evidence.judge(&v.etcd, v.vips, now)
	for vip := range v.vips {
		v.judgeOwner(vip, now)
	}
	v.judgeFast(now)
	for vip, c := range v.etcd.claims {
		v.accountFor(vip, c)
	}
}

// judgeSome is judge where only these claims may have changed.
func (v *View) judgeSome(claims []string, now time.Duration) {
	v.evidence.judgeSome(&v.etcd, v.vips, claims, now)
	v.judgeFast(now)
	for _, vip := range claims {
		v.judgeOwner(vip, now)
		v.accountFor(vip, v.etcd.claims[vip])
	}
}

// accountFor makes a claim of this node known to its own side: one that is not configured any more has to be given back [A7].
func (v *View) accountFor(vip string, c claim) {
	if v.mine(c) || v.own(c) {
		v.of(vip)
	}
}

// standing looks for this node's own member key in the view.
func (v *View) standing(now time.Duration) {
	m, ok := v.etcd.members[v.cfg.Node]
	if v.self.phase == registered && v.etcd.rev >= v.self.reg.MemberRev && (!ok || m.create != v.self.reg.MemberRev) {
		v.lapse("the member key of this registration is gone", now)
	}
}

// changed is told of every claim that may have changed.
func (v *View) changed(vip string, before, after claim) {
	l := v.local[vip]
	if l == nil || before.mod == after.mod && before.absent == after.absent {
		return
	}
	if before.valid() && before.Node != "" && before.Node != after.Node {
		if l.giver = before.Node; l.giver == v.cfg.Node {
			l.giver = ""
		}
	}
	if before.holds() && !after.holds() {
		l.lostAt = v.clock
		l.lost, l.lostWait = v.mine(before) || v.own(before), before.wait()
		if l.lost && l.some {
			v.alarm(vip, "claim lost", fmt.Sprintf("%s; writing it again", missing(after)))
		}
	}
	if after.holds() {
		l.lost = false
		if after.Node != before.Node && after.Node != "" && after.Node != v.cfg.Node {
			v.notes = append(v.notes, Note{VIP: vip, Node: after.Node, What: "claimed", Why: after.Why, Grade: Detail})
		}
	}
}

func missing(c claim) string {
	if c.foreign != nil {
		return "the claim was " + c.foreign.Error()
	}
	return "the claim was deleted"
}

// mine tells whether the claim is stamped with the registration that stands now [S1].
func (v *View) mine(c claim) bool {
	return c.valid() && v.self.phase == registered && c.MemberRev == v.self.reg.MemberRev && c.Node == v.cfg.Node && c.Reg == v.self.reg.ID
}

// own tells whether the claim is stamped with another registration of this node and boot: its addresses, if any are up, are up here.
func (v *View) own(c claim) bool {
	if !c.valid() || c.Node != v.cfg.Node || v.mine(c) {
		return false
	}
	for _, id := range v.self.known {
		if id == c.Reg {
			return true
		}
	}
	return false
}

func (v *View) foldCommitted(f ClaimsCommitted, now time.Duration) {
	v.wrote(nil)
	v.slotAnswered(f.Writes)
	v.emptied(f.Writes)
	if len(f.Writes) == 0 {
		v.self.mend, v.self.mending = false, false
	}
	for _, w := range f.Writes {
		l := v.of(w.VIP)
		l.write, l.giving = false, false
	}
	switch {
	case f.Highest > v.etcd.highest: // sent by a view that has been forgotten: it counts as unanswered
		for _, w := range f.Writes {
			l := v.of(w.VIP)
			l.doubt, l.writeAt = true, now+writeRetry
		}
		return
	case f.Revision < f.Highest:
		v.wentBack(fmt.Sprintf("a write was answered at revision %d after revision %d", f.Revision, f.Highest), now)
		return
	}
	v.etcd.highest = max(v.etcd.highest, f.Revision)
	if !f.Member {
		for _, w := range f.Writes {
			v.of(w.VIP).writeAt = now + writeRetry
		}
		if f.MemberRev == v.self.reg.MemberRev {
			v.lapse("the member key of this registration is gone", now)
		}
		return
	}
	var current []Entry // of the writes that were lost
	var written []string
	for i, w := range f.Writes {
		written = append(written, w.VIP)
		if !v.foldWrite(w, f.Results[i], f.Revision, now) {
			return
		}
		if r := f.Results[i]; !r.Won && r.Current != nil {
			current = append(current, *r.Current)
		}
	}
	v.fold(current, nil, now)
	v.judgeSome(written, now)
}

// emptied is told of every transaction that was answered, or will not be.
func (v *View) emptied(writes []ClaimWrite) {
	if slices.ContainsFunc(writes, func(w ClaimWrite) bool { return w.Kind == Empty }) {
		v.emptying = false
	}
}

// foldWrite takes in what came of one write. It returns false when that shows that the store went back.
func (v *View) foldWrite(w ClaimWrite, r WriteResult, revision int64, now time.Duration) bool {
	l, before := v.of(w.VIP), v.etcd.claims[w.VIP]
	learnt := v.foldSlot(w, r, revision)
	switch {
	case r.Won:
		l.doubt = false
		if w.Kind == Offer {
			l.offeredAt = now
		}
		v.won(w, before, revision, now)
	case r.Current != nil && r.Current.Mod < w.IfMod:
		v.wentBack(fmt.Sprintf("%s stands at revision %d after revision %d", r.Current.Key, r.Current.Mod, w.IfMod), now)
		return false
	case r.Current != nil:
		if r.Current.Mod <= before.mod && !learnt {
			l.writeAt = now + writeRetry // another condition failed, which the watch has yet to tell
		}
	case before.mod < revision:
		v.etcd.claims[w.VIP] = claim{absent: true, mod: revision}
		v.reclaimed(w.VIP, before)
		v.changed(w.VIP, before, v.etcd.claims[w.VIP])
	}
	return true
}

// won folds a write of our own: the watch repeats it, or was faster.
func (v *View) won(w ClaimWrite, before claim, revision int64, now time.Duration) {
	switch w.Kind {
	case Take:
		if w.Quick {
			v.of(w.VIP).defend = now + v.cfg.Wait
		}
		v.notes = append(v.notes, Note{VIP: w.VIP, Node: v.cfg.Node, What: "claimed", Why: w.Claim.Why, Cause: w.Cause, Grade: Detail})
	case Transfer:
		v.notes = append(v.notes, Note{VIP: w.VIP, Node: v.cfg.Node, What: "transferred", Why: "to " + w.Claim.Node + ": " + strings.TrimPrefix(w.Claim.Why, v.movedFromHere()), Cause: w.Cause})
	case Release:
		v.note(w.VIP, "released", w.Claim.Why)
	}
	if before.mod >= revision {
		return
	}
	after := claim{Claim: w.Claim, create: before.create, mod: revision, version: w.Claim.Writes}
	if w.IfMod == 0 {
		after.create = revision
	}
	v.etcd.claims[w.VIP] = after
	v.reclaimed(w.VIP, before)
	v.changed(w.VIP, before, after)
}

func (v *View) foldClaimsFailed(f ClaimsFailed, now time.Duration) {
	v.wrote(f.Err)
	v.slotAnswered(f.Writes)
	v.emptied(f.Writes)
	if len(f.Writes) == 0 {
		v.self.mending = false
	}
	for _, w := range f.Writes {
		l := v.of(w.VIP)
		l.doubt = l.doubt || f.InDoubt && l.giving // [S2]
		l.write, l.giving, l.writeAt = false, false, now+writeRetry
	}
}
