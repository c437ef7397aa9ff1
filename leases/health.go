package leases

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// healthTimeout bounds the question to each server.
const healthTimeout = time.Second

// Endpoint is how one etcd server is, by its own account. It is for logs and status: authority comes from [Store.Check] alone. If
// none is Reachable, this node is cut off; if some are and none has a Leader, etcd has lost its quorum.
type Endpoint struct {
	URL       string
	Reachable bool          // it answered within 1 s
	Took      time.Duration // by Now; 0 if not Reachable
	Leader    bool          // it knows a leader
	Learner   bool          // it does not vote and serves no writes
	Member    uint64        // its id
	Cluster   uint64        // its cluster's id
	Revision  int64         // its revision, possibly behind
	Term      uint64        // of raft: it grows by one or more with each election
	Version   string        // of the server, for example "3.7.3"
	Errors    []string      // what it complains of, such as an alarm NOSPACE or no leader
	Err       error         // if not Reachable: why
}

// Health asks every server, all at once, how it is, and returns after at most 1 s, in the order of the configuration.
func (s *Store) Health(ctx context.Context) []Endpoint {
	// Not like other requests: a server without a leader is to say so, not to refuse.
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	byURL := map[string]*server{}
	for _, srv := range s.ranked() {
		byURL[srv.url] = srv
	}
	out := make([]Endpoint, len(s.cfg.Endpoints))
	var all sync.WaitGroup
	for i, url := range s.cfg.Endpoints {
		all.Go(func() { out[i] = byURL[url].health(ctx) })
	}
	all.Wait()
	return out
}

func (srv *server) health(ctx context.Context) Endpoint {
	e := Endpoint{URL: srv.url}
	c, err := srv.connect(ctx)
	if err != nil {
		e.Err = hint(err)
		return e
	}
	asked := srv.store.cfg.Now()
	r, err := c.status.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		e.Err = hint(err)
		return e
	}
	e.Reachable, e.Took = true, srv.store.cfg.Now()-asked
	e.Leader, e.Learner = r.Leader != 0, r.IsLearner
	e.Member, e.Cluster, e.Revision = r.Header.GetMemberId(), r.Header.GetClusterId(), r.Header.GetRevision()
	e.Term, e.Version, e.Errors = r.RaftTerm, r.Version, r.Errors
	return e
}
