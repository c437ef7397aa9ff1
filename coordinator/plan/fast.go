package plan

import (
	"strings"
	"time"

	"viplease/sentinel"
)

// Fast takeover, design section 4: a node whose VIPs do not answer on the LAN is challenged by its guards, and evicted if it does not refute. Package
// sentinel looks at the LAN; what is here looks at etcd, and holds this node to the rules that make an eviction safe:
//
//   - a check that sees a challenge against this node gives no authority [F1], and an address is added, not only kept, on a check younger than half of the
//     grace: whatever is added was added long before an eviction can commit;
//   - a node that is cut off on an interface takes its VIPs there down, and adds them again on a check made after contact is back [F4];
//   - a claim says that its holder does all this, and with which timers; a node that does not hold to them does not show the VIP before it has said so.
//
// So an eviction is evidence against a claim that names the same registration [F3] and whose terms were kept.

// fast is what this node knows and has under way about it.
type fast struct {
	wall     time.Time // of the last fact: for people, and for how long ago an eviction was
	seen     map[string]seenOwner
	against  map[string]seenChallenge // challenges, by ward
	checked  time.Duration            // t0 of the last check that was answered: the view is not older
	read     time.Duration            // t0 of the last one that was answered quickly
	links    map[string]contact
	promised map[string]bool // interfaces on which a claim of this node has had terms, in this process or the one before
	queue    []Contest
	busy     map[string]bool // contests under way, by their text
	refuteAt time.Duration   // a challenge without grounds is not refuted before
	expelled
	counts  FastCounts
	version int
}

// seenOwner is who holds a VIP, and since when this node has seen that.
type seenOwner struct {
	ref MemberRef
	at  time.Duration
}

type seenChallenge struct {
	mod int64
	at  time.Duration
}

// expelled is the last eviction of this node.
type expelled struct {
	rev int64 // its registration
	at  time.Duration
}

// quick is the quick probe of a VIP before a fast takeover [F5].
type quick struct {
	ref   MemberRef // whose claim it was
	busy  bool
	at    time.Duration // when it was answered; 0: not yet
	rival bool          // somebody answered, or nothing can be said
}

func newFast() fast {
	return fast{
		seen: map[string]seenOwner{}, against: map[string]seenChallenge{},
		links: map[string]contact{}, promised: map[string]bool{}, busy: map[string]bool{}, expelled: expelled{at: -calmAfter},
	}
}

// changed counts the facts that may change what the sentinel has to know.
func (f *fast) changed(fact Fact) {
	switch fact.(type) {
	case Renewed, RenewFailed, StateWritten, LayoutWritten, AddressChanged, AddressesRaised, AddressesProbed, RivalHeard, SentinelDecided:
	default:
		f.version++
	}
}

// WatchedVersion changes whenever the answer of Watched may.
func (v *View) WatchedVersion() int { return v.fast.version }

// takesPart tells whether this node takes part in fast takeover.
func (v *View) takesPart() bool { return v.cfg.Fast != sentinel.Config{} }

// terms are what this node asks for in its claims.
func (v *View) terms() Terms {
	if !v.takesPart() {
		return Terms{}
	}
	return termsOf(v.cfg.Fast.Terms())
}

// plays tells whether this node holds to what the claim says of its holder.
func (v *View) plays(c claim) bool {
	return c.Fast == Terms{} || v.takesPart() && c.Fast.covers(v.terms())
}

// stampFast is what this node can promise in the claim of a VIP: its terms, if there is a witness on each interface of the VIP. While it is cut off it
// promises what it did.
func (d *decision) stampFast(vip string, c claim) Terms {
	v := d.v
	if !v.takesPart() {
		return Terms{}
	}
	list := v.local[vip].place.Addresses
	for _, a := range list {
		switch on := v.fast.links[a.Link]; {
		case on.lost && v.mine(c) && v.plays(c):
			return c.Fast
		case !on.basis || on.lost:
			return Terms{}
		}
	}
	if len(list) == 0 {
		return Terms{}
	}
	return v.terms()
}

// restampsFast tells whether the claim of a VIP has to say something else about that. Terms are promised once the address is up: a write before would ask for
// another check, and keep the VIP down for that.
func (d *decision) restampsFast(vip string, c claim, l *local) bool {
	want := d.stampFast(vip, c)
	return c.Fast != want && (l.up || c.Fast != Terms{})
}

// addWithin is how young a check must be for an address to be added on it.
func (v *View) addWithin() time.Duration {
	if !v.takesPart() {
		return v.cfg.CheckTimeout
	}
	return min(v.cfg.CheckTimeout, v.cfg.Fast.Grace/2)
}

// addMargin is how much of that must be left.
func (v *View) addMargin() time.Duration {
	if !v.takesPart() {
		return raiseMargin
	}
	return min(raiseMargin, v.cfg.Fast.Grace/6)
}

// freshMost is the age of a check from which on a newer one is asked for when an address waits.
func (v *View) freshMost() time.Duration {
	return min(raiseMargin, v.addWithin()-v.addMargin())
}

