package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// grouped is a configuration with a VIP of three addresses on two interfaces, which prefers node1 and then node2, and the other VIPs of the cluster.
func grouped(c *cluster.Cluster, node, failback string) string {
	var rest []string
	for _, v := range c.VIPs[2:] {
		rest = append(rest, fmt.Sprintf("%q", v))
	}
	return fmt.Sprintf(`group = "www"
node = %q
mature = "1s"
[etcd]
endpoints = ["%s"]
[balance]
failback = %q
[[vip]]
name = "web"
addresses = ["%v dev net1", "%v dev net1", "%v dev mgmt0"]
prefer = ["node1", "node2"]
[[pool]]
addresses = [%s]
`, node, strings.Join(c.Etcd.Endpoints(), `", "`), failback, c.VIPs[0], c.VIPs[1], second, strings.Join(rest, ", "))
}

// second is the group's address on the second interface, which the judge does not follow.
var second = addr("10.9.0.200")

// hasSecond tells whether it is up on the node.
func hasSecond(t *testing.T, n *lab.Node) bool {
	t.Helper()
	var list []net.Addr
	err := n.Do(func() (err error) {
		list, err = net.InterfaceAddrs()
		return err
	})
	if err != nil {
		t.Fatalf("list the addresses of %s: %v", n.Name, err)
	}
	return slices.ContainsFunc(list, func(a net.Addr) bool { return strings.HasPrefix(a.String(), second.String()+"/") })
}

// whole waits until the group is up on the node, and nothing of it elsewhere.
func whole(t *testing.T, c *cluster.Cluster, n *lab.Node, limit time.Duration, what string) time.Duration {
	t.Helper()
	took := c.Within(limit, what, func(up map[netip.Addr][]string) bool { return on(c.VIPs[0], n)(up) && on(c.VIPs[1], n)(up) })
	await(t, what, time.Second, func() bool {
		for _, other := range c.Nodes {
			if hasSecond(t, other) != (other == n) {
				return false
			}
		}
		return true
	})
	return took
}

// stays looks for a while that the group does not leave the node.
func stays(t *testing.T, c *cluster.Cluster, n *lab.Node, d time.Duration, what string) {
	t.Helper()
	before := len(c.Judge.History())
	observe(d)
	for _, move := range c.Judge.History()[before:] {
		if move.VIP == c.VIPs[0] || move.VIP == c.VIPs[1] {
			t.Errorf("%s, and the group did not stay on %s: %v", what, n.Name, move)
		}
	}
}

// ipv6 turns IPv6 on a node's LAN interface off or on.
func ipv6(t *testing.T, n *lab.Node, on bool) {
	t.Helper()
	value := "1"
	if on {
		value = "0"
	}
	err := n.Do(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/net1/disable_ipv6", []byte(value), 0o644) })
	if err != nil {
		t.Fatalf("IPv6 of %s: %v", n.Name, err)
	}
}

// TestGroupsAndPreferences: a group of addresses on two interfaces moves as one, goes where a part of it cannot be raised to another node, and comes home when
// its preferred node is well, never in a flap; a pin goes before the preference.
func TestGroupsAndPreferences(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{VIPs: 5, Idle: true})
	one, two, three := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	for _, n := range c.Nodes {
		n.Start(grouped(c, n.Name, "always"))
	}
	home := func(what string, limit time.Duration) time.Duration { t.Helper(); return whole(t, c, one, limit, what) }
	home("the group comes up where it is preferred", cluster.Wait+patience)

	ipv6(t, one, false)
	took := whole(t, c, two, 3*time.Second, "a part of it cannot be raised")
	t.Logf("the group was whole on node2 %v after IPv6 had been turned off on node1", took.Round(time.Millisecond))
	says(t, c, three, one, "ready", "web")
	stays(t, c, two, 1500*time.Millisecond, "the first back-off of node1 ends") // and node2 can have it
	ipv6(t, one, true)
	home("IPv6 is back", patience)

	put(t, c, keys+"pins/web", fmt.Sprintf(`{"v":1,"node":%q}`, three.Name))
	whole(t, c, three, time.Second, "pinned")
	del(t, c, keys+"pins/web")
	home("no longer pinned", time.Second)

	one.LAN.Down()
	whole(t, c, two, 2*time.Second, "no carrier")
	says(t, c, three, one, "unfit", "cannot hold any VIP", "net1 has no carrier")
	one.LAN.Up()
	stays(t, c, two, 500*time.Millisecond, "the link of node1 flaps")
	one.LAN.Down()
	says(t, c, three, one, "unfit", "cannot hold any VIP", "net1 has no carrier") // the kernel may be a second late to say so (net/core/link_watch.c)
	one.LAN.Up()
	if back := home("the link is back", patience); back < 900*time.Millisecond {
		t.Errorf("it went home %v after the link was back, and mature is 1s", back)
	}

	for _, n := range c.Nodes {
		reconfigure(t, c, n, grouped(c, n.Name, "never"))
	}
	one.LAN.Down()
	whole(t, c, two, 2*time.Second, "no carrier again")
	one.LAN.Up()
	c.Within(patience, "the load is even without it", func(up map[netip.Addr][]string) bool { return cluster.Loads(up)[one.Name] > 0 })
	stays(t, c, two, 500*time.Millisecond, "failback is never")
}
