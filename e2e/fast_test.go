package e2e

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// Fast takeover. The judge is on in all of them: two holders who can exchange frames end the test, and so does one who is still there 10 ms after a cut
// has healed.

// evictEvery is how long a guard that has evicted a node leaves alone whoever falls silent after it [F11].
const evictEvery = 5 * time.Second

const tightTimers = "probe_interval = \"10ms\"\nmisses = 3\ngrace = \"30ms\"\n"

// die lets nodes die at once, and returns when the others hold everything.
func die(t *testing.T, c *cluster.Cluster, gaps *figures, nodes ...*lab.Node) {
	t.Helper()
	left := c.Alive()
	gaps.during(c, func() {
		for _, n := range nodes {
			c.Die(n)
			left = without(left, n)
		}
		c.Within(cluster.TTL+cluster.Wait, "takeover", c.Even(left...))
		c.Answering(2 * time.Second)
	})
}

func without(list []*lab.Node, n *lab.Node) []*lab.Node {
	return slices.DeleteFunc(slices.Clone(list), func(o *lab.Node) bool { return o == n })
}

// comeBack boots nodes that died.
func comeBack(t *testing.T, c *cluster.Cluster, nodes ...*lab.Node) {
	t.Helper()
	for _, n := range nodes {
		if err := c.Judge.RemoveMachine(n.Name); err != nil {
			t.Fatal(err)
		}
		n.Return()
		follow(t, c, n)
		n.Restart()
	}
	returned(t, c, 20*time.Second)
}

// fast starts a cluster in fast mode.
func fast(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	o.Mode, o.Gateway = cluster.Fast, true
	c := cluster.Start(t, o)
	c.Guarded()
	return c
}

// within holds the figures against a bound: to the letter in the long form, and with room for a busy machine otherwise.
func (f *figures) within(t *testing.T, median, worst time.Duration) {
	t.Helper()
	if !*long {
		median, worst = median+500*time.Millisecond, worst+1500*time.Millisecond
	}
	f.bound(t, median, worst)
}

// counts logs what the sentinels did.
func counts(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, n := range c.Alive() {
		if s, err := c.Status(n); err == nil {
			t.Logf("%s: %+v", n.Name, s.Takeover)
		}
	}
}

func TestFastHostDeath(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, takeover      string
		nodes, dead, rounds int
		median, worst       time.Duration
	}{
		{"default", "", 3, 1, 2, 450 * time.Millisecond, 650 * time.Millisecond},
		{"tight", tightTimers, 3, 1, 2, 100 * time.Millisecond, 180 * time.Millisecond},
		{"two at once", "", 5, 2, 1, 900 * time.Millisecond, 1300 * time.Millisecond},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := fast(t, cluster.Options{Nodes: x.nodes, Takeover: x.takeover})
			var gaps figures
			for i := range rounds(x.rounds, 20) {
				nodes := []*lab.Node{c.Nodes[i%x.nodes]}
				if x.dead == 2 {
					nodes = append(nodes, c.Nodes[(i+1)%x.nodes])
				}
				die(t, c, &gaps, nodes...)
				if i+1 < rounds(x.rounds, 20) {
					comeBack(t, c, nodes...)
					c.Guarded()
					observe(evictEvery + rand.N(time.Second)) // or the next death waits for it; in any phase of every timer
				}
			}
			counts(t, c)
			gaps.within(t, x.median, x.worst)
		})
	}
}

// A daemon that is killed and started again within a second is no death; a guard asks the kernel, which goes on to answer.
func TestFastDaemonRestarted(t *testing.T) {
	t.Parallel()
	c := fast(t, cluster.Options{})
	mark := c.Probe.Mark()
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		n.Kill()
		observe(800 * time.Millisecond)
		n.Restart()
		observe(2 * time.Second)
	}
	c.NoLoss(mark, "daemons were killed and started again within a second")
}

// A node that loses its carrier hands over by itself.
func TestFastCarrierLost(t *testing.T) {
	t.Parallel()
	c := fast(t, cluster.Options{})
	var gaps figures
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		gaps.during(c, func() {
			c.Judge.SetConnected(n.Name, false)
			n.LAN.Down()
			c.Within(2*time.Second, "carrier lost", c.Even(others(c, n)...))
			c.Answering(2 * time.Second)
		})
		n.LAN.Up()
		c.Judge.SetConnected(n.Name, true)
		returned(t, c, 20*time.Second)
		c.Guarded()
	}
	gaps.within(t, 50*time.Millisecond, 150*time.Millisecond)
}

// A daemon that is stopped on a host that lives: the kernel ends its addresses, which the guards see.
func TestFastDaemonStopped(t *testing.T) {
	t.Parallel()
	c := fast(t, cluster.Options{})
	var gaps figures
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		gaps.during(c, func() {
			n.Pause()
			c.Within(cluster.Hold+cluster.Late+3*time.Second, "takeover", c.Even(others(c, n)...))
			c.Answering(2 * time.Second)
		})
		n.Continue()
		returned(t, c, 20*time.Second)
		c.Guarded()
	}
	counts(t, c)
	gaps.within(t, 500*time.Millisecond, 800*time.Millisecond)
}

// A crash of the daemon at the moment of a cut: the new process knows nobody, and keeps what the old one promised. The judge holds the limit.
func TestFastDaemonRestartedWhileCut(t *testing.T) {
	t.Parallel()
	c := fast(t, cluster.Options{})
	for i := range rounds(2, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		n.Kill()
		c.CutLAN(n)
		n.Mgmt.Cut()
		n.Restart()
		observe(700*time.Millisecond + time.Duration(i)*20*time.Millisecond)
		n.Mgmt.Heal()
		c.HealLAN(n)
		returned(t, c, time.Minute)
	}
	counts(t, c)
}

// The judge holds the limit of 10 ms for two holders after a cut has healed.
func TestFastCutHeals(t *testing.T) {
	t.Parallel()
	c := fast(t, cluster.Options{})
	cuts := []time.Duration{300 * time.Millisecond, 420 * time.Millisecond, 600 * time.Millisecond, 2 * time.Second, 5 * time.Second}
	for i := range rounds(len(cuts), 20) {
		n := c.Nodes[i%len(c.Nodes)]
		both := i%2 == 1 // etcd is on the same wire
		c.CutLAN(n)
		if both {
			n.Mgmt.Cut()
		}
		observe(cuts[i%len(cuts)])
		if both {
			n.Mgmt.Heal()
		}
		c.HealLAN(n)
		returned(t, c, time.Minute)
	}
	counts(t, c)
	for _, o := range c.Judge.Overlaps() {
		t.Logf("%v", o)
	}
}
