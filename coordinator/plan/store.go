package plan

import (
	"strings"
	"time"
)

// store is what etcd was last seen to hold. Every key carries its own revision: knowledge never goes back, whatever order it comes in [S4].
type store struct {
	own     written // not decoded again, for all members of most clusters run it
	synced  bool    // a snapshot has been read
	cluster uint64
	rev     int64 // everything up to this revision is folded in
	highest int64 // the highest revision ever seen, our own writes included

	members   map[string]member
	states    map[string]stated
	claims    map[string]claim // also of VIPs that this node does not configure
	neighbors map[string]told  // by node
	layouts   map[string]Layout
	drains    map[string]Intent
	pins      map[string]Intent
	moves     map[string]asked
	balance   asked // its revision tells which seats and which round came before
	frozen    *Intent
	round     roundKey

	challenges map[string]challenge // by ward
	evictions  map[string]eviction  // by node
}

// written is this node's own layout, as it stands in etcd.
type written struct {
	digest string
	layout Layout
	text   string
}

type member struct {
	Member
	create int64
}

// stated is what a member last said of itself. It counts as long as the member stands: a state that was deleted or overwritten by hand moves nothing, and
// its node says it again.
type stated struct {
	State
	mod  int64 // revision that wrote it
	lost bool  // it does not stand any more
}

// claim is a claim as it stands, or that it does not stand.
type claim struct {
	Claim
	absent      bool
	foreign     error // not nil: the protocol did not write this value
	create, mod int64
	version     int64
}

// valid tells whether the claim says anything. Nothing may be concluded from one that does not, but that W must pass.
func (c claim) valid() bool { return c.mod > 0 && !c.absent && c.foreign == nil }

// holds tells whether the claim says who holds the VIP, or that its holder released it.
func (c claim) holds() bool { return c.valid() && !c.Empty }

// born tells whether the claim came out of nothing, as the first value of its key, with a holder: only one whose address has been up all along may
// write that, and show it.
func (c claim) born() bool { return c.valid() && c.version == 1 && c.Node != "" }

func (c claim) owner() MemberRef { return MemberRef{c.Node, c.MemberRev} }

func newStore(own written) store {
	return store{
		own:     own,
		members: map[string]member{}, states: map[string]stated{}, claims: map[string]claim{}, neighbors: map[string]told{},
		layouts: map[string]Layout{}, drains: map[string]Intent{}, pins: map[string]Intent{}, moves: map[string]asked{},
		challenges: map[string]challenge{}, evictions: map[string]eviction{},
	}
}

// widest is the largest takeover wait that any member or claim is known to have: what nobody has to go by is waited out with it [S10].
func (s *store) widest() time.Duration {
	w := time.Duration(0)
	for _, st := range s.states {
		w = max(w, waitOf(st.WaitMS))
	}
	for _, c := range s.claims {
		if c.valid() && c.Node != "" {
			w = max(w, c.wait())
		}
	}
	return w
}

// alive tells whether the registration stands in this view.
func (s *store) alive(r MemberRef) bool {
	m, ok := s.members[r.Node]
	return ok && m.create == r.MemberRev
}

// oldKeys counts the claims that existed at revision rev, as far as this view knows: what a check's count is held against.
func (s *store) oldKeys(rev int64) int64 {
	n := int64(0)
	for _, c := range s.claims {
		if !c.absent && c.create <= rev {
			n++
		}
	}
	return n
}

