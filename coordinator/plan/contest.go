package plan

import (
	"fmt"
	"slices"
	"time"

	"viplease/sentinel"
)

// ContestKind is what a Contest does.
type ContestKind string

// The kinds of Contest.
const (
	ToChallenge ContestKind = "challenge" // a ward that does not answer
	ToConsent   ContestKind = "consent"   // to another guard's challenge
	ToDissent   ContestKind = "dissent"   // this node's consent is taken back
	ToCancel    ContestKind = "cancel"    // this node's challenge
	ToRefute    ContestKind = "refute"    // a challenge against this node
	ToEvict     ContestKind = "evict"     // the ward
)

// Guard is a condition on one key. It holds when the revision looked at is Rev or, with Not, is anything but Rev. 0: the key is absent.
type Guard struct {
	Key     string
	Created bool // the revision that created it counts, else that of its last write
	Rev     int64
	Not     bool
}

// foldSentinel makes what the sentinel wants a transaction, if this view agrees. What it looked at is in the guards: etcd decides.
func (v *View) foldSentinel(a sentinel.Action, now time.Duration) {
	switch a := a.(type) {
	case sentinel.Contact:
		v.foldContact(a, now)
	case sentinel.Challenge:
		v.contest(v.challenge(a))
	case sentinel.Consent:
		v.contest(v.consent(a))
	case sentinel.Dissent:
		v.contest(v.dissent(a))
	case sentinel.Cancel:
		v.contest(v.cancel(a))
	case sentinel.Evict:
		v.contest(v.evict(a))
	case sentinel.Refute:
		v.contest(v.refute(a))
	default:
		panic(fmt.Sprintf("plan: unknown decision of the sentinel %T", a))
	}
}

// contest puts a transaction in the queue, unless it is nil or the same is under way.
func (v *View) contest(c *Contest) {
	if c == nil || v.fast.busy[c.String()] || v.self.phase != registered || v.self.adopted || !v.etcd.synced {
		return
	}
	c.MemberRev = v.self.reg.MemberRev
	v.fast.busy[c.String()] = true
	v.fast.queue = append(v.fast.queue, *c)
}

// contests emits what is in the queue.
func (d *decision) contests() {
	for _, c := range d.v.fast.queue {
		d.do(c)
	}
	if c := d.groundless(); c != nil {
		d.do(*c)
	}
}

// groundless refutes a challenge that is about no VIP of this node: there is nothing on the LAN to look for, and an eviction on its account fails anyway, for
// a claim that is not this node's. Without that, whoever wrote it by mistake would keep authority from this node for as long as it stands.
func (d *decision) groundless() *Contest {
	v := d.v
	accusation, accused := v.accused()
	if c := v.etcd.claims[accusation.VIP]; !accused || v.self.adopted || v.mine(c) || v.own(c) || !d.at(v.fast.refuteAt) {
		return nil
	}
	c := v.refute(sentinel.Refute{Mod: accusation.mod})
	if c == nil || v.fast.busy[c.String()] {
		return nil
	}
	c.MemberRev = v.self.reg.MemberRev
	return c
}

// under notes that a contest is under way.
func (f *fast) under(c Contest, now time.Duration) {
	f.busy[c.String()] = true
	if c.Kind == ToRefute {
		f.refuteAt = now + writeRetry
	}
	f.queue = slices.DeleteFunc(f.queue, func(q Contest) bool { return q.String() == c.String() })
}

func (v *View) foldContest(f ContestAnswered) {
	delete(v.fast.busy, f.Contest.String())
	if !f.Applied {
		return
	}
	n := &v.fast.counts
	what := ""
	switch f.Contest.Kind {
	case ToChallenge:
		n.Challenges++
		what = "challenged"
	case ToConsent:
		n.Consents++
	case ToCancel:
		n.Cancelled++
	case ToRefute:
		n.Refuted++
		what = "refuted"
	case ToEvict:
		n.Evictions++
		what = "evicted"
	}
	switch {
	case f.Contest.Kind == ToRefute:
		v.note("", what, "a guard had not heard this node on the LAN")
		v.self.checkAt = 0 // the next check gives authority again
	case what != "":
		v.notes = append(v.notes, Note{Node: f.Contest.Ward, What: what, Why: "it does not answer on the LAN"})
	}
}

func (v *View) record(ward MemberRef, vip string, mod int64) []byte {
	return Encode(Challenge{V: Format, MemberRev: ward.MemberRev, VIP: vip, ClaimMod: mod, By: v.cfg.Node, ByRev: v.self.reg.MemberRev})
}

// memberAsSeen is the guard on a registration: it stands, or it does not [F7].
func (v *View) memberAsSeen(r MemberRef) Guard {
	return Guard{Key: "members/" + r.Node, Created: true, Rev: r.MemberRev, Not: !v.etcd.alive(r)}
}

func (v *View) challenge(a sentinel.Challenge) *Contest {
	ward, c := MemberRef{a.Ward.Node, a.Ward.Rev}, v.etcd.claims[a.VIP]
	if c.owner() != ward || c.mod != a.Mod || c.Fast == (Terms{}) || v.evicted(c) {
		return nil
	}
	if m, ok := v.etcd.states[ward.Node]; ok && v.etcd.alive(ward) && !m.Fast {
		return nil
	}
	key := "challenges/" + ward.Node
	return &Contest{
		Kind: ToChallenge, Ward: ward.Node,
		Guards: []Guard{{Key: key}, {Key: "claims/" + a.VIP, Rev: a.Mod}, v.memberAsSeen(ward)},
		Puts:   []Put{{Key: key, Value: v.record(ward, a.VIP, a.Mod), Lease: v.self.reg.Lease}},
	}
}

