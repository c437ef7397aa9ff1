package e2e

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// imported is what `viplease import` makes of a wackamole.conf on the node, with the one line filled in that must be.
func imported(t *testing.T, c *cluster.Cluster, n *lab.Node, conf string) string {
	t.Helper()
	if err := os.WriteFile(n.Path("etc/wackamole.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	toml := run(t, n, "import", "/etc/wackamole.conf")
	const placeholder = `"http://127.0.0.1:2379"`
	if strings.Count(toml, placeholder) != 1 {
		t.Fatalf("not one placeholder for the endpoints:\n%s", toml)
	}
	return strings.Replace(toml, placeholder, `"`+strings.Join(c.Etcd.Endpoints(), `", "`)+`"`, 1)
}

// told is what an ear heard of the node telling single hosts about VIPs, since a mark. Some of it is the kernel asking for a host in the VIP's name.
func told(t *testing.T, ear *lab.Ear, c *cluster.Cluster, by *lab.Node, since time.Duration, hosts netip.Prefix) (list []lab.Announcement) {
	t.Helper()
	all, err := ear.Told(since)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if hosts.Contains(a.Host) && slices.Contains(c.VIPs, a.Addr) && a.MAC.String() == by.LAN.MAC.String() {
			list = append(list, a)
		}
	}
	return list
}

// ups are the times at which the addresses came up on the node.
func ups(c *cluster.Cluster, n *lab.Node) map[netip.Addr]time.Duration {
	at := map[netip.Addr]time.Duration{}
	for _, change := range c.Judge.History() {
		if change.Node == n.Name && change.Up {
			at[change.VIP] = change.At
		}
	}
	return at
}

// The set-up that the tutorials of Wackamole have, on two nodes: Group, Control, Mature, VirtualInterfaces, Prefer None, Notify with throttle and
// arp-cache, Balance with all, and what wackatrl did.
func TestImportedTutorial(t *testing.T) {
	t.Parallel()
	vip, router1 := addr("192.168.3.100"), netip.MustParsePrefix("192.168.3.1/32")
	c := cluster.Start(t, cluster.Options{Nodes: 2, Only: []netip.Addr{vip}, Gateway: true, Idle: true})
	const conf = `
Spread = 4803
SpreadRetryInterval = 5s
Group = haproxy
Control = /var/run/wack.it
mature = 5s
Arp-Cache = 1s
Prefer None
VirtualInterfaces { { net1:192.168.3.100/24 } }
Notify { net1:192.168.3.1/32 throttle 8  arp-cache }
balance { AcquisitionsPerRound = all interval = 4s }
`
	router, client := c.Gateway.Listen(), c.Client.Listen()
	began := c.Probe.Mark()
	for _, n := range c.Nodes {
		n.Start(imported(t, c, n, conf))
	}
	c.Within(15*time.Second, "the VIP is up", c.AllHeld)
	holder := c.Node(c.Judge.Holders()[vip][0])
	other := c.Nodes[1-slices.Index(c.Nodes, holder)]
	if after := ups(c, holder)[vip] - began; after < 5*time.Second {
		t.Errorf("up %v after the start: mature = 5s does not hold", after)
	}
	if !slices.Contains(holder.Addresses(), netip.MustParsePrefix("192.168.3.100/24")) {
		t.Errorf("the kernel of %s has %v", holder.Name, holder.Addresses())
	}
	if len(c.Etcd.Get("/viplease/haproxy/claims/192.168.3.100")) != 1 {
		t.Error("the group haproxy has no claim of the VIP")
	}
	await(t, "the router is told by itself", time.Second, func() bool { return len(told(t, router, c, holder, began, router1)) >= 2 })
	run(t, holder, "status") // where the group's socket is
	c.Answering(5 * time.Second)
	await(t, "the client is written as a neighbour", 5*time.Second, func() bool {
		e := c.Etcd.Get("/viplease/haproxy/neighbors/" + holder.Name)
		return len(e) == 1 && strings.Contains(e[0].Value, "192.168.3.250 "+c.Client.LAN.MAC.String())
	})

	run(t, holder, "drain", "--wait", "--timeout", "10s") // wackatrl -f
	c.Within(time.Second, "drain", func(up map[netip.Addr][]string) bool { return slices.Equal(up[vip], []string{other.Name}) })
	released := ups(c, other)[vip]
	await(t, "the router and the client are told by the new holder", time.Second, func() bool {
		seen := told(t, client, c, other, released, netip.MustParsePrefix("192.168.3.250/32"))
		return len(told(t, router, c, other, released, router1)) >= 2 && slices.ContainsFunc(seen, func(a lab.Announcement) bool { return a.Sent })
	})
	run(t, holder, "undrain") // wackatrl -s; of one VIP none moves for balance
	observe(2 * time.Second)  // the former holder would have gone on for longer, to everybody and to the router
	if late := told(t, router, c, holder, released, router1); len(late) > 0 {
		t.Errorf("the router is told after the release: %v", late)
	}
	heard, err := router.Heard(released)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range heard {
		if a.Addr == vip && a.MAC.String() != other.LAN.MAC.String() {
			t.Errorf("announced after the release: %v", a)
		}
	}
	if !c.AllHeld(c.Judge.Holders()) || c.Judge.Holders()[vip][0] != other.Name {
		t.Errorf("it moved for balance:\n%s", c.Layout())
	}
}

// Groups, preferences, rounds and throttled ranges, as a file of one node has them.
func TestImportedGroupsAndRounds(t *testing.T) {
	t.Parallel()
	var vips []netip.Addr
	for last := byte(101); last <= 106; last++ {
		vips = append(vips, netip.AddrFrom4([4]byte{192, 168, 3, last}))
	}
	group := vips[4:]
	c := cluster.Start(t, cluster.Options{Nodes: 2, Only: vips, Gateway: true, Idle: true})
	const conf = `
Group = "web servers"   # not a name here
Mature = 1s
Prefer net1:192.168.3.105/32
VIFS {
	net1:192.168.3.101/32 net1:192.168.3.102/32 net1:192.168.3.103/32 net1:192.168.3.104/32
	{ net1:192.168.3.105/32n24 net1:192.168.3.106/32n24 }
}
Notify { net1:192.168.3.0/28 throttle 8 ping }
Balance { AcquisitionsPerRound = 1 Interval = 2s }
`
	router := c.Gateway.Listen()
	first, second := c.Nodes[0], c.Nodes[1]
	toml := imported(t, c, second, conf) // where the preference holds; the same file for both
	began := c.Probe.Mark()
	first.Start(toml)
	c.Within(12*time.Second, "all are up on one node", c.AllHeld)
	second.Start(toml)
	c.Within(15*time.Second, "the group has gone home, and the rest is even", func(up map[netip.Addr][]string) bool {
		return c.AllHeld(up) && up[group[0]][0] == second.Name && up[group[1]][0] == second.Name && cluster.Loads(up)[second.Name] == 3
	})
	at := ups(c, second)
	if apart := (at[group[1]] - at[group[0]]).Abs(); apart > 100*time.Millisecond {
		t.Errorf("the addresses of the group came up %v apart", apart)
	}
	for vip, when := range at {
		if apart := (when - at[group[0]]).Abs(); !slices.Contains(group, vip) && apart < 1900*time.Millisecond {
			t.Errorf("%s moved %v from the other move: one in a round of 2s", vip, apart)
		}
	}
	notices := told(t, router, c, first, began, netip.MustParsePrefix("192.168.3.0/28"))
	if len(notices) < 20 {
		t.Fatalf("only %d frames to single hosts of the range", len(notices))
	}
	hosts := map[netip.Addr]bool{}
	for _, a := range notices {
		hosts[a.Host] = true
	}
	took := notices[len(notices)-1].At - notices[0].At
	rate := float64(len(notices)/2-1) / took.Seconds()
	t.Logf("%d hosts of the range, %d notices in %v: %.1f a second", len(hosts), len(notices)/2, took.Round(time.Millisecond), rate)
	if len(hosts) < 2 || rate > 9 {
		t.Errorf("%d hosts told, %.1f notices a second; the throttle is 8", len(hosts), rate)
	}
}
