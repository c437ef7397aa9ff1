package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/cluster"
)

// slot is one value of the key round: one slot was filled.
type slot struct {
	Number int64     `json:"number"`
	Slots  []string  `json:"slots"`
	At     time.Time `json:"at"`
	rev    int64
}

// slots are the values that the key round has had since a revision, from etcd's history.
func slots(t *testing.T, c *cluster.Cluster, since int64) (all []slot) {
	t.Helper()
	byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
		now, err := e.Get(ctx, keys+"round")
		if err != nil || len(now.Kvs) == 0 {
			return err
		}
		for rev := now.Kvs[0].ModRevision; rev > since; {
			then, err := e.Get(ctx, keys+"round", clientv3.WithRev(rev))
			if err != nil || len(then.Kvs) == 0 {
				return err
			}
			s := slot{rev: then.Kvs[0].ModRevision}
			if err := json.Unmarshal(then.Kvs[0].Value, &s); err != nil {
				return err
			}
			if s.rev <= since {
				return nil
			}
			all = append([]slot{s}, all...)
			rev = s.rev - 1
		}
		return nil
	})
	return all
}

// offered are the VIPs whose moves were offered for balance since a revision, by the revision of the offer, from etcd's history.
func offered(t *testing.T, c *cluster.Cluster, since int64) (revs map[int64]string) {
	t.Helper()
	revs = map[int64]string{}
	byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		last := c.Etcd.Revision()
		for answer := range e.Watch(ctx, keys+"claims/", clientv3.WithPrefix(), clientv3.WithRev(since+1), clientv3.WithProgressNotify()) {
			if err := answer.Err(); err != nil {
				return err
			}
			for _, event := range answer.Events {
				var claim struct {
					VIP, To, Why string
					Accept       int64
				}
				if json.Unmarshal(event.Kv.Value, &claim) == nil && claim.To != "" && claim.Accept == 0 && claim.Why == "balance" {
					revs[event.Kv.ModRevision] = claim.VIP
				}
			}
			if answer.Header.Revision >= last {
				return nil
			}
		}
		return ctx.Err()
	})
	return revs
}

// TestRounds: at most one move for balance in an interval, whoever makes it, until the load is what the weights say; freeze stops all moves, balance brings the next round, and what nobody holds and what
// is drained waits for neither.
func TestRounds(t *testing.T) {
	t.Parallel()
	const interval = 1200 * time.Millisecond
	c := cluster.Start(t, cluster.Options{VIPs: 8, Idle: true, Config: "weight = {node3 = 2}\n", Tables: fmt.Sprintf("[balance]\nmoves_per_round = 1\ninterval = \"%v\"\n", interval)})
	one, two, three := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	put(t, c, keys+"drains/"+three.Name, `{"v":1}`)
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name))
	}
	c.Within(cluster.Wait+patience, "two nodes have all", c.Even(one, two))

	began := c.Etcd.Revision()
	del(t, c, keys+"drains/"+three.Name)
	loads := func(of ...int) func(map[netip.Addr][]string) bool {
		return func(up map[netip.Addr][]string) bool {
			n := cluster.Loads(up)
			return c.AllHeld(up) && n[one.Name] == of[0] && n[two.Name] == of[1] && n[three.Name] == of[2]
		}
	}
	took := c.Within(5*interval+patience, "the third has its share, which is half", loads(2, 2, 4))
	all, offers := slots(t, c, began), offered(t, c, began)
	if len(all) != 4 || len(offers) != 4 {
		t.Fatalf("4 moves even the load; %d slots were filled, %d offers made: %v, %v", len(all), len(offers), all, offers)
	}
	for i, s := range all {
		if len(s.Slots) != 1 || s.Slots[0] != offers[s.rev] {
			t.Errorf("round %d holds %v, and the offer beside it is of %q", s.Number, s.Slots, offers[s.rev])
		}
		if i > 0 && s.At.Sub(all[i-1].At) < interval {
			t.Errorf("round %d came %v after the one before", s.Number, s.At.Sub(all[i-1].At))
		}
	}
	t.Logf("4 moves in %v, the rounds %v, %v and %v apart", took.Round(time.Millisecond), all[1].At.Sub(all[0].At), all[2].At.Sub(all[1].At), all[3].At.Sub(all[2].At))

	run(t, one, "freeze")
	run(t, one, "drain", one.Name)
	before := len(c.Judge.History())
	observe(time.Second)
	if now := c.Judge.History(); len(now) > before {
		t.Errorf("frozen, and VIPs moved: %v", now[before:])
	}
	if err := two.Stop(); err != nil {
		t.Fatalf("the daemon of %s: %v\n%s", two.Name, err, two.Logs())
	}
	c.Within(2*time.Second, "frozen, and what nobody holds is claimed", loads(2, 0, 6))

	began = c.Etcd.Revision()
	run(t, one, "unfreeze")
	c.Within(2*time.Second, "a drain waits for no round", loads(0, 0, 8))
	if all := slots(t, c, began); len(all) > 0 {
		t.Errorf("a drain filled slots: %v", all)
	}
	run(t, one, "undrain", one.Name)
	await(t, "the first round", patience, func() bool { return len(slots(t, c, began)) == 1 })
	run(t, one, "balance")
	await(t, "the second round", patience, func() bool { return len(slots(t, c, began)) == 2 })
	if all := slots(t, c, began); all[1].At.Sub(all[0].At) >= interval {
		t.Errorf("asked for, the round came %v after the one before", all[1].At.Sub(all[0].At))
	}
}
