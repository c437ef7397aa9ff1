package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/judge"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

// What happens when somebody else changes the addresses and the interfaces of a node: by hand, with the ip command.

// How soon an address that something else removed is back, by the median and at the most: a busy machine may be late.
const (
	heal     = 100 * time.Millisecond
	healLate = time.Second
)

// inside runs fn with netlink in the node's network namespace and the node's LAN interface.
func inside(t *testing.T, h *lab.Host, fn func(*netlink.Handle, netlink.Link) error) {
	t.Helper()
	err := h.Do(func() error {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer handle.Close()
		link, err := handle.LinkByName(h.LAN.Name)
		if err != nil {
			return err
		}
		return fn(handle, link)
	})
	if err != nil {
		t.Fatalf("by hand on %s: %v", h.Name, err)
	}
}

func address(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{
		IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Flags: unix.IFA_F_NODAD,
	}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// removed deletes addresses on the node by hand, whichever are still there.
func removed(t *testing.T, n *lab.Node, addrs ...netip.Prefix) {
	t.Helper()
	inside(t, n.Host, func(h *netlink.Handle, link netlink.Link) error {
		for _, a := range addrs {
			if err := h.AddrDel(link, address(a)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("delete %v: %w", a, err)
			}
		}
		return nil
	})
}

func added(t *testing.T, n *lab.Node, addrs ...netip.Prefix) {
	t.Helper()
	inside(t, n.Host, func(h *netlink.Handle, link netlink.Link) error {
		for _, a := range addrs {
			if err := h.AddrAdd(link, address(a)); err != nil {
				return fmt.Errorf("add %v: %w", a, err)
			}
		}
		return nil
	})
}

// gone is how long a VIP was away from a node in the changes of a history: from its first deletion to the addition that followed.
func gone(history []judge.Change, n *lab.Node, vip netip.Addr) (from, to time.Duration, ok bool) {
	for _, c := range history {
		switch {
		case c.Node != n.Name || c.VIP != vip:
		case !c.Up && from == 0:
			from = c.At
		case c.Up && from != 0:
			return from, c.At, true
		}
	}
	return from, 0, false
}

// restored waits until VIPs that were deleted on the node are up there again, and holds that this was soon and that each was announced then.
func restored(t *testing.T, c *cluster.Cluster, ear *lab.Ear, n *lab.Node, before int, vips []netip.Addr) (away []time.Duration) {
	t.Helper()
	for _, v := range vips {
		var from, to time.Duration
		await(t, fmt.Sprintf("%v is up again on %s", v, n.Name), patience, func() (ok bool) {
			from, to, ok = gone(c.Judge.History()[before:], n, v)
			return ok
		})
		away = append(away, to-from)
		if to-from > healLate {
			t.Errorf("%v was away from %s for %v, more than %v", v, n.Name, to-from, healLate)
		}
		await(t, fmt.Sprintf("%s announces %v again", n.Name, v), healLate, func() bool {
			heard, err := ear.Heard(from)
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(heard, func(a lab.Announcement) bool { return a.Addr == v && bytes.Equal(a.MAC, n.LAN.MAC) })
		})
	}
	return away
}

// of are the VIPs that the node has up.
func of(c *cluster.Cluster, n *lab.Node) []netip.Addr {
	up := c.Judge.Holders()
	var out []netip.Addr
	for _, v := range c.VIPs {
		if slices.Contains(up[v], n.Name) {
			out = append(out, v)
		}
	}
	return out
}

// soon logs how long something took and holds that it was usually as soon as heal.
func soon(t *testing.T, what string, all []time.Duration) {
	t.Helper()
	median, p95, worst := probe.Summary(all)
	t.Logf("%s: %d times, median %.1f ms, p95 %.1f ms, worst %.1f ms", what, len(all), ms(median), ms(p95), ms(worst))
	if median > heal {
		t.Errorf("%s: the median is above %v", what, heal)
	}
}

func TestAddressDeletedByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	ear := c.Client.Listen()
	var one, all []time.Duration
	for i := range rounds(4, 40) {
		if i >= 4 {
			observe(5 * time.Second) // a VIP whose address goes more than five times in a minute is given up: see TestAddressFoughtOver
		}
		vip := c.VIPs[i%len(c.VIPs)]
		n, before := holder(t, c, vip), len(c.Judge.History())
		removed(t, n, host(vip))
		one = append(one, restored(t, c, ear, n, before, []netip.Addr{vip})...)
		if logs := n.Logs(); !strings.Contains(logs, "address gone") || !strings.Contains(logs, vip.String()) {
			t.Errorf("the log of %s does not tell:\n%s", n.Name, logs)
		}
		if i%2 == 1 {
			n := c.Nodes[i%len(c.Nodes)]
			held, before := of(c, n), len(c.Judge.History())
			var prefixes []netip.Prefix
			for _, v := range held {
				prefixes = append(prefixes, host(v))
			}
			removed(t, n, prefixes...)
			all = append(all, restored(t, c, ear, n, before, held)...)
		}
		c.Answering(2 * time.Second)
		c.Within(time.Second, "rest", c.Even(c.Nodes...))
	}
	soon(t, "an address deleted by hand was away", one)
	soon(t, "all addresses of a node deleted by hand were away", all)
}

