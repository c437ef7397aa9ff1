package leases

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// server is one etcd endpoint with one connection of its own. A client over all endpoints would choose among them blindly, and would
// choose a hung one for every n-th request; this way the Store knows who answered, and a hedged request surely goes to somebody else.
type server struct {
	url   string
	store *Store

	mu      sync.Mutex
	conn    *conn
	dialing chan struct{} // closed when the dial under way has ended; nil: none is
	err     error         // of the last dial
}

// conn holds the stubs of one connection. They fail at once when the server cannot be reached, where clientv3's own would wait, and
// they never repeat a request except after fetching a new token (clientv3, retry_interceptor.go).
type conn struct {
	*server
	client *clientv3.Client
	kv     pb.KVClient
	lease  pb.LeaseClient
	watch  pb.WatchClient
	status pb.MaintenanceClient

	heard   atomic.Int64 // Now() when it was made, or something was last answered on it
	doubted atomic.Bool  // it is being found out whether anything is
}

// txn begins a transaction that is sent over this connection alone.
func (c *conn) txn(ctx context.Context, opts ...grpc.CallOption) clientv3.Txn {
	return clientv3.NewKVFromKVClient(withOptions{c.kv, opts}, nil).Txn(ctx)
}

// withOptions adds call options to transactions.
type withOptions struct {
	pb.KVClient
	opts []grpc.CallOption
}

func (w withOptions) Txn(ctx context.Context, r *pb.TxnRequest, opts ...grpc.CallOption) (*pb.TxnResponse, error) {
	return w.KVClient.Txn(ctx, r, append(opts, w.opts...)...)
}

// connect returns the connection, made when there is none yet. Nothing has been sent on behalf of the caller when it fails.
func (srv *server) connect(ctx context.Context) (*conn, error) {
	if srv.store.ctx.Err() != nil {
		return nil, ErrClosed
	}
	srv.mu.Lock()
	if srv.conn == nil && srv.dialing == nil && !srv.dialLocked() {
		srv.mu.Unlock()
		return nil, ErrClosed
	}
	c, dialing := srv.conn, srv.dialing
	srv.mu.Unlock()
	if c != nil {
		return c, nil
	}
	select {
	case <-dialing:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.conn == nil {
		return nil, hint(srv.err)
	}
	return srv.conn, nil
}

// dialLocked makes the client in the background, because with a password clientv3.New talks to etcd. It reports false when the Store
// is closed.
func (srv *server) dialLocked() bool {
	s := srv.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	done := make(chan struct{})
	srv.dialing = done
	s.dials.Go(func() {
		client, err := clientv3.New(s.clientConfig(srv.url))
		srv.mu.Lock()
		defer srv.mu.Unlock()
		srv.dialing, srv.err = nil, err
		if err == nil {
			cc := client.ActiveConnection()
			srv.conn = &conn{
				server: srv, client: client,
				kv: pb.NewKVClient(cc), lease: pb.NewLeaseClient(cc), watch: pb.NewWatchClient(cc), status: pb.NewMaintenanceClient(cc),
			}
			srv.conn.heard.Store(int64(s.cfg.Now()))
		}
		close(done)
	})
	return true
}

func (s *Store) clientConfig(url string) clientv3.Config {
	c := clientv3.Config{
		Endpoints: []string{url},
		Username:  s.cfg.Username, Password: s.cfg.Password,
		Context: s.ctx,
		Logger:  s.zap,
		// Bounds the first login only.
		DialTimeout: callTimeout,
		// gRPC allows no less than 10 s. The second value is also the TCP user timeout: a path that drops packets is given up after 3 s.
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		// A request is sent once, and again after a new token (0 would mean 100 times).
		MaxUnaryRetries: 3,
		DialOptions: []grpc.DialOption{
			// By default gRPC waits up to 2 minutes between attempts to reconnect and 20 s for one: too long to find etcd back. TCP repeats the first packet
			// of an attempt after 1 s, so a longer one is no better than the next.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 400 * time.Millisecond},
				MinConnectTimeout: 800 * time.Millisecond,
			}),
			// Fixed windows: to find the best ones gRPC pings the server at each answer, which wakes a daemon with nothing to do ten times a second.
			grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(2 * window),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		},
	}
	if s.cfg.TLS != nil { // these options come after the client's own
		c.DialOptions = append(c.DialOptions, grpc.WithTransportCredentials(newRenewed(s.cfg.TLS)))
	}
	return c
}

// window is how many bytes etcd may send before this node takes them: a snapshot of 4,096 VIPs, so that a LAN's round trip does not slow it down.
const window = 4 << 20

// maxMessage is the longest answer, in bytes, that is accepted: a page of a snapshot, or a watch response.
const maxMessage = 64 << 20

func (srv *server) close() error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.conn == nil {
		return nil
	}
	if err := srv.conn.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close %s: %w", srv.url, err)
	}
	return nil
}
