package leases

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// etcd counts the operations of a transaction by level: a level takes the longest of its list of compares, its list for success and
// its list for failure, and what it nests must fit what is left (etcd, server/etcdserver/api/v3rpc/key.go, checkTxnRequest). A nested
// write takes four (its compares), however many there are beside it.
const (
	maxOps        = 128 // etcd's default for --max-txn-ops
	writeCompares = 4   // of one Write: the claim, the old owner, the target, the key beside it

	// MaxPuts is how many Puts and Deletes a Commit may hold together.
	MaxPuts = 13
	// MaxWrites is how many Writes a Commit may hold.
	MaxWrites = maxOps - writeCompares - MaxPuts
	// MaxGuards is how many Guards a Commit may hold; the compare of the member key is one more.
	MaxGuards = 64
	// maxCommit is the size of a transaction in bytes, safely below etcd's limit of 1.5 MiB for a request.
	maxCommit = 1 << 20
)

// Revision names one of the two revisions of a key that a [Guard] can look at.
type Revision int

const (
	Created  Revision = iota // revision that created the key; 0: it is absent
	Modified                 // revision of the last write; 0: it is absent
)

// Guard is a condition on one key. It holds when the revision looked at is Rev or, with Not, is anything but Rev.
type Guard struct {
	Key string // below the prefix
	On  Revision
	Rev int64 // 0: the key is absent
	Not bool
}

// Holds reports whether the guard holds where current is what stands at its key (nil: nothing).
func (g Guard) Holds(current *Entry) bool {
	var rev int64
	if current != nil {
		rev = current.Create
		if g.On == Modified {
			rev = current.Mod
		}
	}
	return (rev == g.Rev) != g.Not
}

// MemberRef names one registration: the create revision of a node's member key. Never 0.
type MemberRef struct {
	Node      string
	MemberRev int64
}

func (m MemberRef) is() Guard { return Guard{Key: members + m.Node, On: Created, Rev: m.MemberRev} }
func (m MemberRef) gone() Guard {
	return Guard{Key: members + m.Node, On: Created, Rev: m.MemberRev, Not: true}
}

// Write replaces one claim if it is still the one the caller saw.
type Write struct {
	Key        string // for example "claims/web"
	Value      []byte
	IfMod      int64      // the revision of the last write that must still stand; 0: the key must not exist
	OwnerGone  *MemberRef // if set: this registration must be over (a takeover)
	TargetHere *MemberRef // if set: this registration must stand (a transfer)
	Beside     *Beside    // if set: a second key that is replaced with the claim, both or neither
}

// Beside is a second key of a Write, of no lease.
type Beside struct {
	Key   string
	Value []byte
	IfMod int64 // the revision of the last write that must still stand; 0: the key must not exist
}

func (w Write) guards() []Guard {
	gs := []Guard{{Key: w.Key, On: Modified, Rev: w.IfMod}}
	if w.OwnerGone != nil {
		gs = append(gs, w.OwnerGone.gone())
	}
	if w.TargetHere != nil {
		gs = append(gs, w.TargetHere.is())
	}
	if w.Beside != nil {
		gs = append(gs, Guard{Key: w.Beside.Key, On: Modified, Rev: w.Beside.IfMod})
	}
	return gs
}

// Result is what became of a Write, or of a Guard of a Commit that was not applied.
type Result struct {
	Won     bool   // the Write was made, the Guard held
	Mod     int64  // revision of the value written
	Current *Entry // of a Write that lost and of a Guard: what stands there; nil: nothing
	Beside  *Entry // of a Write that lost: what stands at its second key; nil: nothing
}

// Put writes one key, without a condition of its own: add a Guard.
type Put struct {
	Key   string
	Value []byte
	Lease int64 // 0: none
}

// Commit is one transaction on behalf of one registration. The Puts and Deletes and each of the Writes that wins are applied together
// at one revision, if the registration stands and all Guards hold; otherwise nothing is. A key may be written only once,
// so that of several Writes with the same key beside them only one can be in a Commit.
type Commit struct {
	Node      string
	MemberRev int64 // create revision of members/<Node>: the registration that writes
	Guards    []Guard
	Puts      []Put
	Deletes   []string
	Writes    []Write
}