func (v *View) consent(a sentinel.Consent) *Contest {
	c, ok := v.etcd.challenges[a.Ward.Node]
	if !ok || c.mod != a.Mod || c.By == v.cfg.Node {
		return nil
	}
	key := "challenges/" + a.Ward.Node
	return &Contest{
		Kind: ToConsent, Ward: a.Ward.Node,
		Guards: []Guard{{Key: key, Rev: a.Mod}},
		Puts:   []Put{{Key: key + "/" + v.cfg.Node, Value: v.record(MemberRef{a.Ward.Node, a.Ward.Rev}, c.VIP, c.ClaimMod), Lease: v.self.reg.Lease}},
	}
}

// dissent takes this node's consent back: the eviction rests on it, and fails without.
func (v *View) dissent(a sentinel.Dissent) *Contest {
	c, ok := v.etcd.challenges[a.Ward.Node]
	rev, consented := c.consents[v.cfg.Node]
	if !ok || c.mod != a.Mod || !consented {
		return nil
	}
	key := "challenges/" + a.Ward.Node + "/" + v.cfg.Node
	return &Contest{Kind: ToDissent, Ward: a.Ward.Node, Guards: []Guard{{Key: key, Rev: rev}}, Deletes: []string{key}}
}

// ended are the keys of a challenge and what was consented to it.
func (v *View) ended(ward string) []string {
	keys := []string{"challenges/" + ward}
	for _, guard := range sortedKeys(v.etcd.challenges[ward].consents) {
		keys = append(keys, "challenges/"+ward+"/"+guard)
	}
	return keys[:min(len(keys), 6)]
}

func (v *View) cancel(a sentinel.Cancel) *Contest {
	c, ok := v.etcd.challenges[a.Ward.Node]
	if !ok || c.mod != a.Mod || c.By != v.cfg.Node {
		return nil
	}
	return &Contest{
		Kind: ToCancel, Ward: a.Ward.Node,
		Guards: []Guard{{Key: "challenges/" + a.Ward.Node, Rev: a.Mod}}, Deletes: v.ended(a.Ward.Node),
	}
}

// refute: this node is there. It may say so with the address up, or when the claim is not its own any more.
func (v *View) refute(a sentinel.Refute) *Contest {
	c, ok := v.accused()
	if l := v.local[c.VIP]; !ok || c.mod != a.Mod || l != nil && v.mine(v.etcd.claims[c.VIP]) && (!l.up || l.place.Why != "" || v.cutOff(l) != "") {
		return nil
	}
	return &Contest{
		Kind: ToRefute, Ward: v.cfg.Node,
		Guards: []Guard{{Key: "challenges/" + v.cfg.Node, Rev: a.Mod}}, Deletes: v.ended(v.cfg.Node),
	}
}

// evict ends the ward's registration. The challenge, the claim and the member are as they were seen.
func (v *View) evict(a sentinel.Evict) *Contest {
	c, ok := v.etcd.challenges[a.Ward.Node]
	ward := MemberRef{a.Ward.Node, a.Ward.Rev}
	if !ok || c.mod != a.Mod || c.By != v.cfg.Node || c.MemberRev != ward.MemberRev || c.ByRev != v.self.reg.MemberRev {
		return nil
	}
	e := Eviction{V: Format, MemberRev: ward.MemberRev, Kept: termsKept(a.Terms), By: v.cfg.Node, At: v.fast.wall, Count: 1}
	if last, again := v.etcd.evictions[ward.Node]; again && e.At.Sub(last.At) < calmAfter {
		e.Count = last.Count + 1
	}
	x := &Contest{
		Kind: ToEvict, Ward: ward.Node,
		Guards:  []Guard{{Key: "challenges/" + ward.Node, Rev: a.Mod}, {Key: "claims/" + c.VIP, Rev: c.ClaimMod}, v.memberAsSeen(ward)},
		Puts:    []Put{{Key: "evictions/" + ward.Node, Value: Encode(e)}},
		Deletes: v.ended(ward.Node),
	}
	for _, guard := range sortedKeys(c.consents) {
		x.Guards = append(x.Guards, Guard{Key: "challenges/" + ward.Node + "/" + guard, Rev: c.consents[guard]})
	}
	if v.etcd.alive(ward) {
		x.Deletes = append(x.Deletes, "members/"+ward.Node, "states/"+ward.Node)
	}
	return x
}

// hurry is what may shorten the wait for a claim.
type hurry int

const (
	none   hurry = iota // W applies
	asking              // the LAN is asked
	quiet               // its owner was evicted, and nobody answers for it
)

// quickly tells whether a claim may be taken because its owner was evicted. The LAN is asked first, for the guards may have heard less than this node
// does: when somebody answers, or nothing can be said, W applies [F5].
func (d *decision) quickly(vip string, c claim, l *local) hurry {
	v, q := d.v, l.quick
	switch {
	case !v.takesPart() || !v.evicted(c) || v.etcd.alive(c.owner()):
		return none
	case q.ref == c.owner() && q.busy:
		return asking
	case q.ref != c.owner() || !q.rival && d.now.Boot-q.at > quickMost:
		d.asks = append(d.asks, Item{VIP: vip, Addresses: l.place.Addresses, Fresh: true})
		return asking
	case q.rival:
		return none
	}
	return quiet
}

// termsKept are whole milliseconds that have passed.
func termsKept(t sentinel.Terms) Terms {
	return Terms{GraceMS: t.Grace.Milliseconds(), SilenceMS: t.Silence.Milliseconds()}
}
