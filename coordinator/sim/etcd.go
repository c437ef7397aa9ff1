package sim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"viplease/coordinator/plan"
)

// etcd is the model store: linearizable, for everything that happens in it happens in one event. What is late or lost is so on the way (path.go).
type etcd struct {
	w         *world
	cluster   uint64
	rev       int64
	keys      map[string]key
	claims    int64 // how many keys there are below claims/
	log       []record
	compacted int64 // the log cannot be read up to here
	leases    map[int64]*lease
	lastLease int64
	lives     int // how often it has been restored: what was sent before is lost
	watches   []*watch
}

type key struct {
	plan.Entry
	lease int64
}

// record is one key's change at one revision.
type record struct {
	rev     int64
	entry   plan.Entry // as it was written, or its key alone
	lease   int64
	deleted bool
}

type lease struct {
	id   int64
	ttl  time.Duration
	end  time.Duration // true time
	keys []string
}

// sweepEvery is how often etcd looks for leases that have ended (etcd, server/lease/lessor.go, runLoop).
const sweepEvery = 500 * time.Millisecond

func newEtcd(w *world) *etcd {
	return &etcd{w: w, cluster: 1, rev: 10, keys: map[string]key{}, leases: map[int64]*lease{}}
}

// txn runs f at a revision of its own, if f changes anything.
func (e *etcd) txn(f func(rev int64)) {
	before := len(e.log)
	f(e.rev + 1)
	if len(e.log) == before {
		return
	}
	e.rev++
	for _, c := range e.log[before:] {
		e.w.trace.etcd(e, c)
	}
	for _, watch := range e.watches {
		watch.wake()
	}
}

func (e *etcd) put(rev int64, name string, value []byte, leaseID int64) {
	k, ok := e.keys[name]
	if !ok {
		k = key{Entry: plan.Entry{Key: name, Create: rev}}
		if strings.HasPrefix(name, "claims/") {
			e.claims++
		}
	}
	k.Value, k.Mod = value, rev
	k.Version++
	if k.lease != leaseID {
		e.detach(k)
		k.lease = leaseID
		if l := e.leases[leaseID]; l != nil {
			l.keys = append(l.keys, name)
		}
	}
	e.keys[name] = k
	e.log = append(e.log, record{rev: rev, entry: k.Entry, lease: leaseID})
}

func (e *etcd) detach(k key) {
	if l := e.leases[k.lease]; l != nil {
		l.keys = slices.DeleteFunc(l.keys, func(s string) bool { return s == k.Key })
	}
}

func (e *etcd) del(rev int64, name string) {
	k, ok := e.keys[name]
	if !ok {
		return
	}
	e.detach(k)
	delete(e.keys, name)
	if strings.HasPrefix(name, "claims/") {
		e.claims--
	}
	e.log = append(e.log, record{rev: rev, entry: plan.Entry{Key: name}, deleted: true})
}

// grant makes a lease.
func (e *etcd) grant(ttl time.Duration) int64 {
	e.lastLease++
	l := &lease{id: e.lastLease, ttl: ttl}
	e.leases[l.id] = l
	e.renew(l.id)
	e.expire(l)
	return l.id
}

// renew reports whether the lease lives.
func (e *etcd) renew(id int64) bool {
	l := e.leases[id]
	if l != nil {
		l.end = e.w.now + l.ttl
	}
	return l != nil
}

// expire waits for the end of a lease.
func (e *etcd) expire(l *lease) {
	at := l.end + e.w.dice.upTo(sweepEvery)
	e.w.at(at, nil, func() {
		switch {
		case e.leases[l.id] != l:
		case e.w.now < l.end || e.w.now < e.w.quorumAt: // nothing ends without a quorum, and a new leader begins anew
			l.end = max(l.end, e.w.quorumAt+l.ttl)
			e.expire(l)
		default:
			e.revoke(l.id)
		}
	})
}

// revoke ends a lease, live or not: its keys go at one revision.
func (e *etcd) revoke(id int64) {
	l := e.leases[id]
	if l == nil {
		return
	}
	names := slices.Sorted(slices.Values(l.keys))
	delete(e.leases, id)
	e.txn(func(rev int64) {
		for _, name := range names {
			e.del(rev, name)
		}
	})
}

func (e *etcd) member(node string) int64 { return e.keys["members/"+node].Create }

