package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/lab"
)

// The faults of etcd's servers.

// role says which server is meant.
type role int

const (
	leader role = iota
	follower
)

// cast returns the server that leads, and the others.
func (w *World) cast(ctx context.Context) (leads *lab.Server, follow []*lab.Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		term := uint64(0)
		for s, client := range w.clients {
			ask, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			status, err := client.Status(ask, s.Endpoint())
			cancel()
			// One that led before it was cut off or stood still may not know yet.
			if err == nil && status.Leader == status.Header.MemberId && status.RaftTerm > term {
				leads, term = s, status.RaftTerm
			}
		}
		if leads != nil {
			break
		}
		if !lasts(ctx, 20*time.Millisecond) {
			return nil, nil, noEffect("etcd has no leader")
		}
	}
	for _, s := range w.Etcd.Servers {
		if s != leads {
			follow = append(follow, s)
		}
	}
	return leads, follow, nil
}

// server is the one of this role; which follower, the draw decides.
func (w *World) server(ctx context.Context, f Fault, r role) (*lab.Server, error) {
	leads, follow, err := w.cast(ctx)
	if err != nil || r == leader {
		return leads, err
	}
	i, _ := f.pick(len(follow))
	return follow[i], nil
}

// onServer is a fault of one server, during which it does not answer.
func onServer(r role, begin, end func(*lab.Server)) func(context.Context, *World, Fault) (broken, error) {
	return func(ctx context.Context, w *World, f Fault) (broken, error) {
		s, err := w.server(ctx, f, r)
		if err != nil {
			return broken{}, err
		}
		b := broken{target: s.Name}
		begin(s)
		b.shows = func() error {
			ask, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			if _, err := w.clients[s].Status(ask, s.Endpoint()); err == nil {
				return noEffect("it answers")
			}
			return nil
		}
		b.mend = func() error { end(s); return nil }
		return b, nil
	}
}

func killServer(r role) func(context.Context, *World, Fault) (broken, error) {
	return onServer(r, (*lab.Server).Kill, (*lab.Server).Start)
}

func pauseServer(r role) func(context.Context, *World, Fault) (broken, error) {
	return onServer(r, (*lab.Server).Pause, (*lab.Server).Continue)
}

func cutServer(r role) func(context.Context, *World, Fault) (broken, error) {
	return onServer(r, (*lab.Server).Cut, (*lab.Server).Heal)
}

// quorumLost strikes the leader and a follower, or all followers.
func quorumLost(ctx context.Context, w *World, f Fault) (broken, error) {
	leads, follow, err := w.cast(ctx)
	if err != nil {
		return broken{}, err
	}
	ways := []struct {
		what       string
		begin, end func(*lab.Server)
	}{
		{"stand still", (*lab.Server).Pause, (*lab.Server).Continue},
		{"cut off", (*lab.Server).Cut, (*lab.Server).Heal},
		{"killed", (*lab.Server).Kill, (*lab.Server).Start},
	}
	i, f := f.pick(len(ways))
	with, _ := f.pick(2)
	hit := follow
	if with == 1 {
		hit = append([]*lab.Server{leads}, follow[1:]...)
	}
	b := broken{target: fmt.Sprintf("%d servers %s, %s the leader", len(hit), ways[i].what, [...]string{"without", "with"}[with])}
	for _, s := range hit {
		ways[i].begin(s)
	}
	b.shows = func() error {
		ask, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if _, err := w.Etcd.Client().Get(ask, "quorum"); err == nil {
			return noEffect("etcd answers")
		}
		return nil
	}
	b.mend = func() error {
		for _, s := range hit {
			ways[i].end(s)
		}
		return nil
	}
	return b, nil
}

func leaderMoved(ctx context.Context, w *World, f Fault) (broken, error) {
	leads, follow, err := w.cast(ctx)
	if err != nil {
		return broken{}, err
	}
	i, _ := f.pick(len(follow))
	to := follow[i]
	b := broken{target: leads.Name + " to " + to.Name}
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, err := w.clients[to].Status(ask, to.Endpoint())
	if err == nil {
		_, err = w.clients[leads].MoveLeader(ask, status.Header.MemberId)
	}
	if err != nil {
		return b, noEffect(err.Error())
	}
	return b, nil
}

func compacted(ctx context.Context, w *World, f Fault) (broken, error) {
	b := broken{target: "etcd"}
	return b, w.ask(ctx, f, func(ctx context.Context, e *clientv3.Client) error {
		now, err := e.Get(ctx, "revision")
		if err == nil {
			b.target = fmt.Sprintf("etcd before %d", now.Header.Revision)
			_, err = e.Compact(ctx, now.Header.Revision)
		}
		return err
	})
}

// ask makes a request to etcd as an operator does who has no luck with one server and tries the next. An error is a noEffect.
func (w *World) ask(ctx context.Context, f Fault, request func(context.Context, *clientv3.Client) error) error {
	var errs []error
	all := w.Etcd.Servers
	for i := range all {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		err := request(ask, w.clients[all[(int(f.Draw%uint32(len(all)))+i)%len(all)]])
		cancel()
		if why := noEffect(""); err == nil || errors.As(err, &why) {
			return err
		}
		errs = append(errs, err)
	}
	return noEffect(fmt.Sprintf("etcd did not do it: %v", errors.Join(errs...)))
}

// Revision is etcd's, by a linearizable read.
func (w *World) Revision(ctx context.Context) (rev int64, err error) {
	err = w.ask(ctx, Fault{}, func(ctx context.Context, e *clientv3.Client) error {
		answer, err := e.Get(ctx, "revision")
		if err == nil {
			rev = answer.Header.Revision
		}
		return err
	})
	return rev, err
}