// TestAddressFoughtOver: something deletes an address each time that it is back. The VIP must end up where nobody fights for it, or come to rest here.
func TestAddressFoughtOver(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(2, 20) {
		vip := c.VIPs[i%len(c.VIPs)]
		n, before := holder(t, c, vip), len(c.Judge.History())
		fights := 0
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			if n.Holds(vip) {
				removed(t, n, host(vip))
				fights++
			}
			observe(2 * time.Millisecond)
		}
		up := c.Judge.Holders()[vip]
		t.Logf("%v was deleted %d times in 10 s on %s; it is then up on %v; the history of the last moves: %v", vip, fights, n.Name, up,
			last(c.Judge.History()[before:], 6))
		if logs := n.Logs(); !strings.Contains(logs, "address gone") {
			t.Errorf("the log of %s does not tell:\n%s", n.Name, logs)
		}
		if fights > 200 {
			t.Errorf("%s set the address again %d times in 10 s: a fight that it cannot win must slow down", n.Name, fights)
		}
		c.Within(time.Minute+patience, "the fight is over", c.AllHeld)
		c.Answering(2 * time.Second)
		c.Within(time.Minute, "rest", c.Even(c.Nodes...))
	}
}

func last[T any](all []T, n int) []T { return all[max(len(all)-n, 0):] }

// TestStrangersAddressesStay: what is on the interface and not ours is never touched, however a node lets its VIPs go.
func TestStrangersAddressesStay(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		strangers := []netip.Prefix{
			netip.MustParsePrefix("192.168.3.77/32"), netip.MustParsePrefix("192.168.3.78/24"), netip.MustParsePrefix("10.77.0.1/24"),
			netip.MustParsePrefix("fd00:3::77/128"), netip.MustParsePrefix("fd00:3::78/64"),
		}
		added(t, n, strangers...)
		strangers = append(strangers, n.LAN.Addrs...)
		stay := func(after string) {
			t.Helper()
			now := n.Addresses()
			for _, s := range strangers {
				if !slices.Contains(now, s) {
					t.Errorf("%s: %v is gone from %s, which has %v", after, s, n.Name, now)
				}
			}
		}
		stay("to begin with")
		run(t, n, "drain", "--wait", "--timeout", "10s")
		stay("drain")
		run(t, n, "undrain")
		c.Within(patience, "undrain", c.Even(c.Nodes...))
		if out, err := n.Viplease("release"); err == nil || len(of(c, n)) == 0 {
			t.Errorf("release was not refused while the daemon ran: %s", out)
		}
		n.Kill()
		held := of(c, n)
		out := run(t, n, "release")
		if left := of(c, n); len(held) == 0 || len(left) > 0 || strings.Count(out, "released ") != len(held) {
			t.Errorf("release with %v up left %v and said:\n%s", held, left, out)
		}
		stay("release")
		n.Restart()
		returned(t, c, patience)
		if err := n.Stop(); err != nil {
			t.Fatalf("SIGTERM: %v\n%s", err, n.Logs())
		}
		if left := of(c, n); len(left) > 0 {
			t.Errorf("SIGTERM left %v", left)
		}
		stay("SIGTERM")
		n.Restart()
		returned(t, c, patience)
		n.Kill()
		c.Within(cluster.Hold+cluster.Late+100*time.Millisecond, "kill", c.None(n))
		stay("the kernel's end of the lifetimes")
		n.Restart()
		returned(t, c, patience)
		removed(t, n, strangers[:5]...)
	}
}

// TestAddressAddedByHand: an address of a VIP that somebody puts up where it does not belong goes at once. Meanwhile two have it, so the cluster's judge
// does not look at these two VIPs, and one of their own measures.
func TestAddressAddedByHand(t *testing.T) {
	t.Parallel()
	extra := []netip.Addr{addr("192.168.3.200"), addr("fd00:3::200")}
	c := cluster.Start(t, cluster.Options{VIPs: 8, Tables: `
[[vip]]
addresses = ["192.168.3.200"]
prefer = ["node1"]
[[vip]]
addresses = ["fd00:3::200"]
prefer = ["node2"]
`})
	var machines []judge.Machine
	for _, n := range c.Nodes {
		machines = append(machines, judge.Machine{Name: n.Name, NS: n.NetNS()})
	}
	var measure *judge.Judge
	if err := lab.Do(c.NetNS(), func() (err error) {
		measure, err = judge.Start(judge.Config{Machines: machines, VIPs: extra, Strict: true})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer measure.Close() // its verdict is what the test makes
	c.Settled()
	await(t, "the two VIPs are up", patience, func() bool {
		up := measure.Holders()
		return slices.Equal(up[extra[0]], []string{"node1"}) && slices.Equal(up[extra[1]], []string{"node2"})
	})
	var both []time.Duration
	for i := range rounds(4, 40) {
		vip, n := extra[i%2], c.Nodes[2]
		quiet(t, c, "an address added by hand", func() {
			met := len(measure.Overlaps())
			added(t, n, host(vip))
			await(t, fmt.Sprintf("%v is gone from %s", vip, n.Name), patience, func() bool { return !n.Holds(vip) })
			now := measure.Overlaps()
			if len(now) != met+1 || now[met].Ongoing {
				t.Fatalf("%v was added on %s, and the judge saw %v", vip, n.Name, now[met:])
			}
			both = append(both, now[met].For)
		})
	}
	soon(t, "an address added by hand was up twice", both)
}
