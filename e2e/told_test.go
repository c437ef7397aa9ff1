package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// believes is the Ethernet address at which the host has another one, "" without an entry.
func believes(t *testing.T, h *lab.Host, other netip.Addr) (mac string) {
	t.Helper()
	if err := h.Do(func() error {
		link, err := netlink.LinkByName(h.LAN.Name)
		if err != nil {
			return err
		}
		list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
		for _, n := range list {
			if ip, _ := netip.AddrFromSlice(n.IP); ip.Unmap() == other {
				mac = n.HardwareAddr.String()
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return mac
}

// A host that takes nothing but what is sent to it alone follows a VIP at once, to a node that has never spoken to it: other members have seen it.
func TestHostThatIgnoresBroadcasts(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 3, VIPs: 2, Tables: "[announce]\narp_cache = \"1s\"\n"})
	c.Settled()
	client := c.Client.LAN
	await(t, "the holders have written that they see the client", 10*time.Second, func() bool {
		var records []string
		for _, e := range c.Etcd.Get("/viplease/www/neighbors/") {
			records = append(records, e.Value)
		}
		all := strings.Join(records, "")
		return strings.Contains(all, fmt.Sprintf("%s %s", client.Addrs[0].Addr(), client.MAC)) && strings.Contains(all, fmt.Sprintf("%s %s", client.Addrs[1].Addr(), client.MAC))
	})
	seen := c.Etcd.Revision()
	for _, n := range c.Nodes {
		await(t, n.Name+" has read that", 5*time.Second, func() bool {
			s, err := c.Status(n)
			return err == nil && s.Revision >= seen
		})
	}
	client.IgnoreAnnouncements()
	holders := c.Judge.Holders()
	first, second := c.Node(holders[c.VIPs[0]][0]), c.Node(holders[c.VIPs[1]][0])
	third := c.Nodes[slices.IndexFunc(c.Nodes, func(n *lab.Node) bool { return n != first && n != second })]
	for vip, from := range map[netip.Addr]*lab.Node{c.VIPs[0]: first, c.VIPs[1]: second} { // in any order
		mark := c.Probe.Mark()
		run(t, from, "drain")
		c.Within(5*time.Second, "drain", func(up map[netip.Addr][]string) bool { return slices.Equal(up[vip], []string{third.Name}) })
		await(t, "the client knows who has "+vip.String(), 2*time.Second, func() bool { return believes(t, c.Client, vip) == third.LAN.MAC.String() })
		took := c.Probe.Mark() - ups(c, third)[vip]
		t.Logf("the client knows where %s is within %v", vip, took.Round(100*time.Microsecond))
		if took > 500*time.Millisecond {
			t.Errorf("the client knows where %s is after %v", vip, took)
		}
		for _, o := range c.Outages(mark) {
			t.Log(o)
			if o.Duration > 500*time.Millisecond {
				t.Errorf("%s did not answer the client for %v", o.VIP, o.Duration)
			}
		}
	}
}
