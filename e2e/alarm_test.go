package e2e

import (
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// False alarms: whatever happens to the LAN or to etcd alone, nobody is taken for dead who is not. The long form looks for ten minutes at each.

// nuisance is what happens to a cluster, mostly to n, until what it returns is called.
type nuisance struct {
	name    string
	begin   func(t *testing.T, c *cluster.Cluster, n *lab.Node) (end func())
	noticed bool // the guards must have challenged somebody
	reckon  bool // LAN and etcd are hit together: how often it ends in a takeover is reported, and no bound
}

// pulses stops the only server of etcd again and again.
func pulses(least, spread, pause time.Duration) func(*testing.T, *cluster.Cluster, *lab.Node) func() {
	return func(_ *testing.T, c *cluster.Cluster, _ *lab.Node) func() {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				c.Etcd.Servers[0].Pause()
				observe(least + rand.N(spread))
				c.Etcd.Servers[0].Continue()
				select {
				case <-time.After(pause):
				case <-stop:
					return
				}
			}
		}()
		return func() { close(stop); <-done }
	}
}

// loses lets packets of the node's ports be lost.
func loses(percent float64, ports func(*lab.Node) []*lab.Port) func(*testing.T, *cluster.Cluster, *lab.Node) func() {
	return func(_ *testing.T, _ *cluster.Cluster, n *lab.Node) func() {
		for _, p := range ports(n) {
			p.Lose(percent)
		}
		return func() {
			for _, p := range ports(n) {
				p.Heal()
			}
		}
	}
}

func lanOf(n *lab.Node) []*lab.Port   { return []*lab.Port{n.LAN} }
func portsOf(n *lab.Node) []*lab.Port { return []*lab.Port{n.LAN, n.Mgmt} } // as where both are one interface

var nuisances = []nuisance{
	{"30 % loss on the LAN", loses(30, lanOf), true, false},
	{"5 % loss on LAN and etcd", loses(5, portsOf), false, false},
	{"30 % loss on LAN and etcd", loses(30, portsOf), true, true},
	{"the gateway is silent", func(_ *testing.T, c *cluster.Cluster, _ *lab.Node) func() {
		c.Gateway.LAN.Cut()
		return c.Gateway.LAN.Heal
	}, false, false},
	{"ARP of one node is dropped", func(_ *testing.T, _ *cluster.Cluster, n *lab.Node) func() {
		n.LAN.DropARP()
		return n.LAN.Heal
	}, true, false},
	{"ARP of all nodes is dropped", func(_ *testing.T, c *cluster.Cluster, _ *lab.Node) func() {
		for _, n := range c.Nodes {
			n.LAN.DropARP()
		}
		return func() {
			for _, n := range c.Nodes {
				n.LAN.Heal()
			}
		}
	}, false, false},
	{"etcd is slow", pulses(100*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond), false, false},
	{"etcd has no quorum", pulses(1300*time.Millisecond, 200*time.Millisecond, 3*time.Second), false, false}, // for longer, nodes are fenced
	{"all processors are busy", busy, false, false},
}

func TestFastTakesNobodyForDead(t *testing.T) {
	t.Parallel()
	for _, x := range nuisances {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			c := fast(t, cluster.Options{Every: 10 * time.Millisecond}) // the judge sees what moves
			n := c.Nodes[1]
			before := c.Judge.Holders()
			end := sync.OnceFunc(x.begin(t, c, n))
			t.Cleanup(end) // before the lab goes, however the test ends
			observe(time.Duration(rounds(5, 600)) * time.Second)
			after := c.Judge.Holders()
			end()
			counts(t, c)
			if x.noticed && challenges(c) == 0 {
				t.Error("nobody was challenged, so nobody is guarded")
			}
			if x.reckon {
				return
			}
			for vip, at := range before {
				if !slices.Equal(at, after[vip]) {
					t.Errorf("%s moved from %v to %v", vip, at, after[vip])
				}
			}
			for _, o := range c.Nodes {
				if s, err := c.Status(o); err != nil || s.Takeover.Evicted > 0 {
					t.Errorf("%s was evicted, or does not say: %+v, %v", o.Name, s.Takeover, err)
				}
			}
		})
	}
}

// challenges is how many there were.
func challenges(c *cluster.Cluster) (n int) {
	for _, o := range c.Nodes {
		if s, err := c.Status(o); err == nil {
			n += s.Takeover.Challenges
		}
	}
	return n
}

// A guard whose own link is dead accuses nobody; its own VIPs go elsewhere.
func TestFastGuardsLinkIsDead(t *testing.T) {
	t.Parallel()
	c := fast(t, cluster.Options{Every: 10 * time.Millisecond})
	n := c.Nodes[1]
	before := c.Judge.Holders()
	c.CutLAN(n)
	c.Within(5*time.Second, "its VIPs go elsewhere", c.Even(others(c, n)...))
	observe(time.Duration(rounds(3, 600)) * time.Second)
	for vip, at := range c.Judge.Holders() {
		if was := before[vip]; !slices.Contains(was, n.Name) && !slices.Equal(at, was) {
			t.Errorf("%s moved from %v to %v", vip, was, at)
		}
	}
	s, err := c.Status(n)
	if err != nil || s.Takeover.Evictions > 0 || s.Takeover.Challenges > 0 || s.Takeover.Quarantines == 0 {
		t.Errorf("%+v, %v", s.Takeover, err)
	}
	c.HealLAN(n)
	returned(t, c, 20*time.Second)
}

// busy keeps all processors busy.
func busy(t *testing.T, _ *cluster.Cluster, _ *lab.Node) func() {
	var spinners []*exec.Cmd
	end := func() {
		for _, cmd := range spinners {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		spinners = nil
	}
	t.Cleanup(end)
	for range 4 {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		spinners = append(spinners, cmd)
	}
	return end
}