// Committed is the answer to a Commit.
type Committed struct {
	Revision int64    // of etcd after the transaction
	Applied  bool     // the registration stands and all Guards held
	Member   bool     // the registration stands
	Guards   []Result // if not Applied: one for each Guard
	Results  []Result // if Applied: one for each Write
}

// Commit makes the transaction c: one request, with the Writes nested in it, so that one lost claim does not fail the others. It asks
// a second server only if the first cannot have seen the request.
//
// An error is [ErrNotApplied] when nothing was written and never will be, and [ErrInDoubt] in all other cases: then the caller finds
// out by reading the key and comparing bytes, so values should carry an attempt id, and must expect the write until a later one of its
// own to the same key has committed.
func (s *Store) Commit(ctx context.Context, c Commit) (Committed, error) {
	if err := c.check(); err != nil {
		return Committed{}, fmt.Errorf("commit: %w: %w", ErrNotApplied, err)
	}
	me := MemberRef{c.Node, c.MemberRev}.is()
	onFailure := make([]clientv3.Op, 0, 1+len(c.Guards))
	for _, g := range append([]Guard{me}, c.Guards...) {
		onFailure = append(onFailure, clientv3.OpGet(s.key(g.Key)))
	}
	r, err := s.write(ctx, s.compares(append([]Guard{me}, c.Guards...)), s.effects(c), onFailure)
	if err != nil {
		return Committed{}, fmt.Errorf("commit: %w", err)
	}
	out := Committed{Revision: r.Header.GetRevision(), Applied: r.Succeeded, Member: r.Succeeded}
	if r.Succeeded {
		out.Results = make([]Result, len(c.Writes))
		for i := range c.Writes {
			out.Results[i] = s.result(r, i)
		}
		return out, nil
	}
	out.Member = me.Holds(s.first(r.Responses[0].GetResponseRange().GetKvs()))
	out.Guards = make([]Result, len(c.Guards))
	for i, g := range c.Guards {
		current := s.first(r.Responses[1+i].GetResponseRange().GetKvs())
		out.Guards[i] = Result{Won: g.Holds(current), Current: current}
	}
	return out, nil
}

// effects are what a Commit does when its conditions hold. The Writes come first.
func (s *Store) effects(c Commit) []clientv3.Op {
	ops := make([]clientv3.Op, 0, len(c.Writes)+len(c.Puts)+len(c.Deletes))
	for _, w := range c.Writes {
		key := s.key(w.Key)
		won, lost := []clientv3.Op{clientv3.OpPut(key, string(w.Value))}, []clientv3.Op{clientv3.OpGet(key)}
		if w.Beside != nil {
			beside := s.key(w.Beside.Key)
			won, lost = append(won, clientv3.OpPut(beside, string(w.Beside.Value))), append(lost, clientv3.OpGet(beside))
		}
		ops = append(ops, clientv3.OpTxn(s.compares(w.guards()), won, lost))
	}
	for _, p := range c.Puts {
		ops = append(ops, clientv3.OpPut(s.key(p.Key), string(p.Value), clientv3.WithLease(clientv3.LeaseID(p.Lease))))
	}
	for _, d := range c.Deletes {
		ops = append(ops, clientv3.OpDelete(s.key(d)))
	}
	return ops
}

func (s *Store) result(r *clientv3.TxnResponse, i int) Result {
	nested := r.Responses[i].GetResponseTxn()
	if nested.GetSucceeded() {
		return Result{Won: true, Mod: r.Header.GetRevision()}
	}
	var lost Result
	for at, into := range []**Entry{&lost.Current, &lost.Beside} {
		if rs := nested.GetResponses(); at < len(rs) {
			*into = s.first(rs[at].GetResponseRange().GetKvs())
		}
	}
	return lost
}

