package e2e

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// What happens when somebody else changes the interfaces of a node.

// TestInterfaceFlushed: the node's own addresses go too, so that it does not know any more where its VIPs belong. The others take them.
func TestInterfaceFlushed(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		inside(t, n.Host, func(h *netlink.Handle, link netlink.Link) error {
			addrs, err := h.AddrList(link, netlink.FAMILY_ALL)
			for _, a := range addrs {
				if err == nil {
					err = h.AddrDel(link, &a)
				}
				if errors.Is(err, unix.EADDRNOTAVAIL) {
					err = nil // a secondary address went with its primary one
				}
			}
			return err
		})
		c.Within(2*time.Second, "others take over", c.Even(others(c, n)...))
		c.Answering(2 * time.Second)
		added(t, n, n.LAN.Addrs...)
		returned(t, c, patience)
		c.Answering(2 * time.Second)
	}
}

// TestLinkSetDownByHand: the kernel removes the IPv6 addresses with it, the node's own one too, which whoever sets the link up again brings back.
func TestLinkSetDownByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	ear := c.Client.Listen()
	var down, blink figures
	set := func(n *lab.Node, up bool) {
		inside(t, n.Host, func(h *netlink.Handle, link netlink.Link) error {
			if !up {
				return h.LinkSetDown(link)
			}
			if err := h.LinkSetUp(link); err != nil {
				return err
			}
			return h.AddrReplace(link, address(n.LAN.Addrs[1]))
		})
	}
	for i := range rounds(2, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		down.during(c, func() {
			set(n, false)
			c.Within(2*time.Second, "link down", c.Even(others(c, n)...))
			c.Answering(2 * time.Second)
		})
		set(n, true)
		returned(t, c, patience)
		c.Answering(2 * time.Second)

		held, now := of(c, n), c.Probe.Mark()
		blink.during(c, func() {
			set(n, false)
			set(n, true)
			c.Within(2*time.Second, "link down and up", c.AllHeld)
			c.Answering(3 * time.Second)
		})
		for _, v := range held {
			heard, err := ear.Heard(now)
			if err != nil || !slices.ContainsFunc(heard, func(a lab.Announcement) bool { return a.Addr == v }) {
				t.Errorf("nobody announced %v after the link of %s had been down, %v", v, n.Name, err)
			}
		}
		c.Within(patience, "rest", c.Even(c.Nodes...))
		c.Answering(2 * time.Second)
	}
	t.Log("link down: ", &down)
	t.Log("link down and up at once: ", &blink)
}

func TestInterfaceVanishes(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	var figures figures
	for i := range rounds(2, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		was := n.LAN.Index()
		figures.during(c, func() {
			n.LAN.Vanish()
			c.Within(2*time.Second, "interface gone", c.Even(others(c, n)...))
			c.Answering(2 * time.Second)
		})
		n.LAN.Appear()
		if n.LAN.Index() == was {
			t.Fatalf("the interface came back with index %d", was)
		}
		returned(t, c, patience)
		c.Answering(2 * time.Second)
	}
	t.Log(&figures)
}
