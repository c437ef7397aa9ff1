package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/cluster"
	"viplease/e2e/faults"
)

// settle waits until everything is at rest: every daemon runs, every VIP is up once and answers, loads are even, and for a while no address and no key
// changes. Nothing must be broken. Then the judge looks whether it has missed anything.
func (s *run) settle(ctx context.Context) error {
	began := sinceBoot()
	limit, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var was, now state
	var since time.Duration // it has been so
	for trouble := "nothing is known"; ; {
		select {
		case <-tick.C:
		case <-limit.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %s", errUnquiet, trouble)
		}
		for _, n := range s.Nodes {
			if !s.Running(n) {
				return fmt.Errorf("%w: the daemon of %s has ended by itself", errUnquiet, n.Name)
			}
		}
		asked := sinceBoot()
		if now, trouble = s.look(limit); trouble == "" && now != was {
			trouble = fmt.Sprintf("%d address changes and %d revisions within %v", now.changes-was.changes, now.revision-was.revision, asked-since)
		}
		if trouble != "" {
			was, since = now, asked
			continue
		}
		if asked-since >= calm {
			break
		}
	}
	took := sinceBoot() - began - calm
	s.settled = append(s.settled, took)
	fmt.Printf("%s at rest after %.1fs\n", s.clock(), max(0, took).Seconds())
	if err := s.Judge.Verdict(); err != nil {
		return errors.Join(errRed, err)
	}
	return nil
}

// forgive lets etcd forget who was evicted. Each eviction within ten minutes doubles how long a node has to be well before it is given VIPs, and no phase
// would ever come to rest.
func (s *run) forgive(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	_, _ = s.Etcd.Client().Delete(ctx, faults.Keys+"evictions/", clientv3.WithPrefix()) // settle says what is wrong
}

// state changes with everything that changes in the cluster.
type state struct {
	changes  int
	revision int64
}

// look returns the state of the cluster now, and why it is not what it should be.
func (s *run) look(ctx context.Context) (now state, trouble string) {
	now.changes = len(s.Judge.History())
	up := s.Judge.Holders()
	if !s.Even(s.Nodes...)(up) {
		return now, s.uneven(up)
	}
	alive := s.Probe.Alive()
	if silent := slices.DeleteFunc(slices.Clone(s.VIPs), func(v netip.Addr) bool { return slices.Contains(alive, v) }); len(silent) > 0 {
		return now, fmt.Sprintf("no answer from %v", silent)
	}
	rev, err := s.Revision(ctx)
	if err != nil {
		return now, err.Error()
	}
	now.revision = rev
	return now, ""
}

// uneven says in words how the VIPs are spread.
func (s *run) uneven(up map[netip.Addr][]string) string {
	var b strings.Builder
	load := cluster.Loads(up)
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "%s has %d VIPs, ", n.Name, load[n.Name])
	}
	fmt.Fprintf(&b, "%d are up nowhere", len(s.VIPs)-len(up))
	return b.String()
}
