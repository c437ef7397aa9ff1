package leases

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Answer is what etcd confirmed in one authority check. All of it stood at Revision, and Revision is not older than T0.
type Answer struct {
	T0        time.Duration // Now() before the request that was answered was sent: authority counts from here
	Cluster   uint64        // etcd's cluster id
	Revision  int64
	MemberRev int64   // create revision of members/<node>; 0: absent
	Member    []byte  // value of members/<node>: a registration id in it tells a restored etcd, which may use a revision twice
	Changed   []Entry // claims written after the revision asked for
	Count     int64   // number of keys below "claims/": it differs from the caller's own number when one was deleted
	Challenge *Entry  // challenges/<node>; nil: nobody challenges
	Eviction  *Entry  // evictions/<node>; nil: there was none
}

// Check asks etcd who holds what, now: it is what authority is made of. One linearizable read-only transaction gets members/<node>,
// the claims written after revision since, the number of claims, challenges/<node> and evictions/<node>. It goes to one server, and to a second one
// when that has not answered within half of the timeout; it ends after the timeout, and an answer that took longer by the clock of
// Config.Now is [ErrLate].
//
// A server answers only after a majority has confirmed that its leader still leads (etcd, server/etcdserver/v3_server.go, Txn: a
// read-only transaction with a range that is not serializable waits for LinearizableReadNotify). So a server that is paused, cut off
// or in a minority can delay an answer but cannot give an old one.
func (s *Store) Check(ctx context.Context, node string, since int64) (Answer, error) {
	ctx, cancel := s.bound(ctx, s.cfg.Timeout)
	defer cancel()
	a, err := race(ctx, s, s.cfg.Timeout/2, func(ctx context.Context, c *conn) (Answer, error) {
		return s.checkOn(ctx, c, node, since)
	}, nil)
	if err == nil {
		err = s.late(a.T0)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("check: %w", err)
	}
	return a, nil
}

func (s *Store) checkOn(ctx context.Context, c *conn, node string, since int64) (Answer, error) {
	// Keys only: etcd 3.7 answers that from its index in memory, and usually nothing has changed. The count in the answer is that of
	// the whole range, whatever the filter (etcd, api/etcdserverpb/rpc.proto, RangeResponse.count).
	changed := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithMinModRev(since + 1)}
	txn := c.txn(ctx).Then(
		clientv3.OpGet(s.key(members+node)),
		clientv3.OpGet(s.key(claims), append(changed, clientv3.WithKeysOnly())...),
		clientv3.OpGet(s.key(challenges+node)),
		clientv3.OpGet(s.key(evictions+node)),
	)
	t0 := s.cfg.Now()
	r, err := txn.Commit()
	if err != nil {
		return Answer{}, hint(err)
	}
	if len(r.Responses) != 4 || r.Header.GetRevision() <= 0 {
		return Answer{}, errShape
	}
	a := Answer{T0: t0, Cluster: r.Header.GetClusterId(), Revision: r.Header.GetRevision()}
	if m := s.first(r.Responses[0].GetResponseRange().GetKvs()); m != nil {
		a.MemberRev, a.Member = m.Create, m.Value
	}
	held := r.Responses[1].GetResponseRange()
	a.Count = held.GetCount()
	a.Challenge = s.first(r.Responses[2].GetResponseRange().GetKvs())
	a.Eviction = s.first(r.Responses[3].GetResponseRange().GetKvs())
	if len(held.GetKvs()) == 0 {
		return a, nil
	}
	a.Changed, err = s.values(ctx, c, held.GetKvs(), since+1, a.Revision)
	if err != nil {
		return Answer{}, hint(err)
	}
	return a, nil
}

// values gets what stands at these claims, written since a revision, from a server that knows the revision at. A few are asked for by name: for a range,
// etcd reads all claims and then leaves out those that are older.
func (s *Store) values(ctx context.Context, c *conn, keys []*mvccpb.KeyValue, since, at int64) ([]Entry, error) {
	if len(keys) > maxOps {
		r, err := c.kv.Range(ctx, &pb.RangeRequest{
			Key: []byte(s.key(claims)), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(s.key(claims))),
			MinModRevision: since, Revision: at, Serializable: true,
		})
		return s.entries(r.GetKvs()), err
	}
	gets := make([]clientv3.Op, len(keys))
	for i, kv := range keys {
		gets[i] = clientv3.OpGet(string(kv.Key), clientv3.WithRev(at), clientv3.WithSerializable())
	}
	r, err := c.txn(ctx).Then(gets...).Commit()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(keys))
	for _, one := range r.Responses {
		entries = append(entries, s.entries(one.GetResponseRange().GetKvs())...)
	}
	if len(entries) != len(keys) {
		return nil, errShape
	}
	return entries, nil
}

// late reports whether an answer to a request sent at t0 is too old to be used. Timers do not count the time in suspend; Now does.
func (s *Store) late(t0 time.Duration) error {
	if took := s.cfg.Now() - t0; took > s.cfg.Timeout {
		return fmt.Errorf("%w: after %v", ErrLate, took)
	}
	return nil
}
