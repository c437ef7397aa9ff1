package e2e

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// The faults of etcd. As long as reads are away for less than readOutage nothing moves and no packet is lost; beyond it nodes may withdraw. Two never
// hold one VIP, whatever etcd does.

// readOutage is what hold covers: how long etcd may answer no linearizable read.
const readOutage = 1600 * time.Millisecond

// reads runs fn and returns the longest time in which no server answered a linearizable read, asked as the daemons ask.
func reads(c *cluster.Cluster, fn func()) (away time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	var mu sync.Mutex
	last := time.Now()
	for _, s := range c.Etcd.Servers {
		client := s.Client()
		asking.Go(func() {
			defer client.Close()
			for ctx.Err() == nil {
				ask, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				_, err := client.Get(ask, "reads")
				cancel()
				if err == nil {
					mu.Lock()
					away, last = max(away, time.Since(last)), time.Now()
					mu.Unlock()
				}
				observe(5 * time.Millisecond)
			}
		})
	}
	fn()
	stop()
	asking.Wait()
	return away
}

// calm runs a fault of etcd's. If reads were away for less than readOutage it holds that nothing moved and no packet was lost, and returns true;
// otherwise that the cluster comes to rest.
func calm(t *testing.T, c *cluster.Cluster, what string, fault func()) bool {
	t.Helper()
	before, mark, members := len(c.Judge.History()), c.Probe.Mark(), c.Etcd.Get(keys+"members/")
	away := reads(c, func() {
		fault()
		observe(cluster.Hold + cluster.Late + time.Second)
	})
	revoked := 0
	for i, now := range c.Etcd.Get(keys + "members/") {
		if i >= len(members) || now.CreateRevision != members[i].CreateRevision {
			revoked++
		}
	}
	t.Logf("%s: reads were away for %v; %d of %d leases were revoked", what, away.Round(time.Millisecond), revoked, len(members))
	if away >= readOutage {
		t.Logf("%s: that is beyond the %v that hold covers: nodes may withdraw", what, readOutage)
		c.Within(cluster.Wait+patience, what, c.Even(c.Nodes...))
		c.Answering(2 * time.Second)
		return false
	}
	c.NoLoss(mark, what)
	if after := c.Judge.History(); len(after) != before {
		t.Fatalf("%s: addresses changed: %v", what, after[before:])
	}
	return true
}

// follower is a server that does not lead.
func follower(c *cluster.Cluster) *lab.Server {
	leader := c.Etcd.Leader()
	for _, s := range c.Etcd.Servers {
		if s != leader {
			return s
		}
	}
	return nil
}

// TestEtcdServerFaults: one of three servers hangs, or cannot be reached, for three times the TTL. A leader that wakes revokes leases that live.
func TestEtcdServerFaults(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Etcd: 3})
	c.Settled()
	faults := []struct {
		what       string
		of         func() *lab.Server
		begin, end func(*lab.Server)
	}{
		{"leader hangs", c.Etcd.Leader, (*lab.Server).Pause, (*lab.Server).Continue},
		{"leader cut off", c.Etcd.Leader, (*lab.Server).Cut, (*lab.Server).Heal},
		{"follower silent", func() *lab.Server { return follower(c) }, (*lab.Server).Pause, (*lab.Server).Continue},
		{"follower's packets dropped", func() *lab.Server { return follower(c) }, (*lab.Server).Cut, (*lab.Server).Heal},
	}
	calms := make([]int, len(faults))
	for range rounds(1, 20) {
		for i, f := range faults {
			for try := 0; try < 3 && calms[i] == 0 || try == 0; try++ { // busy cores can keep the other servers from electing a leader in time
				ok := calm(t, c, f.what, func() {
					s := f.of()
					f.begin(s)
					if c.Etcd.Leader() == s {
						t.Fatalf("%s: it leads", f.what)
					}
					observe(3 * cluster.TTL)
					f.end(s)
				})
				if ok {
					calms[i]++
				}
			}
		}
	}
	for i, f := range faults {
		if calms[i] == 0 {
			t.Errorf("%s: reads were never back within %v, so nothing was shown", f.what, readOutage)
		}
	}
}