// put folds one key and tells whether the placement may depend on it.
func (s *store) put(e Entry) (matters bool) {
	s.highest = max(s.highest, e.Mod)
	kind, key, _ := strings.Cut(e.Key, "/")
	switch kind {
	case "members":
		m, err := decodeMember(e.Value)
		if err != nil {
			m = Member{V: m.V, Version: m.Version} // the key stands all the same
		}
		s.members[key] = member{m, e.Create}
		if s.states[key].mod < e.Create {
			delete(s.states, key) // of an earlier registration
		}
	case "states":
		st, err := decodeState(e.Value)
		if err != nil {
			s.loseState(key)
			return true
		}
		s.states[key] = stated{State: st, mod: e.Mod}
	case "claims":
		return s.putClaim(key, e)
	case "configs":
		if key == s.own.digest && string(e.Value) == s.own.text {
			s.layouts[key] = s.own.layout
		} else if l, err := decodeLayout(e.Value); err == nil && digestOf(e.Value) == key {
			s.layouts[key] = l
		} else {
			delete(s.layouts, key) // overwritten by hand; who runs it writes it again
		}
	case "neighbors":
		if s.neighbors[key].mod < e.Mod {
			list, _ := decodeNeighbors(e.Value) // nil: nothing is known of what it saw
			s.neighbors[key] = told{list, e.Mod}
		}
		return false
	case "challenges":
		s.putChallenge(key, e)
		return false
	case "evictions":
		s.putEviction(key, e)
		return false
	case "drains":
		s.drains[key] = intent(e.Value)
	case "pins":
		s.pins[key] = intent(e.Value)
	case "moves":
		s.moves[key] = asked{intent(e.Value), e.Mod}
	case "balance":
		s.balance = asked{intent(e.Value), e.Mod}
	case "frozen":
		i := intent(e.Value)
		s.frozen = &i
	case "round":
		s.putRound(e)
		return false
	default:
		return false
	}
	return true
}

// intent decodes what an operator asked for. One that cannot be read still counts: its key stands.
func intent(value []byte) Intent {
	i, err := decodeIntent(value)
	if err != nil {
		return Intent{By: "unreadable value"}
	}
	return i
}

func (s *store) putClaim(vip string, e Entry) bool {
	if known := s.claims[vip]; known.mod >= e.Mod {
		return false
	}
	c, err := decodeClaim(vip, e.Value, e.Version)
	if err != nil {
		c = Claim{}
	}
	s.claims[vip] = claim{Claim: c, foreign: err, create: e.Create, mod: e.Mod, version: e.Version}
	return true
}

// remove folds a deletion at revision mod.
func (s *store) remove(key string, mod int64) {
	s.highest = max(s.highest, mod)
	kind, key, _ := strings.Cut(key, "/")
	switch kind {
	case "members":
		if s.members[key].create < mod {
			delete(s.members, key)
			delete(s.states, key)
		}
	case "states":
		s.loseState(key)
	case "claims":
		if s.claims[key].mod < mod {
			s.claims[key] = claim{absent: true, mod: mod}
		}
	case "configs":
		delete(s.layouts, key)
	case "neighbors":
		if s.neighbors[key].mod < mod {
			delete(s.neighbors, key)
		}
	case "challenges":
		s.removeChallenge(key, mod)
	case "evictions":
		delete(s.evictions, key)
	case "drains":
		delete(s.drains, key)
	case "pins":
		delete(s.pins, key)
	case "moves":
		delete(s.moves, key)
	case "balance":
		s.balance = asked{}
	case "frozen":
		s.frozen = nil
	case "round":
		if s.round.mod < mod {
			s.round = roundKey{absent: true, mod: mod}
		}
	}
}

// loseState keeps in mind what a member said, although its key does not say so any more.
func (s *store) loseState(node string) {
	st, said := s.states[node]
	if _, here := s.members[node]; !here || !said {
		delete(s.states, node)
		return
	}
	st.lost = true
	s.states[node] = st
}

