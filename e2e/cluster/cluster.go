// Package cluster is viplease at work on a lab: nodes that run the daemon, a judge that hears every address, and a client that probes every VIP. The
// scenarios and the demo stand on it.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"viplease/e2e/judge"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

// Options say what stands on the lab. The zero value of a field means what its comment says.
type Options struct {
	Nodes  int           // 0: three
	VIPs   int           // half IPv4, half IPv6; 0: ten
	Only   []netip.Addr  // these instead
	Dev    string        // the interface that they are for; "": the one whose subnet holds them
	Etcd   int           // servers; 0: one
	Probed int           // how many of the VIPs the client probes; 0: twenty at the most
	Every  time.Duration // how often it asks each; 0: 1 ms, which takes half a core for ten
	Mature time.Duration // 0: one second, so that scenarios are short
	Config string        // more TOML, before the first table of the node's configuration
	Tables string        // more TOML, after the last
	Idle   bool          // start no daemon
	Log    io.Writer     // of judge and probe; nil: none

	Release string // folder with another etcd and etcdctl, see lab.Options

	Mode     Mode   // 0: that of the run
	Takeover string // more TOML, in that table
	Gateway  bool   // there is a router
}

// Mode is how the VIPs of a dead host are taken over.
type Mode int

const (
	Fast   Mode = 1 + iota // guards may evict it; overlaps across a cut may last until 10 ms after it healed
	Strict                 // after W, always; no overlap is forgiven
)

// Run is the mode of clusters that leave it open: as viplease is shipped. Set it before the first Start.
var Run = Fast

// Timers of the daemons' default configuration, which the scenarios' bounds are made of.
const (
	TTL  = 3 * time.Second
	Hold = 3 * time.Second
	Wait = 4610 * time.Millisecond // W
	Late = 1250 * time.Millisecond // how late the kernel may end an address
	Set  = 300 * time.Millisecond  // T: how long after a check was sent addresses may be set on it
)

// healLimit is how long two hosts may answer after a cut has healed, in fast mode.
const healLimit = 10 * time.Millisecond

// Cluster is a lab with viplease on it. Its methods end the test when they fail, as those of the lab do.
type Cluster struct {
	*lab.Lab
	Judge *judge.Judge
	Probe *probe.Probe
	VIPs  []netip.Addr

	t       lab.T
	options Options
}

// Start builds the lab, the judge and the probe, and starts the daemons. It does not wait for them.
func Start(t lab.T, o Options) *Cluster {
	t.Helper()
	o.Nodes, o.VIPs, o.Etcd = or(o.Nodes, 3), or(o.VIPs, 10), or(o.Etcd, 1)
	if o.Only != nil {
		o.VIPs = len(o.Only)
	}
	o.Mode = or(o.Mode, Run)
	o.Probed, o.Mature = min(or(o.Probed, 20), o.VIPs), or(o.Mature, time.Second)
	c := &Cluster{t: t, options: o}
	c.Lab = lab.New(t, lab.Options{Nodes: o.Nodes, Etcd: o.Etcd, Release: o.Release, Gateway: o.Gateway})
	c.VIPs = o.Only
	for i := len(o.Only); i < o.VIPs; i++ {
		if i%2 == 0 {
			c.VIPs = append(c.VIPs, netip.AddrFrom4([4]byte{192, 168, 3, byte(100 + i/2)}))
		} else {
			c.VIPs = append(c.VIPs, netip.MustParseAddr(fmt.Sprintf("fd00:3::1:%x", i/2)))
		}
	}
	var machines []judge.Machine
	for _, n := range c.Nodes {
		machines = append(machines, judge.Machine{Name: n.Name, NS: n.NetNS()})
	}
	var err error
	// The judge and the probe end with the test, before the lab does.
	err = lab.Do(c.NetNS(), func() (err error) {
		c.Judge, err = judge.Start(judge.Config{Machines: machines, VIPs: c.VIPs, Strict: o.Mode == Strict, HealLimit: healLimit, Log: o.Log})
		return err
	})
	c.must(err)
	c.Probe, err = probe.Start(probe.Config{NS: c.Client.NetNS(), Targets: c.VIPs[:o.Probed], Every: o.Every, Log: o.Log})
	c.must(err)
	t.Cleanup(c.end)
	if !o.Idle {
		for _, n := range c.Nodes {
			n.Start(c.Config(n.Name))
		}
	}
	return c
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// end closes probe and judge, whose last verdict counts.
func (c *Cluster) end() {
	c.t.Helper()
	c.Probe.Close()
	if err := c.Judge.Close(); err != nil {
		c.t.Fatalf("judge: %v", err)
	}
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%v", err)
	}
}