func TestEtcdRollingRestart(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Etcd: 3})
	c.Settled()
	for range rounds(1, 20) {
		quiet(t, c, "rolling restart of etcd", func() {
			for _, s := range c.Etcd.Servers {
				s.Stop()
				if s.Running() {
					t.Fatalf("%s still runs", s.Name)
				}
				s.Start()
			}
		})
	}
}

// TestEtcdSlow: a server that stands still again and again, for less than a check's timeout.
func TestEtcdSlow(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	s := c.Etcd.Servers[0]
	for range rounds(1, 20) {
		worst := time.Duration(0)
		calm(t, c, "etcd slow", func() {
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				pulse := 100*time.Millisecond + rand.N(150*time.Millisecond)
				worst = max(worst, pulse)
				s.Pause()
				observe(pulse)
				s.Continue()
				observe(100*time.Millisecond + rand.N(150*time.Millisecond))
			}
		})
		t.Logf("worst pulse %v", worst.Round(time.Millisecond))
	}
}

// quorumLost stops a majority of the servers in their tracks while it runs during; with or without the leader.
func quorumLost(t *testing.T, c *cluster.Cluster, leader bool, during func()) {
	t.Helper()
	first := c.Etcd.Leader()
	left := first
	if leader {
		left = follower(c)
	}
	for _, s := range c.Etcd.Servers {
		if s != left {
			s.Pause()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Etcd.Client().Put(ctx, "quorum", ""); err == nil {
		t.Fatal("etcd took a write without a majority")
	}
	during()
	for _, s := range c.Etcd.Servers {
		s.Continue()
	}
}

func TestEtcdQuorumLostForASecond(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Etcd: 3})
	c.Settled()
	calms := 0
	for i := range rounds(2, 20) {
		leader := i%2 == 0
		what := map[bool]string{true: "leader and a follower hang for a second", false: "both followers hang for a second"}[leader]
		if calm(t, c, what, func() { quorumLost(t, c, leader, func() { observe(500 * time.Millisecond) }) }) {
			calms++
		}
	}
	if calms == 0 {
		t.Errorf("reads were never back within %v, so nothing was shown", readOutage)
	}
}

func TestEtcdQuorumLost(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Etcd: 3})
	c.Settled()
	for i := range rounds(1, 20) {
		held, changes := c.Judge.Holders(), len(c.Judge.History())
		quorumLost(t, c, i%2 == 0, func() {
			// A check may have been answered just before, and half a second has passed.
			const done = 500 * time.Millisecond
			took := c.Within(cluster.Hold-done+200*time.Millisecond, "withdrawal of everything", func(up map[netip.Addr][]string) bool { return len(up) == 0 }) + done
			t.Logf("no VIP was up %v after the majority was lost", took.Round(10*time.Millisecond))
			if early := cluster.Hold - time.Second; took < early {
				t.Errorf("that is before %v: hold was not used", early)
			}
			for _, n := range c.Nodes {
				s, err := c.Status(n)
				if err != nil || s.Etcd.Reachable || s.Etcd.AuthorityMS != 0 || s.Etcd.Trouble == "" {
					t.Errorf("status of %s does not say that etcd is away: %+v, %v", n.Name, s.Etcd, err)
				}
			}
			observe(20*time.Second - took)
		})
		back := time.Now()
		c.Within(cluster.Wait+2*time.Second, "return", c.AllHeld)
		took := time.Since(back)
		c.Answering(2 * time.Second)
		t.Logf("every VIP was up again %v after the majority returned", took.Round(10*time.Millisecond))
		observe(2 * time.Second)
		// Each VIP went down once and came up once, where it was.
		if now := c.Judge.Holders(); !maps.EqualFunc(now, held, slices.Equal) {
			t.Errorf("VIPs moved: they were up on %v and are on %v", held, now)
		}
		if all := c.Judge.History()[changes:]; len(all) != 2*len(c.VIPs) {
			t.Errorf("%d changes where %d are enough: %v", len(all), 2*len(c.VIPs), all)
		}
	}
}