// replace folds a snapshot. It returns false, and folds nothing, when the snapshot cannot be a later state of the store that was known: then the store
// went back. Claims that were written after the snapshot was taken stay.
func (s *store) replace(f SnapshotRead) bool {
	if s.cluster != 0 && (f.Cluster != s.cluster || f.Revision < s.rev) {
		return false
	}
	fresh := newStore(s.own)
	for _, e := range f.Entries {
		if vip, ok := strings.CutPrefix(e.Key, "claims/"); ok && s.claims[vip].mod > e.Mod && s.claims[vip].mod <= f.Revision {
			return false // a value older than one seen, in a state said to be newer
		}
		fresh.put(e)
	}
	for vip, c := range s.claims {
		_, ok := fresh.claims[vip]
		switch {
		case c.mod > f.Revision: // ours, committed after the snapshot was taken
			fresh.claims[vip] = c
		case !ok && !c.absent:
			fresh.claims[vip] = claim{absent: true, mod: f.Revision}
		case !ok:
			fresh.claims[vip] = c
		}
	}
	for node, st := range s.states {
		_, said := fresh.states[node]
		if m, here := fresh.members[node]; here && !said && m.create == s.members[node].create {
			st.lost = true
			fresh.states[node] = st
		}
	}
	if fresh.round.mod == 0 && s.round.mod > 0 && !s.round.absent {
		fresh.round = roundKey{absent: true, mod: f.Revision}
	}
	if s.round.mod > fresh.round.mod {
		fresh.round = s.round
	}
	fresh.synced, fresh.cluster, fresh.rev = true, f.Cluster, f.Revision
	fresh.highest = max(s.highest, f.Revision)
	*s = fresh
	return true
}

// evidence is what may justify taking a claim, and since when this node has seen it, on its boot-time clock.
type evidence struct {
	gone  map[MemberRef]time.Duration // the owner's registration does not stand [S6]
	empty map[string]seen             // the claim is empty [S9]
	round seen                        // the key round is as it is, which justifies the next one
}

func newEvidence() evidence {
	return evidence{gone: map[MemberRef]time.Duration{}, empty: map[string]seen{}}
}

// seen is a value, by its mod revision, and since when it has been seen.
type seen struct {
	mod   int64
	since time.Duration
	wait  time.Duration // of an empty claim: the widest that anybody was known to have then: an old empty value may have been copied back
}

// judge brings the evidence up to date with the view. An owner is judged only from a state that is not older than its claim [S5].
func (ev *evidence) judge(s *store, vips map[string]VIP, now time.Duration) {
	gone := make(map[MemberRef]time.Duration, len(ev.gone))
	for _, c := range s.claims {
		if !c.valid() || c.Node == "" || s.alive(c.owner()) {
			continue
		}
		if since, ok := ev.gone[c.owner()]; ok {
			gone[c.owner()] = since
		} else if s.rev >= c.mod {
			if since, ok := gone[c.owner()]; !ok || since > now {
				gone[c.owner()] = now
			}
		}
	}
	ev.gone = gone
	ev.judgeEmpty(s, vips, sortedKeys(vips), now)
}

// judgeSome is judge where no member has come or gone since, and of the claims only these may have changed: a mass of claims comes in hundreds of batches.
// It leaves what was gone before, which never comes back: a registration has one create revision.
func (ev *evidence) judgeSome(s *store, vips map[string]VIP, changed []string, now time.Duration) {
	for _, vip := range changed {
		c := s.claims[vip]
		if !c.valid() || c.Node == "" || s.alive(c.owner()) || s.rev < c.mod {
			continue
		}
		if _, ok := ev.gone[c.owner()]; !ok {
			ev.gone[c.owner()] = now
		}
	}
	ev.judgeEmpty(s, vips, changed, now)
}

// judgeEmpty notes since when each of the claims has been empty.
func (ev *evidence) judgeEmpty(s *store, vips map[string]VIP, claims []string, now time.Duration) {
	if ev.round.mod != s.round.mod {
		ev.round = seen{mod: s.round.mod, since: now}
	}
	widest := time.Duration(-1) // not known yet
	for _, vip := range claims {
		_, here := vips[vip]
		switch c := s.claims[vip]; {
		case !here:
		case !c.valid() || !c.Empty:
			delete(ev.empty, vip)
		case ev.empty[vip].mod != c.mod:
			if widest < 0 {
				widest = s.widest()
			}
			ev.empty[vip] = seen{c.mod, now, max(c.wait(), widest)}
		}
	}
}
