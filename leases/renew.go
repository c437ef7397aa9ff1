package leases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// minTTL is the shortest lease that etcd grants with its default election timeout (etcd, server/etcdserver/server.go, minTTL). It
	// is assumed until etcd has said what the lease's is.
	minTTL = 2 * time.Second
	// renewStagger is how long one server may think about a renewal until the next is asked as well.
	renewStagger = 250 * time.Millisecond
	// renewTimeout bounds the renewals sent to all servers at once. A server that forwards to a leader which hangs answers after 7 s
	// (etcd, server/etcdserver/v3_server.go, LeaseRenew); a new leader is there after 1 to 2.
	renewTimeout = 900 * time.Millisecond
)

// Grant makes a lease of the given time to live, rounded up to whole seconds, and returns its id and what etcd granted, which may be
// longer. After an error a lease may exist that nobody knows; it lapses by itself.
func (s *Store) Grant(ctx context.Context, ttl time.Duration) (lease int64, granted time.Duration, err error) {
	seconds := int64((ttl + time.Second - 1) / time.Second)
	ctx, cancel := s.bound(ctx, callTimeout)
	defer cancel()
	r, err := race(ctx, s, callTimeout/2, func(ctx context.Context, c *conn) (*pb.LeaseGrantResponse, error) {
		r, err := c.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
		return r, hint(err)
	}, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("grant a lease: %w", err)
	}
	if r.ID == 0 || r.TTL <= 0 {
		return 0, 0, fmt.Errorf("grant a lease: %w", errShape)
	}
	return r.ID, time.Duration(r.TTL) * time.Second, nil
}

// Revoke ends a lease and deletes the keys on it. A lease that does not exist is a success. It is idempotent.
func (s *Store) Revoke(ctx context.Context, lease int64) error {
	ctx, cancel := s.bound(ctx, callTimeout)
	defer cancel()
	_, err := race(ctx, s, patience, func(ctx context.Context, c *conn) (*pb.LeaseRevokeResponse, error) {
		r, err := c.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
		if isAny(err, []error{rpctypes.ErrLeaseNotFound}) {
			return nil, nil
		}
		return r, hint(err)
	}, nil)
	if err != nil {
		return fmt.Errorf("revoke lease %x: %w", lease, err)
	}
	return nil
}

// renewer keeps one keepalive stream for the next renewal. Nothing is sent on it, and nothing runs, between renewals.
type renewer struct {
	turn   chan struct{} // holds one value while somebody uses the rest
	stream *keepalive    // nil: none
	heard  time.Duration // Now() when etcd last answered
	ttl    time.Duration // what it said; 0: nothing yet
}

// keepalive is a stream on which every request has been answered.
type keepalive struct {
	srv    *server
	pipe   pb.Lease_LeaseKeepAliveClient
	cancel context.CancelFunc
}

// Renew renews the lease once, now, and returns the time to live that it has again, of which the time since the call is gone.
// [ErrLeaseGone] is final; after any other error call again, at once, until it succeeds.
//
// The request goes over a stream that is kept from call to call, because with a password each new one costs etcd a bcrypt. When that
// has been silent until half of the time to live since etcd's last answer, all servers are asked, 250 ms apart, and the stream of the
// first to answer is kept instead. Nothing is renewed unless the caller asks: when the caller stops, the lease lapses. A context that
// ends while etcd has not answered costs the stream, so give it at least half of the time to live. Concurrent calls take turns.
func (s *Store) Renew(ctx context.Context, lease int64) (time.Duration, error) {
	r := &s.alive
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("renew lease %x: %w", lease, ctx.Err())
	}
	ttl, err := s.renew(ctx, r, lease)
	if err == nil && ttl <= 0 {
		err = ErrLeaseGone
	}
	if err != nil {
		return 0, fmt.Errorf("renew lease %x: %w", lease, err)
	}
	r.heard, r.ttl = s.cfg.Now(), ttl
	return ttl, nil
}

// renew returns a time to live of zero or less for a lease that is gone.
func (s *Store) renew(ctx context.Context, r *renewer, lease int64) (time.Duration, error) {
	if r.stream != nil {
		half := max(r.ttl, minTTL) / 2
		sctx, cancel := s.bound(ctx, max(r.heard+half-s.cfg.Now(), renewStagger))
		ttl, err := r.stream.renew(sctx, lease)
		cancel()
		if err == nil {
			return ttl, nil
		}
		srv := r.stream.srv
		r.stream = nil
		if ctx.Err() != nil {
			return 0, err
		}
		s.demote(srv)
	}
	type answer struct {
		stream *keepalive
		ttl    time.Duration
	}
	ctx, cancel := s.bound(ctx, renewTimeout)
	defer cancel()
	a, err := race(ctx, s, renewStagger, func(ctx context.Context, c *conn) (answer, error) {
		k, err := c.keepalive(ctx)
		if err != nil {
			return answer{}, err
		}
		ttl, err := k.renew(ctx, lease)
		return answer{k, ttl}, err
	}, func(a answer) { a.stream.cancel() })
	if err != nil {
		return 0, err
	}
	r.stream = a.stream
	return a.ttl, nil
}

// keepalive opens a stream that outlives ctx, which bounds the opening only.
func (c *conn) keepalive(ctx context.Context) (*keepalive, error) {
	live, cancel := context.WithCancel(clientv3.WithRequireLeader(c.store.ctx))
	unhook := context.AfterFunc(ctx, cancel)
	pipe, err := c.lease.LeaseKeepAlive(live)
	if err == nil && !unhook() {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, hint(err)
	}
	return &keepalive{srv: c.server, pipe: pipe, cancel: cancel}, nil
}

// renew sends one request and waits for its answer. After an error the stream is of no use and has ended: an answer to this request
// must not be taken for one to a later request.
func (k *keepalive) renew(ctx context.Context, lease int64) (time.Duration, error) {
	unhook := context.AfterFunc(ctx, k.cancel)
	err := k.pipe.Send(&pb.LeaseKeepAliveRequest{ID: lease})
	var r *pb.LeaseKeepAliveResponse
	if err == nil || errors.Is(err, io.EOF) {
		r, err = k.pipe.Recv() // says why the stream has ended, if it has
	}
	if !unhook() && err == nil {
		err = ctx.Err()
	}
	if err == nil && r.ID != lease {
		err = errShape
	}
	if err != nil {
		k.cancel()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrSilent, ctx.Err())
		}
		return 0, hint(err)
	}
	return time.Duration(r.TTL) * time.Second, nil
}