// TestEtcdCompactedWhileAway: a node comes back to an etcd that has forgotten what it missed.
func TestEtcdCompactedWhileAway(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		n := c.Nodes[2]
		n.Mgmt.Cut()
		c.Within(cluster.Hold+200*time.Millisecond, "withdrawal", c.None(n))
		c.Within(takeover, "takeover", c.Even(others(c, n)...))
		run(t, c.Nodes[0], "drain", "--wait", "--timeout", "10s")
		run(t, c.Nodes[0], "undrain")
		c.Etcd.Compact()
		byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
			for answer := range e.Watch(ctx, keys, clientv3.WithPrefix(), clientv3.WithRev(1)) {
				if answer.CompactRevision > 1 {
					return nil
				}
			}
			return errors.New("nothing was compacted")
		})
		n.Mgmt.Heal()
		healed := time.Now()
		returned(t, c, patience)
		t.Logf("back at work %v after etcd could be reached again", time.Since(healed).Round(10*time.Millisecond))
		s, err := c.Status(n)
		if err != nil || s.Revision < c.Etcd.Revision() || !s.Etcd.Reachable {
			t.Errorf("status of %s is behind: revision %d, %+v, %v", n.Name, s.Revision, s.Etcd, err)
		}
	}
}

// TestEtcdAwayBeyondHold: a node withdraws, and is back before anybody may take what it held, which is W later where nobody can be evicted. It takes up what
// it had, once, and nothing moves.
func TestEtcdAwayBeyondHold(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Mode: cluster.Strict})
	c.Settled()
	for i := range rounds(2, 20) {
		n, changes, began := c.Nodes[i%len(c.Nodes)], len(c.Judge.History()), time.Now()
		held := of(c, n)
		n.Mgmt.Cut()
		withdrawn(t, c, n, began, cluster.Hold+200*time.Millisecond)
		n.Mgmt.Heal()
		healed := time.Now()
		c.Within(patience, "return", c.AllHeld)
		t.Logf("every VIP was up again %v after etcd could be reached again", time.Since(healed).Round(10*time.Millisecond))
		observe(3 * time.Second)
		if now := of(c, n); !slices.Equal(now, held) {
			t.Errorf("%s held %v and holds %v", n.Name, held, now)
		}
		if all := c.Judge.History()[changes:]; len(all) != 2*len(held) {
			t.Errorf("%d changes where %d are enough: %v", len(all), 2*len(held), all)
		}
		c.Within(patience, "rest", c.Even(c.Nodes...))
		c.Answering(2 * time.Second)
	}
}

// fill writes to etcd until its space is used up.
func fill(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
		for {
			_, err := e.Put(ctx, "filler", strings.Repeat("x", 256<<10))
			if errors.Is(err, rpctypes.ErrNoSpace) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// TestEtcdFull: etcd refuses every write. What is held stays; what becomes free stays free, and every node says why, until there is space again.
func TestEtcdFull(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Idle: true})
	s := c.Etcd.Servers[0]
	s.Stop()
	s.Args = []string{"--quota-backend-bytes", "4194304"}
	s.Start()
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name))
	}
	for range rounds(1, 20) {
		c.Settled()
		quiet(t, c, "etcd is full", func() { fill(t, c); observe(2 * cluster.TTL) })

		n, began := c.Nodes[1], time.Now()
		n.Kill()
		withdrawn(t, c, n, began, cluster.Hold+cluster.Late+100*time.Millisecond)
		observe(takeover - time.Since(began))
		for _, o := range others(c, n) {
			s, err := c.Status(o)
			if logs := o.Logs(); !strings.Contains(logs, "space") {
				t.Errorf("the log of %s does not say that etcd is full:\n%s", o.Name, logs)
			}
			if err != nil || !strings.Contains(s.Etcd.Trouble+s.Self.Trouble, "space") {
				t.Errorf("the status of %s does not say that etcd is full: %+v %+v, %v", o.Name, s.Etcd, s.Self, err)
			}
		}
		n.Restart()
		await(t, "status of a node that cannot register says why", patience, func() bool {
			s, err := c.Status(n)
			return err == nil && strings.Contains(s.Self.Trouble, "space")
		})
		c.Etcd.Disarm()
		space := time.Now()
		returned(t, c, patience)
		c.Answering(2 * time.Second)
		t.Logf("every VIP was up %v after there was space again", time.Since(space).Round(10*time.Millisecond))
	}
}
