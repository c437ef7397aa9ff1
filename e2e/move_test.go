package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

func TestMain(m *testing.M) {
	lab.Main(lab.NeedEtcd, lab.NeedViplease, needForLong)
	os.Exit(m.Run())
}

func TestColdStart(t *testing.T) {
	const mature = 5 * time.Second // the default
	c := cluster.Start(t, cluster.Options{Mature: mature})
	took := c.Answering(max(mature, cluster.Wait) + time.Second)
	c.Within(2*time.Second, "even loads", c.Even(c.Nodes...))
	t.Logf("every VIP answered %v after the start of the daemons", took.Round(10*time.Millisecond))
}

// figures are what a kind of move cost the client.
type figures struct {
	moved   int
	gaps    []time.Duration
	stalled time.Duration // the longest part of one in which the client itself was not run, which is not in it
}

// during runs a change and adds the outages that the client saw; a VIP that moved without a lost packet counts as 0.
func (f *figures) during(c *cluster.Cluster, change func()) {
	before := c.Judge.Holders()
	mark := c.Probe.Mark()
	change()
	gap := map[netip.Addr]time.Duration{}
	for _, o := range c.Outages(mark) {
		gap[o.VIP] += o.Duration
		f.stalled = max(f.stalled, o.Stalled)
	}
	after := c.Judge.Holders()
	for _, v := range c.VIPs {
		if strings.Join(before[v], " ") != strings.Join(after[v], " ") || gap[v] > 0 {
			f.moved++
			f.gaps = append(f.gaps, gap[v])
		}
	}
}

// What a move may cost where other things are measured than that, and the machine may be busy.
const (
	busyMedian = 50 * time.Millisecond
	busyWorst  = 500 * time.Millisecond
)

func (f *figures) String() string {
	median, p95, worst := probe.Summary(f.gaps)
	return fmt.Sprintf("%d moves; outage of a VIP: median %.1f ms, p95 %.1f ms, worst %.1f ms, and up to %.1f ms more in which the client was not run; all: %v",
		f.moved, ms(median), ms(p95), ms(worst), ms(f.stalled), f.gaps)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// bound ends the test when the median or the worst outage is above.
func (f *figures) bound(t *testing.T, median, worst time.Duration) {
	t.Helper()
	m, _, w := probe.Summary(f.gaps)
	t.Log(f)
	if m > median || w > worst {
		t.Errorf("above the bound of median %v, worst %v", median, worst)
	}
}

func TestDrainMovesEveryVIP(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	var drained, returned figures
	for i := range rounds(4, 12) {
		n := c.Nodes[i%len(c.Nodes)]
		drained.during(c, func() {
			run(t, n, "drain", "--wait", "--timeout", "10s")
			c.Within(time.Second, "drain", c.None(n))
			c.Within(time.Second, "drain", c.AllHeld)
		})
		returned.during(c, func() {
			run(t, n, "undrain")
			c.Within(5*time.Second, "undrain", c.Even(c.Nodes...))
		})
	}
	t.Log("drain:")
	drained.bound(t, 10*time.Millisecond, 50*time.Millisecond)
	t.Log("return:")
	returned.bound(t, 10*time.Millisecond, 50*time.Millisecond)
}

func TestSIGTERMHandsOver(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	var stopped figures
	for i := range rounds(3, 10) {
		n := c.Nodes[i%len(c.Nodes)]
		stopped.during(c, func() {
			if err := n.Stop(); err != nil {
				t.Fatalf("the daemon of %s: %v\n%s", n.Name, err, n.Logs())
			}
			c.Within(time.Second, "SIGTERM", c.AllHeld)
		})
		n.Restart()
		returned(t, c, cluster.Wait+5*time.Second)
	}
	stopped.bound(t, 10*time.Millisecond, 50*time.Millisecond)
}

func TestHostDeath(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	n := c.Nodes[0]
	began := time.Now()
	c.Die(n)
	limit := cluster.TTL + 500*time.Millisecond + cluster.Wait + time.Second
	c.Within(limit, "host death", c.Even(c.Nodes[1:]...))
	c.Answering(limit - time.Since(began))
	t.Logf("every VIP answered again %v after the death; the bound is %v", time.Since(began).Round(10*time.Millisecond), limit)

	before := c.Judge.Holders()
	if err := c.Judge.RemoveMachine(n.Name); err != nil {
		t.Fatal(err)
	}
	n.Return()
	follow(t, c, n)
	n.Restart()
	returned(t, c, 15*time.Second)
	moved := 0
	after := c.Judge.Holders()
	for _, v := range c.VIPs {
		if strings.Join(before[v], " ") != strings.Join(after[v], " ") {
			moved++
		}
	}
	if want := len(c.VIPs) / len(c.Nodes); moved != want {
		t.Errorf("%d VIPs moved when the node returned, %d are enough", moved, want)
	}
	out := run(t, n, "plan", "--json")
	if !strings.Contains(strings.Join(strings.Fields(out), ""), `"moves":[]`) {
		t.Errorf("planning the result again moves something:\n%s", out)
	}
}
