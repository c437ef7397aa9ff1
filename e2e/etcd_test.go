package e2e

import (
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// quiet runs a fault of etcd's and holds that nothing moved and no packet was lost until everything was well for a moment afterwards.
func quiet(t *testing.T, c *cluster.Cluster, what string, fault func()) {
	t.Helper()
	before, mark := len(c.Judge.History()), c.Probe.Mark()
	fault()
	observe(cluster.Hold + cluster.Late + time.Second) // what was lost would show by then
	c.NoLoss(mark, what)
	if after := c.Judge.History(); len(after) != before {
		t.Fatalf("%s: addresses changed: %v", what, after[before:])
	}
}

// observe lets the cluster be for a while: the time is what is tested, nothing is waited for.
func observe(d time.Duration) { <-time.After(d) }

func TestEtcdLeaderChangeMovesNothing(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Etcd: 3})
	c.Settled()
	other := func() *lab.Server {
		leader := c.Etcd.Leader()
		for _, s := range c.Etcd.Servers {
			if s != leader {
				return s
			}
		}
		return nil
	}
	for range rounds(1, 20) {
		quiet(t, c, "leadership handed over", func() { c.Etcd.MoveLeader(other()) })
		leader := c.Etcd.Leader()
		quiet(t, c, "leader killed", func() {
			leader.Kill()
			if c.Etcd.Leader() == leader {
				t.Fatal("the dead server leads")
			}
		})
		quiet(t, c, "member back", leader.Start)
		quiet(t, c, "a follower gone", other().Kill)
		for _, s := range c.Etcd.Servers {
			if !s.Running() {
				s.Start()
			}
		}
	}
}

func TestIdleClusterWritesNothing(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Tables: "[announce]\narp_cache = \"1s\"\n"}) // the tables are read all the time
	c.Settled()
	observe(3 * time.Second) // who is a neighbour here has been seen and written
	before := c.Etcd.Revision()
	if len(c.Etcd.Get("/viplease/www/neighbors/")) == 0 {
		t.Error("no node has written which neighbours it has")
	}
	observe(time.Duration(rounds(10, 60)) * time.Second)
	if after := c.Etcd.Revision(); after != before {
		t.Errorf("an idle cluster brought etcd from revision %d to %d", before, after)
	}
}
