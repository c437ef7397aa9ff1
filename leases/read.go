package leases

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	page       = 500       // keys of a snapshot asked for at once
	maxEntries = 1 << 18   // keys of a snapshot: more are somebody else's
	maxBytes   = 256 << 20 // of a snapshot
)

// Snapshot is what stood below the prefix at one revision, sorted by key.
type Snapshot struct {
	Cluster  uint64 // etcd's cluster id
	Revision int64
	Entries  []Entry // nil: none
}

// Read returns all keys of the prefix as they stood at one revision, which is not older than the call (a linearizable read). It
// returns every key, whatever its name, so that the number below "claims/" is the Count of a [Answer] at the same revision.
func (s *Store) Read(ctx context.Context) (Snapshot, error) {
	var snap Snapshot
	size := 0
	from, end := s.key(""), clientv3.GetPrefixRangeEnd(s.key(""))
	for {
		// Later pages name the revision of the first. They are linearizable as well, since a server that lags behind does not know it.
		r, err := s.rangeOnce(ctx, &pb.RangeRequest{Key: []byte(from), RangeEnd: []byte(end), Limit: page, Revision: snap.Revision})
		if err != nil {
			return Snapshot{}, fmt.Errorf("read %s: %w", s.cfg.Prefix, err)
		}
		if snap.Revision == 0 {
			snap.Cluster, snap.Revision = r.Header.GetClusterId(), r.Header.GetRevision()
			if snap.Revision <= 0 {
				return Snapshot{}, fmt.Errorf("read %s: %w", s.cfg.Prefix, errShape)
			}
		} else if snap.Cluster != r.Header.GetClusterId() {
			return Snapshot{}, fmt.Errorf("read %s: the endpoints belong to two clusters, %x and %x", s.cfg.Prefix, snap.Cluster, r.Header.GetClusterId())
		}
		for _, kv := range r.Kvs {
			size += len(kv.Key) + len(kv.Value)
		}
		snap.Entries = append(snap.Entries, s.entries(r.Kvs)...)
		if len(snap.Entries) > maxEntries || size > maxBytes {
			return Snapshot{}, fmt.Errorf("read %s: %w: more than %d keys or %d bytes: something else writes there", s.cfg.Prefix, ErrTooMuch, maxEntries, maxBytes)
		}
		if !r.More || len(r.Kvs) == 0 {
			return snap, nil
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) rangeOnce(ctx context.Context, req *pb.RangeRequest) (*pb.RangeResponse, error) {
	ctx, cancel := s.bound(ctx, callTimeout)
	defer cancel()
	return race(ctx, s, patience, func(ctx context.Context, c *conn) (*pb.RangeResponse, error) {
		r, err := c.kv.Range(ctx, req)
		return r, hint(err)
	}, nil)
}

// Get returns the given keys (below the prefix) as they stood at one revision, which is not older than the call. Absent keys are left
// out. It is sent to a second server like [Store.Check], and takes at most the same timeout.
func (s *Store) Get(ctx context.Context, keys ...string) (Snapshot, error) {
	if len(keys) == 0 || len(keys) > maxOps {
		return Snapshot{}, fmt.Errorf("get %d keys: %w: one to %d", len(keys), ErrTooMuch, maxOps)
	}
	ops := make([]clientv3.Op, len(keys))
	for i, k := range keys {
		ops[i] = clientv3.OpGet(s.key(k))
	}
	ctx, cancel := s.bound(ctx, s.cfg.Timeout)
	defer cancel()
	return race(ctx, s, s.cfg.Timeout/2, func(ctx context.Context, c *conn) (Snapshot, error) {
		r, err := c.txn(ctx).Then(ops...).Commit()
		if err != nil {
			return Snapshot{}, fmt.Errorf("get: %w", hint(err))
		}
		if len(r.Responses) != len(ops) || r.Header.GetRevision() <= 0 {
			return Snapshot{}, errShape
		}
		snap := Snapshot{Cluster: r.Header.GetClusterId(), Revision: r.Header.GetRevision()}
		for _, one := range r.Responses {
			snap.Entries = append(snap.Entries, s.entries(one.GetResponseRange().GetKvs())...)
		}
		return snap, nil
	}, nil)
}

// errShape: the answer has no revision, or another number of results than the request had operations.
var errShape = errors.New("etcd's answer does not match the request")
