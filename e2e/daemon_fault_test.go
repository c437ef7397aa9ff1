package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/judge"
	"viplease/e2e/lab"
)

// The faults of a daemon and its machine. The judge is on in all of them: two holders at any instant end the test.

// takeover is how long the VIPs of a daemon that says nothing any more may be away at the most.
const takeover = cluster.TTL + 500*time.Millisecond + cluster.Wait + time.Second

// others are the cluster's nodes but n.
func others(c *cluster.Cluster, n *lab.Node) []*lab.Node {
	var out []*lab.Node
	for _, o := range c.Nodes {
		if o != n {
			out = append(out, o)
		}
	}
	return out
}

// withdrawn waits until the node has no VIP up, and holds that this took at most limit since began.
func withdrawn(t *testing.T, c *cluster.Cluster, n *lab.Node, began time.Time, limit time.Duration) {
	t.Helper()
	c.Within(limit-time.Since(began), "addresses of "+n.Name+" gone", c.None(n))
	t.Logf("the addresses of %s were gone after %v", n.Name, time.Since(began).Round(10*time.Millisecond))
}

// takenOver waits until the others hold everything, evenly, and every VIP answers.
func takenOver(t *testing.T, c *cluster.Cluster, n *lab.Node, began time.Time, limit time.Duration) {
	t.Helper()
	c.Within(limit-time.Since(began), "takeover", c.Even(others(c, n)...))
	c.Answering(max(limit-time.Since(began), 100*time.Millisecond))
	t.Logf("every VIP answered again after %v", time.Since(began).Round(10*time.Millisecond))
}

func TestKilledDaemonLeavesNothing(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		n, began := c.Nodes[1], time.Now()
		n.Kill()
		withdrawn(t, c, n, began, cluster.Hold+cluster.Late+100*time.Millisecond)
		takenOver(t, c, n, began, takeover)
		n.Restart()
		returned(t, c, 15*time.Second)
	}
}

func TestStoppedDaemon(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		n, began := c.Nodes[1], time.Now()
		n.Pause()
		withdrawn(t, c, n, began, cluster.Hold+cluster.Late+100*time.Millisecond)
		takenOver(t, c, n, began, takeover)
		if *long {
			observe(3*(cluster.TTL+cluster.Wait) - time.Since(began))
		}
		before := len(c.Judge.History())
		n.Continue()
		observe(500 * time.Millisecond) // authority cannot be proved before it has registered anew and is mature
		for _, change := range c.Judge.History()[before:] {
			t.Errorf("the daemon that was continued changed an address: %v", change)
		}
		returned(t, c, 15*time.Second)
	}
}

func TestCutFromEtcd(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		n, began := c.Nodes[1], time.Now()
		n.Mgmt.Cut()
		withdrawn(t, c, n, began, cluster.Hold+200*time.Millisecond)
		takenOver(t, c, n, began, takeover)
		s, err := c.Status(n)
		if err != nil || s.Etcd.Reachable || s.Etcd.AuthorityMS != 0 || s.Etcd.Trouble == "" {
			t.Errorf("status does not say that etcd is away: %+v, %v", s.Etcd, err)
		}
		if logs := n.Logs(); !strings.Contains(logs, "withdrawn") || !strings.Contains(logs, "etcd") {
			t.Errorf("the log does not say why:\n%s", logs)
		}
		n.Mgmt.Heal()
		returned(t, c, 15*time.Second)
	}
}

func TestCarrierLost(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	var gaps figures
	for range rounds(2, 20) {
		n := c.Nodes[1]
		gaps.during(c, func() {
			n.LAN.Down()
			c.Within(2*time.Second, "carrier lost", c.Even(others(c, n)...))
			c.Answering(2 * time.Second)
		})
		n.LAN.Up()
		returned(t, c, 15*time.Second)
		c.Answering(2 * time.Second)
	}
	gaps.bound(t, 100*time.Millisecond, time.Second) // under 100 ms is what is promised; the worst of all may find no core free
}

func TestCutFromEverything(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		n, began := c.Nodes[1], time.Now()
		c.Cut(n.LAN, n.Mgmt)
		withdrawn(t, c, n, began, cluster.Hold+200*time.Millisecond)
		takenOver(t, c, n, began, takeover)
		c.Heal(n.LAN, n.Mgmt)
		returned(t, c, 15*time.Second)
	}
}

// moves counts the additions on another node than the one that had the address before.
func moves(history []judge.Change) (n int) {
	last := map[netip.Addr]string{}
	for _, c := range history {
		if was, known := last[c.VIP]; c.Up && known && was != c.Node {
			n++
		}
		last[c.VIP] = c.Node
	}
	return n
}

// TestOneWayPathsToEtcd: one node does not hear etcd, and etcd does not hear another. What either asks for may well be done, and neither may count on it.
func TestOneWayPathsToEtcd(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	deaf, mute := c.Nodes[1], c.Nodes[2]
	for range rounds(1, 20) {
		began := time.Now()
		for _, s := range c.Etcd.Servers {
			c.Block(s.Mgmt, deaf.Mgmt)
			c.Block(mute.Mgmt, s.Mgmt)
		}
		withdrawn(t, c, deaf, began, cluster.Hold+200*time.Millisecond)
		withdrawn(t, c, mute, began, cluster.Hold+200*time.Millisecond)
		c.Within(takeover-time.Since(began), "takeover", c.Even(c.Nodes[0]))
		c.Answering(max(takeover-time.Since(began), 100*time.Millisecond))
		t.Logf("every VIP answered again after %v", time.Since(began).Round(10*time.Millisecond))
		for _, s := range c.Etcd.Servers {
			c.Unblock(s.Mgmt, deaf.Mgmt)
			c.Unblock(mute.Mgmt, s.Mgmt)
		}
		healed := time.Now()
		returned(t, c, 15*time.Second)
		t.Logf("the loads were even %v after both paths had healed", time.Since(healed).Round(10*time.Millisecond))
	}
}

// TestFlappingNodeGetsNothingBeforeItIsMature: in strict mode nobody may have its VIPs before it is back, so it takes up again what it had; what it has lost
// it does not get back.
func TestFlappingNodeGetsNothingBeforeItIsMature(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Mature: 5 * time.Second})
	c.Settled()
	n := c.Nodes[1]
	before := len(c.Judge.History())
	lost := map[netip.Addr]bool{}
	for range rounds(4, 20) {
		n.Mgmt.Cut()
		observe(cluster.TTL + time.Second)
		n.Mgmt.Heal()
		observe(cluster.TTL)
		for vip, at := range c.Judge.Holders() {
			if slices.Contains(at, n.Name) && lost[vip] {
				t.Fatalf("%s has got %s back, and has been well for less than mature", n.Name, vip)
			}
			lost[vip] = lost[vip] || !slices.Contains(at, n.Name)
		}
	}
	moved := moves(c.Judge.History()[before:])
	t.Logf("%d moves", moved)
	if moved > len(c.VIPs) {
		t.Errorf("%d moves while one node flapped, and there are %d VIPs", moved, len(c.VIPs))
	}
	c.Within(20*time.Second, "rest", c.Even(c.Nodes...))
}