// Fast tells whether hosts can be evicted here.
func (c *Cluster) Fast() bool { return c.options.Mode == Fast }

// Config is the configuration of a node.
func (c *Cluster) Config(node string) string {
	quoted := func(list []string) string { return `"` + strings.Join(list, `", "`) + `"` }
	var vips []string
	for _, v := range c.VIPs {
		text := v.String()
		if c.options.Dev != "" {
			text += " dev " + c.options.Dev
		}
		vips = append(vips, text)
	}
	return fmt.Sprintf("group = \"www\"\nnode = %q\nmature = \"%v\"\n%s\n[etcd]\nendpoints = [%s]\n\n[[pool]]\nname = \"pool\"\naddresses = [%s]\n\n[takeover]\nfast = %t\n%s\n%s",
		node, c.options.Mature, c.options.Config, quoted(c.Etcd.Endpoints()), quoted(vips), c.Fast(), c.options.Takeover, c.options.Tables)
}

// CutLAN cuts nodes off the LAN, and tells the judge, who does not take what happens across a cut for a fault in fast mode.
func (c *Cluster) CutLAN(nodes ...*lab.Node) {
	c.t.Helper()
	var ports []*lab.Port
	for _, n := range nodes {
		ports = append(ports, n.LAN)
	}
	c.Cut(ports...)
	for _, n := range nodes {
		c.Judge.SetConnected(n.Name, false)
	}
}

// Die kills the node's host, and tells the judge, as CutLAN does.
func (c *Cluster) Die(n *lab.Node) {
	c.t.Helper()
	n.Die()
	c.Judge.SetConnected(n.Name, false)
}

// HealLAN ends CutLAN.
func (c *Cluster) HealLAN(nodes ...*lab.Node) {
	c.t.Helper()
	var ports []*lab.Port
	for _, n := range nodes {
		ports = append(ports, n.LAN)
		c.Judge.SetConnected(n.Name, true)
	}
	c.Heal(ports...)
}

// Node is the node of this name.
func (c *Cluster) Node(name string) *lab.Node {
	c.t.Helper()
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("no node is called %s", name)
	return nil
}

// Within waits until ok says so of what is up where. It ends the test when that takes longer, or when the judge is red.
func (c *Cluster) Within(limit time.Duration, what string, ok func(up map[netip.Addr][]string) bool) time.Duration {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := time.Now()
	if err := c.Judge.Wait(ctx, ok); err != nil {
		c.t.Fatalf("%s: not within %v: %v\n%s", what, limit, err, c.Layout())
	}
	return time.Since(began)
}

// AllHeld says that every VIP is up on one machine.
func (c *Cluster) AllHeld(up map[netip.Addr][]string) bool {
	for _, v := range c.VIPs {
		if len(up[v]) != 1 {
			return false
		}
	}
	return true
}

// Even says that every VIP is up on one of the nodes, each holding the same number, or one more.
func (c *Cluster) Even(nodes ...*lab.Node) func(map[netip.Addr][]string) bool {
	return func(up map[netip.Addr][]string) bool {
		if !c.AllHeld(up) {
			return false
		}
		count := Loads(up)
		least, most, sum := len(c.VIPs), 0, 0
		for _, n := range nodes {
			least, most, sum = min(least, count[n.Name]), max(most, count[n.Name]), sum+count[n.Name]
		}
		return sum == len(c.VIPs) && most-least <= 1
	}
}

// None says that the node has no VIP up.
func (c *Cluster) None(n *lab.Node) func(map[netip.Addr][]string) bool {
	return func(up map[netip.Addr][]string) bool { return Loads(up)[n.Name] == 0 }
}

// Loads counts the VIPs that each machine has up.
func Loads(up map[netip.Addr][]string) map[string]int {
	count := map[string]int{}
	for _, nodes := range up {
		for _, n := range nodes {
			count[n]++
		}
	}
	return count
}

// Layout says in words what is up where.
func (c *Cluster) Layout() string {
	var b strings.Builder
	up := c.Judge.Holders()
	for _, v := range c.VIPs {
		fmt.Fprintf(&b, "%-18s %s\n", v, strings.Join(up[v], " AND "))
	}
	return b.String()
}

