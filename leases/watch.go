package leases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// probeEvery is how often a watch asks the server for its revision, and probes how many times in a row may stay unanswered.
	probeEvery = time.Second
	probes     = 3
	// openTimeout bounds the making of a watch on one server.
	openTimeout = time.Second
)

// Batch is what happened up to Revision since the last Batch: the last state of every key that changed, each in one of the lists.
// Whole revisions only. A Batch without keys says that nothing has happened up to Revision: the view is that fresh.
type Batch struct {
	Cluster  uint64 // etcd's cluster id
	Revision int64
	Changed  []Entry
	Deleted  []Deleted
}

// Deleted is a key that is gone, by deletion or because its lease ended; etcd does not tell which.
type Deleted struct {
	Key string // below the prefix
	Mod int64  // revision that deleted it
}

// Watch delivers what happens below the prefix from revision from on: one more than that of a [Store.Read], or than the last Batch's.
// It blocks until ctx ends, and returns nil then, or until the watch is broken, and returns why: [ErrCompacted], [ErrSilent] after
// three unanswered probes, a server without a leader for 3 s, a lost connection. The caller then reads again; except after
// ErrCompacted it may as well watch from its last Batch on. The next Watch asks another server.
//
// deliver is called in the goroutine of the caller, in order of revisions; while it runs nothing is read, and a slow one is not
// mistaken for a silent server. Once a second, while nothing happens, a Batch without keys arrives. A watch may lag behind without
// bound: only a [Store.Check] says what is true now.
func (s *Store) Watch(ctx context.Context, from int64, deliver func(Batch)) error {
	live, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	w := &watch{store: s, from: from, deliver: deliver, last: from - 1}
	var failed error
	for _, srv := range s.ranked() {
		started, err := w.on(live, srv)
		switch {
		case ctx.Err() != nil:
			return nil
		case s.ctx.Err() != nil:
			return fmt.Errorf("watch: %w", ErrClosed)
		}
		failed = fmt.Errorf("watch %s from revision %d on %s: %w", s.cfg.Prefix, from, srv.url, hint(err))
		if errors.Is(failed, ErrCompacted) {
			return failed
		}
		s.demote(srv)
		if started {
			return failed
		}
	}
	return failed
}

// watch is one watch under way.
type watch struct {
	store   *Store
	from    int64
	deliver func(Batch)
	last    int64 // revision up to which everything has been delivered
}

// on watches on one server until that fails. It reports whether the server had accepted the watch.
func (w *watch) on(ctx context.Context, srv *server) (started bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opening := time.AfterFunc(openTimeout, cancel)
	pipe, err := w.open(ctx, srv)
	if !opening.Stop() {
		return false, ErrSilent
	}
	if err != nil {
		return false, err
	}
	return true, w.run(ctx, cancel, pipe)
}

// open makes a watch and waits until the server has accepted it.
func (w *watch) open(ctx context.Context, srv *server) (pb.Watch_WatchClient, error) {
	c, err := srv.connect(ctx)
	if err != nil {
		return nil, err
	}
	pipe, err := c.watch.Watch(ctx)
	if err != nil {
		return nil, err
	}
	// From one revision earlier than wanted: a server does not answer probes while it waits for a revision that is yet to come (etcd,
	// server/storage/mvcc/watchable_store.go, progressIfSync), and an idle etcd would look silent.
	create := &pb.WatchCreateRequest{
		Key: []byte(w.store.key("")), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(w.store.key(""))), StartRevision: max(w.from-1, 1),
	}
	if err := pipe.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r, err := pipe.Recv() // says why, if Send has failed
	if err != nil {
		return nil, err
	}
	return pipe, broken(r)
}

// run delivers what a watch that has been accepted receives, and probes the server. In the end it cancels ctx, the context of pipe.
func (w *watch) run(ctx context.Context, cancel context.CancelFunc, pipe pb.Watch_WatchClient) error {
	type received struct {
		r   *pb.WatchResponse
		err error
	}
	in := make(chan received)
	done := make(chan struct{})
	defer func() { <-done }()
	defer cancel()
	go func() {
		defer close(done)
		for {
			r, err := pipe.Recv()
			select {
			case in <- received{r, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	unanswered := 0
	for {
		select {
		case got := <-in:
			if got.err != nil {
				return got.err
			}
			unanswered = 0
			if err := w.take(got.r); err != nil {
				return err
			}
		case <-tick.C:
			if unanswered == probes {
				return ErrSilent
			}
			unanswered++
			probe := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
			if err := pipe.Send(probe); err != nil && !errors.Is(err, io.EOF) {
				return err
			} // else Recv says why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// broken reports why the server ended the watch, or nil.
func broken(r *pb.WatchResponse) error {
	switch {
	case r.CompactRevision != 0:
		return fmt.Errorf("%w up to %d", ErrCompacted, r.CompactRevision)
	case r.Canceled:
		return fmt.Errorf("the server ended it: %s", r.CancelReason)
	}
	return nil
}

// take delivers one response. Only an answer to a probe carries in its header the revision up to which everything has been sent; the
// header of a response with events may be ahead of them (etcd, server/storage/mvcc/watchable_store.go, syncWatchers).
func (w *watch) take(r *pb.WatchResponse) error {
	if err := broken(r); err != nil {
		return err
	}
	if r.Created {
		return nil
	}
	b := Batch{Cluster: r.Header.GetClusterId(), Revision: r.Header.GetRevision()}
	if n := len(r.Events); n > 0 {
		b.Revision = r.Events[n-1].GetKv().GetModRevision()
		if b.Revision < w.from {
			return nil // the one revision too many that was asked for
		}
		w.store.fold(&b, r.Events, w.from)
	}
	if b.Revision < w.last {
		return fmt.Errorf("etcd's revision went back from %d to %d", w.last, b.Revision)
	}
	w.last = b.Revision
	w.deliver(b)
	return nil
}

// fold adds the last event of each key to the batch, in order. Of one revision etcd sends at most one event of a key.
func (s *Store) fold(b *Batch, events []*mvccpb.Event, from int64) {
	last := make(map[string]int, len(events))
	for i, e := range events {
		last[string(e.GetKv().GetKey())] = i
	}
	for i, e := range events {
		kv := e.GetKv()
		if last[string(kv.GetKey())] != i || kv.GetModRevision() < from {
			continue
		}
		if entry := s.entry(kv); e.Type == mvccpb.Event_DELETE {
			b.Deleted = append(b.Deleted, Deleted{Key: entry.Key, Mod: entry.Mod})
		} else {
			b.Changed = append(b.Changed, entry)
		}
	}
}
