package leases

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A path that has dropped packets for a while leaves connections that are worth nothing: TCP sends again ever more seldom, up to as long after the path
// has healed as it was cut, and a firewall between may have forgotten them for good. gRPC would notice after 13 s at the earliest. So a connection on
// which nothing answers is given up, and a new one is dialed: its first packet leaves at once, and again at least every second.

const (
	// silentAfter is how long nothing may have answered on a connection until it is doubted.
	silentAfter = time.Second
	// doubtTimeout bounds the question that settles it. etcd answers that one without a quorum, so servers that wait for an election, or have lost their
	// majority, keep their connections.
	doubtTimeout = 400 * time.Millisecond
)

// heardFrom notes what became of a request: any answer, a refusal too, shows that the connection is alive.
func (c *conn) heardFrom(err error) {
	now := c.store.cfg.Now()
	if !unanswered(err) {
		c.heard.Store(int64(now))
		return
	}
	if now-time.Duration(c.heard.Load()) >= silentAfter {
		c.doubt()
	}
}

// unanswered tells whether a request ended because its caller did not wait any longer.
func unanswered(err error) bool {
	code := status.Code(err)
	return code == codes.DeadlineExceeded || code == codes.Canceled || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// doubt asks the server how it is, in the background, and gives the connection up if that is not answered either.
func (c *conn) doubt() {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !c.doubted.CompareAndSwap(false, true) {
		return
	}
	s.dials.Go(func() {
		defer c.doubted.Store(false)
		ctx, cancel := context.WithTimeout(s.ctx, s.doubt)
		defer cancel()
		if _, err := c.status.Status(ctx, &pb.StatusRequest{}); unanswered(err) {
			c.server.drop(c)
			return
		}
		c.heard.Store(int64(s.cfg.Now()))
	})
}

// drop gives a connection up. Requests on it fail as those of a server that died: a write is in doubt.
func (srv *server) drop(c *conn) {
	srv.mu.Lock()
	mine := srv.conn == c
	if mine {
		srv.conn = nil
	}
	srv.mu.Unlock()
	if mine {
		srv.store.cfg.Log.Debug("a connection to etcd is silent, dialing anew", "endpoint", srv.url)
		_ = c.client.Close() // the error of a connection that is given up says nothing
	}
}