// Answering waits until every probed VIP answers the client, and returns how long that took.
func (c *Cluster) Answering(limit time.Duration) time.Duration {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := time.Now()
	if err := c.Probe.WaitAll(ctx); err != nil {
		c.t.Fatalf("not every VIP answers within %v: %v\n%s", limit, err, c.Layout())
	}
	return time.Since(began)
}

// Outages returns what the client saw since the mark, once it is all known.
func (c *Cluster) Outages(since time.Duration) []probe.Outage {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c.must(c.Probe.Settle(ctx))
	c.must(c.Probe.Err())
	return c.Probe.Outages(since)
}

// NoLoss ends the test if the client lost a probe since the mark. One alone is taken for the lab's own, and told in the log, if the judge heard of no change of
// that address for a second before and after: its holder did nothing to it. Runs of all scenarios have one or two of these, always the first probe of a
// round, and no queue of the kernel's counts a drop then; why is not known.
func (c *Cluster) NoLoss(since time.Duration, during string) {
	c.t.Helper()
	switch out := c.Outages(since); {
	case len(out) == 0:
	case len(out) == 1 && out[0].Lost == 1 && c.untouched(out[0].VIP, out[0].Start):
		c.t.Logf("%s: the lab lost one packet, and no address changed: %v", during, out[0])
	default:
		c.t.Fatalf("%s: the client lost packets: %v\nthe probe's counts: %+v", during, out, c.Probe.Stats())
	}
}

// untouched tells whether no node added or deleted the address within a second of an instant.
func (c *Cluster) untouched(vip netip.Addr, at time.Duration) bool {
	return !slices.ContainsFunc(c.Judge.History(), func(change judge.Change) bool {
		return change.VIP == vip && (change.At-at).Abs() < time.Second
	})
}

// Settled starts from a cluster at rest: every VIP answers, loads are even, and etcd's revision stands still for a moment.
func (c *Cluster) Settled() {
	c.t.Helper()
	c.Within(Wait+c.options.Mature+10*time.Second, "cold start", c.Even(c.Alive()...))
	c.Answering(2 * time.Second)
	c.Quiet()
}

// Quiet waits until etcd's revision stands still for a moment.
func (c *Cluster) Quiet() {
	c.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for last := int64(0); ; {
		rev := c.Etcd.Revision()
		if rev == last {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("etcd's revision does not come to rest: %d", rev)
		}
		last = rev
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		<-ctx.Done() // the interval that is measured, not a wait for something
		cancel()
	}
}

// Alive are the nodes that have not died and run a daemon.
func (c *Cluster) Alive() []*lab.Node {
	var out []*lab.Node
	for _, n := range c.Nodes {
		if !n.Dead() && n.Running() {
			out = append(out, n)
		}
	}
	return out
}

// Status is `viplease status --json` on a node.
type Status struct {
	Node     string `json:"node"`
	Source   string `json:"source"`
	Revision int64  `json:"revision"`
	Etcd     struct {
		Reachable   bool   `json:"reachable"`
		AuthorityMS int64  `json:"authority_ms"`
		Trouble     string `json:"trouble"`
	} `json:"etcd"`
	Self struct {
		Registered bool   `json:"registered"`
		Trouble    string `json:"trouble"`
	} `json:"self"`
	Members []struct {
		Node, State, Why string
		Held             int
	} `json:"members"`
	VIPs []struct {
		Name, Node, State, Why string
	} `json:"vips"`
	Takeover struct {
		On                  bool
		Guards              int
		Challenges, Refuted int
		Evictions, Evicted  int
		Cancelled           int
		Quarantines         int
		Links               []struct {
			Link          string
			Witness, Lost bool
		}
	} `json:"takeover"`
	Events []Event `json:"events"`
}

// Event is one line of a node's history.
type Event struct{ VIP, Node, What, Why string }

// Status asks the node's daemon.
func (c *Cluster) Status(n *lab.Node) (Status, error) {
	var s Status
	out, runErr := n.Viplease("status", "--json")
	if i := strings.Index(out, "{"); i > 0 {
		out = out[i:]
	}
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&s); err != nil {
		return s, fmt.Errorf("status of %s: %w (%v): %s", n.Name, err, runErr, out)
	}
	return s, nil
}
