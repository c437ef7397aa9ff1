package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// restoredLease is how long a lease that stands in the copy keeps a node's name from it: its TTL anew, after an election, and etcd looks twice a second.
const restoredLease = cluster.TTL + time.Second + 500*time.Millisecond

// wentBack waits until every node says that etcd is not what it was, and until every VIP is up again, at most limit later.
func wentBack(t *testing.T, c *cluster.Cluster, said map[*lab.Node]int, limit time.Duration) {
	t.Helper()
	began := time.Now()
	for _, n := range c.Nodes {
		await(t, n.Name+" sees that etcd went back", patience, func() bool { return strings.Count(n.Logs(), "store went back") > said[n] })
	}
	c.Within(2*time.Second, "withdrawal of everything", func(up map[netip.Addr][]string) bool { return len(up) == 0 })
	saw := time.Since(began)
	c.Within(limit-saw, "return", c.AllHeld)
	c.Answering(2 * time.Second)
	t.Logf("all was withdrawn after %v, every VIP answered again after %v", saw.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	for _, n := range c.Nodes {
		if !n.Running() {
			t.Errorf("the daemon of %s has ended:\n%s", n.Name, n.Logs())
		}
	}
}

// complaints counts what the nodes said so far of an etcd that went back.
func complaints(c *cluster.Cluster) map[*lab.Node]int {
	said := map[*lab.Node]int{}
	for _, n := range c.Nodes {
		said[n] = strings.Count(n.Logs(), "store went back")
	}
	return said
}

func TestEtcdWiped(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3} {
		c := cluster.Start(t, cluster.Options{Etcd: size})
		c.Settled()
		for range rounds(1, 10) {
			said, before := complaints(c), c.Etcd.Revision()
			for _, s := range c.Etcd.Servers {
				s.Kill()
			}
			for _, s := range c.Etcd.Servers {
				s.Wipe()
			}
			c.Etcd.StartAll()
			if now := c.Etcd.Revision(); now >= before {
				t.Fatalf("etcd was wiped and went from revision %d to %d", before, now)
			}
			wentBack(t, c, said, cluster.Wait+2*time.Second)
			c.Within(patience, "rest", c.Even(c.Nodes...))
		}
	}
}

// saved copies the data of the server, which is away for a moment.
func saved(s *lab.Server) {
	s.Kill()
	s.Save()
	s.Start()
}

// TestEtcdRestored: etcd goes back to a copy of its data, from before every VIP moved.
func TestEtcdRestored(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	s := c.Etcd.Servers[0]
	for i := range rounds(1, 20) {
		c.Settled()
		quiet(t, c, "a copy is made", func() { saved(s) })
		n := c.Nodes[i%len(c.Nodes)]
		run(t, n, "drain", "--wait", "--timeout", "10s")
		run(t, n, "undrain")
		c.Within(patience, "undrain", c.Even(c.Nodes...))
		c.Settled()
		said, before := complaints(c), c.Etcd.Revision()
		s.Kill()
		s.Restore()
		s.Start()
		if now := c.Etcd.Revision(); now >= before {
			t.Fatalf("etcd was restored and went from revision %d to %d", before, now)
		}
		wentBack(t, c, said, restoredLease+cluster.Wait+2*time.Second)
		c.Within(patience, "rest", c.Even(c.Nodes...))
	}
}

// TestEtcdRestoredUnseen: the copy is so recent that the others' writes have brought etcd past all that one node knows before that one hears of etcd
// again. What it knows did not happen: a VIP that it took over belongs to somebody else.
func TestEtcdRestoredUnseen(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	s := c.Etcd.Servers[0]
	for range rounds(1, 20) {
		n := c.Nodes[1]
		run(t, n, "drain", "--wait", "--timeout", "10s")
		c.Answering(2 * time.Second)
		quiet(t, c, "a copy is made", func() { saved(s) })
		run(t, n, "undrain")
		c.Within(patience, "undrain", c.Even(c.Nodes...))
		said, before := complaints(c), c.Etcd.Revision()
		n.Mgmt.Cut()
		s.Kill()
		s.Restore()
		s.Start()
		await(t, "the others write more than was lost", cluster.Hold, func() bool {
			put(t, c, "more", "")
			return c.Etcd.Revision() > before
		})
		n.Mgmt.Heal()
		wentBack(t, c, said, restoredLease+cluster.Wait+2*time.Second)
		run(t, n, "undrain") // the copy has it drained
		c.Within(patience, "rest", c.Even(c.Nodes...))
	}
}