// accused is the challenge against the registration that stands, if there is one.
func (v *View) accused() (challenge, bool) {
	c, ok := v.etcd.challenges[v.cfg.Node]
	return c, ok && v.takesPart() && v.self.phase == registered && c.MemberRev == v.self.reg.MemberRev
}

// unanswered tells whether the challenge is about this VIP, and its address is not up: it cannot be refuted then.
func (v *View) unanswered(vip string, l *local) bool {
	c, ok := v.accused()
	return ok && c.VIP == vip && l.op == idle && !l.up
}

// evicted tells whether an eviction is evidence against the claim [F3].
func (v *View) evicted(c claim) bool {
	e, ok := v.etcd.evictions[c.Node]
	return ok && c.valid() && e.MemberRev == c.MemberRev && c.Fast != (Terms{}) && e.Kept.covers(c.Fast)
}

// expel: this node has learnt of an eviction of one of its registrations.
func (v *View) expel(now time.Duration) {
	e, ok := v.etcd.evictions[v.cfg.Node]
	if ok && v.takesPart() && v.self.phase == registered && e.MemberRev == v.self.reg.MemberRev {
		v.lapse("an eviction names this registration", now) // also if its member key still stands: others may go by it
	}
	if !ok || e.MemberRev == v.fast.expelled.rev {
		return
	}
	v.fast.expelled = expelled{e.MemberRev, now}
	if v.fast.wall.Sub(e.At) > calmAfter {
		v.fast.expelled.at = -calmAfter
		return
	}
	v.fast.counts.Evicted++
	v.replan()
	v.alarm("", "evicted", e.By+" did not hear this node on the LAN, and it did not refute that")
}

// inherit takes over what an earlier process promised.
func (f *fast) inherit(links []string) {
	for _, link := range links {
		f.promised[link] = true
	}
}

// promise notes what this node's claim of the VIP says, for the next process: it has to go into quarantine before it knows any claim.
func (v *View) promise(vip string) {
	c := v.etcd.claims[vip]
	if c.Fast == (Terms{}) || !v.mine(c) {
		return
	}
	for _, a := range v.of(vip).place.Addresses {
		if !v.fast.promised[a.Link] {
			v.fast.promised[a.Link] = true
			v.remember++
		}
	}
}

// maturing is from when on, and for how long, this node has to be healthy before it is ready; after evictions longer [F12].
func (v *View) maturing(now time.Duration) (since, mature time.Duration) {
	since, mature = v.self.mature, v.cfg.Mature
	if x := v.fast.expelled; now < x.at+calmAfter {
		since = max(since, x.at)
		mature = min(mature<<min(v.etcd.evictions[v.cfg.Node].Count, 16), max(mature, matureMost))
	}
	return since, mature
}

// judgeOwner brings up to date since when this node has seen who holds the VIP.
func (v *View) judgeOwner(vip string, now time.Duration) {
	v.promise(vip)
	switch c := v.etcd.claims[vip]; {
	case !v.takesPart():
	case !c.valid() || c.Node == "":
		delete(v.fast.seen, vip)
	case v.fast.seen[vip].ref != c.owner():
		v.fast.seen[vip] = seenOwner{c.owner(), now}
	}
}

// judgeFast brings up to date since when this node has seen the challenges and the eviction of its own that stand.
func (v *View) judgeFast(now time.Duration) {
	v.expel(now)
	if !v.takesPart() {
		return
	}
	for ward := range v.fast.against {
		if _, stands := v.etcd.challenges[ward]; !stands {
			delete(v.fast.against, ward)
		}
	}
	for ward, c := range v.etcd.challenges {
		if v.fast.against[ward].mod != c.mod {
			v.fast.against[ward] = seenChallenge{c.mod, now}
		}
	}
}

// foldCheckKeys takes in what a check says about this node's challenge and eviction.
func (v *View) foldCheckKeys(f CheckAnswered, now time.Duration) {
	v.fast.checked = max(v.fast.checked, f.T0)
	if v.takesPart() && now-f.T0 <= v.cfg.Fast.Grace/2 {
		v.fast.read = max(v.fast.read, f.T0)
	}
	switch known, ok := v.etcd.challenges[v.cfg.Node]; {
	case f.Challenge != nil:
		v.etcd.put(*f.Challenge)
	case ok && known.mod <= f.Revision:
		v.etcd.removeChallenge(v.cfg.Node, f.Revision)
	}
	if f.Eviction != nil {
		v.etcd.put(*f.Eviction)
	}
	v.judgeFast(now)
}

// wantsRead tells whether a challenge of this node waits for a quick read of etcd.
func (v *View) wantsRead() bool {
	for ward, s := range v.fast.against {
		if v.etcd.challenges[ward].By == v.cfg.Node && v.fast.read < s.at {
			return true
		}
	}
	return false
}