// check is leases.Store.Check: one read-only transaction.
func (e *etcd) check(node string, since int64) plan.CheckAnswered {
	f := plan.CheckAnswered{Cluster: e.cluster, Since: since, Revision: e.rev, MemberRev: e.member(node), Member: e.keys["members/"+node].Value, Count: e.claims}
	if k, ok := e.keys["challenges/"+node]; ok {
		f.Challenge = &k.Entry
	}
	if k, ok := e.keys["evictions/"+node]; ok {
		f.Eviction = &k.Entry
	}
	for i := len(e.log) - 1; i >= 0 && e.log[i].rev > since; i-- {
		c := e.log[i]
		if k, ok := e.keys[c.entry.Key]; ok && k.Mod == c.rev && strings.HasPrefix(c.entry.Key, "claims/") {
			f.Changed = append(f.Changed, k.Entry)
		}
	}
	slices.SortFunc(f.Changed, func(a, b plan.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return f
}

// commit is leases.Store.Commit: the writes that win do so together.
func (e *etcd) commit(node string, a plan.Commit, values [][]byte) plan.ClaimsCommitted {
	f := plan.ClaimsCommitted{MemberRev: a.MemberRev, Writes: a.Writes, Highest: a.Highest, Member: e.member(node) == a.MemberRev}
	if f.Member {
		f.Results = make([]plan.WriteResult, len(a.Writes))
		e.txn(func(rev int64) {
			for i, w := range a.Writes {
				name := "claims/" + w.VIP
				k, ok := e.keys[name]
				switch {
				case k.Mod != w.IfMod || w.Slot != nil && e.keys["round"].Mod != w.Slot.IfMod && !e.w.mutant.noSlot || w.OwnerGone != nil && e.member(w.OwnerGone.Node) == w.OwnerGone.MemberRev ||
					w.TargetHere != nil && e.member(w.TargetHere.Node) != w.TargetHere.MemberRev:
					if ok {
						f.Results[i].Current = &k.Entry
					}
					if r, ok := e.keys["round"]; ok && w.Slot != nil {
						f.Results[i].Round = &r.Entry
					}
				default:
					f.Results[i].Won = true
					e.w.judge.writes(w)
					e.put(rev, name, values[i], 0)
					if w.Slot != nil {
						e.put(rev, "round", plan.Encode(w.Slot.Round), 0)
					}
				}
			}
			for _, p := range a.Puts {
				e.put(rev, p.Key, p.Value, p.Lease)
			}
		})
	}
	f.Revision = e.rev
	return f
}

// register is leases.Store.Register: it creates the member key, or finds it as it would have created it.
func (e *etcd) register(node string, leaseID int64, member, state []byte) (memberRev int64, taken []byte, err error) {
	name := "members/" + node
	if k, ok := e.keys[name]; ok {
		if k.lease != leaseID || string(k.Value) != string(member) {
			return 0, k.Value, errTaken
		}
		return k.Create, nil, nil
	}
	if e.leases[leaseID] == nil {
		return 0, nil, errGone
	}
	e.txn(func(rev int64) {
		e.put(rev, name, member, leaseID)
		e.put(rev, "states/"+node, state, leaseID)
	})
	return e.rev, nil, nil
}

// putState is leases.Store.PutState.
func (e *etcd) putState(node string, r plan.Registration, value []byte) error {
	if e.member(node) != r.MemberRev || e.leases[r.Lease] == nil {
		return errGone
	}
	e.txn(func(rev int64) { e.put(rev, "states/"+node, value, r.Lease) })
	return nil
}

func (e *etcd) putOnce(name string, value []byte) {
	if _, ok := e.keys[name]; !ok {
		e.txn(func(rev int64) { e.put(rev, name, value, 0) })
	}
}

// read is leases.Store.Read: everything, at one revision.
func (e *etcd) read() plan.SnapshotRead {
	f := plan.SnapshotRead{Cluster: e.cluster, Revision: e.rev, Entries: make([]plan.Entry, 0, len(e.keys))}
	for _, k := range e.keys {
		f.Entries = append(f.Entries, k.Entry)
	}
	slices.SortFunc(f.Entries, func(a, b plan.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return f
}

// compact forgets how the store came to be what it is, for watches.
func (e *etcd) compact() {
	e.compacted = e.rev
	for _, watch := range slices.Clone(e.watches) {
		if watch.sent < e.compacted {
			watch.broken()
		}
	}
}

// restore makes the store what it was at a revision, leases with their full time to live.
func (e *etcd) restore(rev int64, newCluster bool, ttl time.Duration) {
	e.lives++
	if newCluster {
		e.cluster++
	}
	old := e.log
	e.log, e.keys, e.leases, e.claims, e.rev = nil, map[string]key{}, map[int64]*lease{}, 0, rev
	e.compacted = min(e.compacted, rev)
	for _, c := range old {
		switch {
		case c.rev > rev:
		case c.deleted:
			e.del(c.rev, c.entry.Key)
		default:
			if c.lease != 0 && e.leases[c.lease] == nil {
				e.leases[c.lease] = &lease{id: c.lease, ttl: ttl, end: e.w.now + ttl}
			}
			e.put(c.rev, c.entry.Key, c.entry.Value, c.lease)
		}
	}
	for id := int64(1); id <= e.lastLease; id++ {
		switch l := e.leases[id]; {
		case l == nil:
		case len(l.keys) == 0:
			delete(e.leases, id)
		default:
			e.expire(l)
		}
	}
	for _, watch := range slices.Clone(e.watches) {
		watch.broken()
	}
}