func (s *Store) compares(gs []Guard) []clientv3.Cmp {
	out := make([]clientv3.Cmp, len(gs))
	for i, g := range gs {
		of, op := clientv3.CreateRevision(s.key(g.Key)), "="
		if g.On == Modified {
			of = clientv3.ModRevision(s.key(g.Key))
		}
		if g.Not {
			op = "!="
		}
		out[i] = clientv3.Compare(of, op, g.Rev)
	}
	return out
}

var errMemberRev = errors.New("a registration needs a node and a create revision")

// check refuses what etcd would refuse, and compares that would hold for an absent member.
func (c Commit) check() error {
	if c.Node == "" || c.MemberRev <= 0 {
		return errMemberRev
	}
	if len(c.Writes) > MaxWrites || len(c.Puts)+len(c.Deletes) > MaxPuts || len(c.Guards) > MaxGuards {
		return fmt.Errorf("%w: %d writes, %d puts and deletes, %d guards", ErrTooMuch, len(c.Writes), len(c.Puts)+len(c.Deletes), len(c.Guards))
	}
	written := map[string]bool{}
	size := 0
	write := func(key string, value []byte) error {
		if key == "" || written[key] {
			return fmt.Errorf("key %q is empty or written twice", key)
		}
		written[key] = true
		size += len(key) + len(value) + 64*writeCompares
		return nil
	}
	var errs []error
	for _, w := range c.Writes {
		errs = append(errs, write(w.Key, w.Value))
		if w.Beside != nil {
			errs = append(errs, write(w.Beside.Key, w.Beside.Value))
		}
		for _, m := range []*MemberRef{w.OwnerGone, w.TargetHere} {
			if m != nil && (m.Node == "" || m.MemberRev <= 0) {
				errs = append(errs, fmt.Errorf("%s: %w", w.Key, errMemberRev))
			}
		}
	}
	for _, p := range c.Puts {
		errs = append(errs, write(p.Key, p.Value))
	}
	for _, d := range c.Deletes {
		errs = append(errs, write(d, nil))
	}
	if size > maxCommit {
		errs = append(errs, fmt.Errorf("%w: %d bytes, at most %d", ErrTooMuch, size, maxCommit))
	}
	return errors.Join(errs...)
}

// write makes one transaction that changes etcd and must not be made twice. It moves on to the next server only when the last one
// surely left everything as it was.
func (s *Store) write(ctx context.Context, ifs []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := s.bound(ctx, callTimeout)
	defer cancel()
	var failed error
	for _, srv := range s.ranked() {
		r, err := srv.write(ctx, ifs, then, otherwise)
		if err == nil {
			return r, s.shape(r, len(then), len(otherwise))
		}
		err = fmt.Errorf("%s: %w", srv.url, err)
		if !errors.Is(err, errElsewhere) {
			return nil, err
		}
		failed = err
		s.demote(srv)
	}
	return nil, failed
}

// errElsewhere marks a write that one server refused for a reason of its own, so that another may take it.
var errElsewhere = errors.New("this server cannot take it")

func (srv *server) write(ctx context.Context, ifs []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	c, err := srv.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errElsewhere, outcome(err, false))
	}
	// gRPC fills this in when it has a connection to send the request on, so an address is there if anything can have been sent.
	var to peer.Peer
	r, err := c.txn(ctx, grpc.Peer(&to)).If(ifs...).Then(then...).Else(otherwise...).Commit()
	if err == nil {
		return r, nil
	}
	sent := to.Addr != nil
	err = outcome(err, sent)
	if !sent || isAny(err, []error{rpctypes.ErrNoLeader, rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)}) {
		err = fmt.Errorf("%w: %w", errElsewhere, err)
	}
	return nil, err
}

// shape guards against an answer that does not have the form of the request: the write was made, but what it did is not known.
func (s *Store) shape(r *clientv3.TxnResponse, then, otherwise int) error {
	want := otherwise
	if r.Succeeded {
		want = then
	}
	if len(r.Responses) != want || r.Header.GetRevision() <= 0 {
		return fmt.Errorf("%w: %w", ErrInDoubt, errShape)
	}
	return nil
}