// Watched is what the sentinel has to know. Nothing, while this node takes no part.
func (v *View) Watched() sentinel.Viewed {
	s := sentinel.Viewed{Confirmed: v.fast.checked}
	if !v.takesPart() {
		return s
	}
	if !v.etcd.synced {
		s.Own = v.inherited()
		return s
	}
	if v.self.phase == registered && !v.self.adopted {
		s.Me = sentinel.Ref{Node: v.cfg.Node, Rev: v.self.reg.MemberRev}
	}
	s.Me.Node, s.Ready = v.cfg.Node, v.ready(v.cfg.Node) && !v.self.leaving
	for _, node := range sortedKeys(v.etcd.members) {
		st := v.etcd.states[node].State
		l, _ := v.layoutOf(st)
		s.Members = append(s.Members, sentinel.Member{Ref: sentinel.Ref{Node: node, Rev: v.etcd.members[node].create}, Ready: v.ready(node) && !st.isUseless(l), Fast: st.Fast})
	}
	for _, node := range sortedKeys(v.etcd.evictions) {
		s.Evicted = append(s.Evicted, sentinel.Ref{Node: node, Rev: v.etcd.evictions[node].MemberRev})
	}
	own := map[string]sentinel.Own{}
	for _, vip := range v.names {
		v.watch(&s, vip, own)
	}
	for _, link := range sortedKeys(own) {
		s.Own = append(s.Own, own[link])
	}
	for _, ward := range sortedKeys(v.etcd.challenges) {
		c, at := v.etcd.challenges[ward], v.fast.against[ward].at
		if v.fast.against[ward].mod != c.mod {
			continue // it counts from when it was seen
		}
		s.Challenges = append(s.Challenges, sentinel.Standing{
			Ward: sentinel.Ref{Node: ward, Rev: c.MemberRev}, Mod: c.mod, By: sentinel.Ref{Node: c.By, Rev: c.ByRev},
			Seen: at, Read: v.fast.read >= at, Consents: sortedKeys(c.consents),
		})
	}
	if c, ok := v.accused(); ok {
		s.Accused.Mod = c.mod
		if l := v.local[c.VIP]; l != nil && len(l.place.Addresses) > 0 {
			s.Accused.Link = l.place.Addresses[0].Link
		}
	}
	return s
}

// inherited are the interfaces with addresses that a process before this one put up, and promised to take down when it is cut off.
func (v *View) inherited() (own []sentinel.Own) {
	up := map[string]bool{}
	for _, l := range v.local {
		for _, a := range l.set {
			up[a.Link] = v.fast.promised[a.Link]
		}
	}
	for _, link := range sortedKeys(up) {
		if up[link] {
			own = append(own, sentinel.Own{Link: link, Fast: true, Held: true})
		}
	}
	return own
}

// watch adds a VIP to what the sentinel has to know: one address on each interface.
func (v *View) watch(s *sentinel.Viewed, vip string, own map[string]sentinel.Own) {
	c, l := v.etcd.claims[vip], v.local[vip]
	seen := map[string]bool{}
	for _, a := range l.both() {
		here := v.mine(c) || v.own(c)
		o := own[a.Link]
		o.Link = a.Link
		if since := v.fast.seen[vip].at; c.Fast != (Terms{}) && (here || l.some) && (!o.Fast || since < o.Since) {
			o.Fast, o.Since = true, since
		}
		own[a.Link] = o
		if here || seen[a.Link] || !c.valid() || c.Node == "" || !v.means(vip, c) || v.fast.seen[vip].ref != c.owner() {
			continue
		}
		seen[a.Link] = true
		s.Claims = append(s.Claims, sentinel.Claim{
			VIP: vip, Owner: sentinel.Ref{Node: c.Node, Rev: c.MemberRev}, Mod: c.mod, Seen: v.fast.seen[vip].at, Moving: c.To != "", Terms: c.Fast.sentinel(),
			Host: sentinel.Host{Link: a.Link, Addr: a.Prefix.Addr()},
		})
	}
}

// challenge is challenges/<ward> as it stands.
type challenge struct {
	Challenge
	mod      int64
	consents map[string]int64 // guards that agree, with the revision of their keys
}

type eviction struct {
	Eviction
	mod int64
}

// putChallenge folds challenges/<ward>, or a consent, challenges/<ward>/<guard>. A consent counts only beside the challenge that it follows.
func (s *store) putChallenge(key string, e Entry) {
	ward, guard, consent := strings.Cut(key, "/")
	known, ok := s.challenges[ward]
	c, err := decodeChallenge(e.Value)
	switch {
	case err != nil || e.Mod <= known.mod && !consent:
	case !consent:
		s.challenges[ward] = challenge{Challenge: c, mod: e.Mod, consents: map[string]int64{}}
	case ok && e.Mod > known.mod && c.MemberRev == known.MemberRev:
		known.consents[guard] = e.Mod
	}
}

func (s *store) removeChallenge(key string, mod int64) {
	ward, guard, consent := strings.Cut(key, "/")
	switch known := s.challenges[ward]; {
	case consent && known.consents[guard] < mod:
		delete(known.consents, guard)
	case !consent && known.mod < mod || !consent && known.mod == mod:
		delete(s.challenges, ward)
	}
}

func (s *store) putEviction(node string, e Entry) {
	x, err := decodeEviction(e.Value)
	if err == nil && s.evictions[node].mod < e.Mod {
		s.evictions[node] = eviction{x, e.Mod}
	}
}
