package leases

import (
	"bytes"
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Registration is what a node writes to join. Both values hang on the lease and go when it goes.
type Registration struct {
	Node   string
	Lease  int64
	Member []byte // of members/<Node>: must differ between registrations, so it carries a random registration id
	State  []byte // of states/<Node>
}

// Registered is a registration that stands.
type Registered struct {
	MemberRev int64 // create revision of the member key: it names this registration from now on
	Revision  int64 // of etcd when it was confirmed
	Adopted   bool  // the key was there already, written by an earlier call with the same bytes and lease
}

// Register creates members/<Node> and states/<Node>, both on the lease, in one transaction. A member key that carries exactly these
// bytes and this lease is the caller's own: after [ErrInDoubt], and in a process that continues a registration, call Register again
// with the same Registration. A key with anything else is a [*TakenError]. [ErrLeaseGone]: grant a new lease first.
func (s *Store) Register(ctx context.Context, r Registration) (Registered, error) {
	key := s.key(members + r.Node)
	if r.Node == "" || r.Lease == 0 || len(r.Member) == 0 {
		return Registered{}, fmt.Errorf("register %q: %w: it needs a node, a lease and a value", r.Node, ErrNotApplied)
	}
	lease := clientv3.WithLease(clientv3.LeaseID(r.Lease))
	resp, err := s.write(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(key, string(r.Member), lease), clientv3.OpPut(s.key(states+r.Node), string(r.State), lease)},
		[]clientv3.Op{clientv3.OpGet(key)})
	if err != nil {
		return Registered{}, fmt.Errorf("register %s: %w", r.Node, err)
	}
	rev := resp.Header.GetRevision()
	if resp.Succeeded {
		return Registered{MemberRev: rev, Revision: rev}, nil
	}
	there := s.first(resp.Responses[0].GetResponseRange().GetKvs())
	if there == nil {
		return Registered{}, fmt.Errorf("register %s: %w: %w", r.Node, ErrNotApplied, errShape)
	}
	if there.Lease != r.Lease || !bytes.Equal(there.Value, r.Member) {
		return Registered{}, fmt.Errorf("register %s: %w: %w", r.Node, ErrNotApplied, &TakenError{*there})
	}
	return Registered{MemberRev: there.Create, Revision: rev, Adopted: true}, nil
}

// PutState writes states/<node> on the lease, if the registration stands: a node that was evicted must not come back by a late write.
// Errors are those of [Store.Commit], and [ErrNotMember] when the registration is over. It is idempotent.
func (s *Store) PutState(ctx context.Context, node string, memberRev, lease int64, value []byte) error {
	done, err := s.Commit(ctx, Commit{Node: node, MemberRev: memberRev, Puts: []Put{{Key: states + node, Value: value, Lease: lease}}})
	if err == nil && !done.Applied {
		err = fmt.Errorf("%w: %w", ErrNotApplied, ErrNotMember)
	}
	if err != nil {
		return fmt.Errorf("put state of %s: %w", node, err)
	}
	return nil
}

// PutOnce writes a key that never changes, such as configs/<digest>, unless it is there. A key that holds another value is a
// [*TakenError]. It is idempotent.
func (s *Store) PutOnce(ctx context.Context, key string, value []byte) error {
	if key == "" || len(value) > maxCommit {
		return fmt.Errorf("put %s: %w: %d bytes, at most %d", key, ErrTooMuch, len(value), maxCommit)
	}
	r, err := s.write(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(s.key(key)), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(s.key(key), string(value))},
		[]clientv3.Op{clientv3.OpGet(s.key(key))})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if r.Succeeded {
		return nil
	}
	if there := s.first(r.Responses[0].GetResponseRange().GetKvs()); there != nil && !bytes.Equal(there.Value, value) {
		return fmt.Errorf("put %s: %w", key, &TakenError{*there})
	}
	return nil
}
