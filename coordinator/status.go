package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"viplease/coordinator/plan"
)

// historyMost is how many events are kept.
const historyMost = 300

// history is the last events. It belongs to the loop.
type history struct{ list []Event }

func (h *history) add(e Event) {
	h.list = append(h.list, e)
	if len(h.list) >= 2*historyMost { // not each time
		h.list = append(h.list[:0:0], h.last()...)
	}
}

// last is what is kept.
func (h *history) last() []Event { return h.list[max(0, len(h.list)-historyMost):] }

// askTimeout is how long the loop may take to answer: it never blocks, so a longer silence means that it hangs.
const askTimeout = 2 * time.Second

var errStopped = errors.New("the coordinator has stopped")

// ask runs f in the loop and waits for it.
func (c *Coordinator) ask(ctx context.Context, f func(*plan.View, plan.Now)) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	done := make(chan struct{})
	select {
	case c.asks <- func(v *plan.View, now plan.Now) { f(v, now); close(done) }:
	case <-c.ended:
		return errStopped
	case <-ctx.Done():
		return fmt.Errorf("the coordinator does not answer: %w", ctx.Err())
	}
	select {
	case <-done:
		return nil
	case <-c.ended: // f panicked
		return errStopped
	}
}

// Do runs f in the loop and waits for it, two seconds at the most: whatever f does, hang or panic, the loop does. For tests of exactly that.
func (c *Coordinator) Do(f func()) {
	_ = c.ask(context.Background(), func(*plan.View, plan.Now) { f() })
}

// Snapshot returns what this node knows now. It may be called from any goroutine; it waits for the loop, two seconds at the most, and says in
// Self.Trouble if that does not answer.
func (c *Coordinator) Snapshot() Snapshot {
	s := Snapshot{Group: c.cfg.Plan.Group, Node: c.cfg.Plan.Node, Source: "daemon", Version: c.cfg.Plan.Version, Takeover: FastStatus{Links: []LinkStatus{}}, Members: []MemberStatus{}, VIPs: []VIPStatus{}, Events: []Event{}}
	err := c.ask(context.Background(), func(v *plan.View, now plan.Now) {
		fill(&s, v, now)
		s.Events = append(s.Events, c.events.last()...)
	})
	if err != nil {
		s.Self.Trouble = err.Error()
	}
	return s
}

func fill(s *Snapshot, v *plan.View, now plan.Now) {
	st := v.Standing()
	s.Revision = st.Revision
	s.Etcd.Reachable = st.Checked
	s.Etcd.AuthorityMS = max(v.Authority()-now.Boot, 0).Milliseconds()
	if v.Authority() == 0 {
		s.Etcd.AuthorityMS = 0
	}
	switch {
	case st.CheckErr != nil:
		s.Etcd.Trouble = st.CheckErr.Error()
	case !st.Checked && st.Revision == 0:
		s.Etcd.Trouble = "no answer from etcd yet"
		if st.ReadErr != "" {
			s.Etcd.Trouble += ": " + st.ReadErr
		}
	}
	s.Self = SelfStatus{Answers: true, Registered: st.Registered, Trouble: st.Trouble}
	if st.Frozen != nil {
		s.Frozen = st.Frozen.Said()
	}
	s.Takeover = v.Fast()
	s.Members, s.VIPs = v.Members(), v.VIPs(now)
}

// Observe returns what etcd holds, for a node whose daemon does not run.
func Observe(cfg plan.Config, read plan.SnapshotRead, now plan.Now) Snapshot {
	v := plan.New(cfg, now)
	v.Apply(read, now)
	s := Snapshot{Group: cfg.Group, Node: cfg.Node, Source: "etcd", Version: cfg.Version, Events: []Event{}}
	fill(&s, v, now)
	s.Etcd.Reachable, s.Etcd.Trouble = true, ""
	s.Self = SelfStatus{Trouble: "no daemon runs on this node"}
	return s
}

// Unreachable is what a node whose daemon does not run knows when etcd does not answer either.
func Unreachable(cfg plan.Config, err error) Snapshot {
	return Snapshot{
		Group: cfg.Group, Node: cfg.Node, Source: "etcd", Version: cfg.Version, Etcd: EtcdStatus{Trouble: err.Error()},
		Self: SelfStatus{Trouble: "no daemon runs on this node"}, Takeover: FastStatus{Links: []LinkStatus{}}, Members: []MemberStatus{}, VIPs: []VIPStatus{}, Events: []Event{},
	}
}
