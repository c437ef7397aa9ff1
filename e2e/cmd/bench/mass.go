package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

// mass is three nodes with 1,000 VIPs: one of them dies, and one is drained. The client probes 20 of the VIPs; of the others the kernels tell.
func mass(args []string) error {
	flags := flag.NewFlagSet("bench mass", flag.ExitOnError)
	vips := flags.Int("vips", 1000, "how many VIPs")
	runs := flags.Int("runs", 3, "how often")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rows := [][]string{{"event", "VIPs", "from takeable, or the command, to the last one up and announced", "bare cost of as many addresses and announcements", "outage of a VIP: median", "worst"}}
	for range *runs {
		c := large(*vips, cluster.Options{})
		c.Settled()
		ear := c.Client.Listen()
		victim := c.Nodes[2]

		held := holding(c, victim)
		mark := c.Probe.Mark()
		began := sinceBoot()
		command(c.Nodes[0], "drain", victim.Name, "--wait")
		c.Within(time.Minute, "drain", c.None(victim))
		c.Within(time.Minute, "drain", c.AllHeld)
		last := announced(c, ear, began, held)
		median, _, worst := probe.Summary(gaps(c, mark))
		rows = append(rows, row("drain of a node", len(held), last-began, bare(c, held), median, worst))
		command(c.Nodes[0], "undrain", victim.Name)
		c.Within(time.Minute, "undrain", c.Even(c.Nodes[:3]...)) // not the one that the bare cost took
		c.Settled()

		held = holding(c, victim)
		gone := make(chan time.Duration, 1)
		go watchGone(c, victim.Name, gone)
		began = sinceBoot()
		c.Die(victim)
		takeable := <-gone + cluster.Wait
		c.Judge.RemoveMachine(victim.Name)
		c.Within(time.Minute, "takeover", c.AllHeld)
		last = announced(c, ear, began, held)
		rows = append(rows, row("death of a host", len(held), last-takeable, bare(c, held), 0, 0))
		c.Probe.Close()
		c.Judge.Close()
		c.Lab.Close()
	}
	fmt.Printf("%d IPv4 VIPs on three nodes, fast takeover off:\n\n", *vips)
	table(rows)
	return nil
}

func row(event string, vips int, took, bare, median, worst time.Duration) []string {
	outage := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return []string{event, strconv.Itoa(vips), fmt.Sprintf("%.0f ms", took.Seconds()*1e3), fmt.Sprintf("%.0f ms", bare.Seconds()*1e3), outage(median), outage(worst)}
}

// holding is what a node has up.
func holding(c *cluster.Cluster, n *lab.Node) (out []netip.Addr) {
	up := c.Judge.Holders()
	for _, v := range c.VIPs {
		if len(up[v]) == 1 && up[v][0] == n.Name {
			out = append(out, v)
		}
	}
	return out
}

// announced waits until each of the addresses has been announced since, and returns when the last one first was.
func announced(c *cluster.Cluster, ear *lab.Ear, since time.Duration, addresses []netip.Addr) (last time.Duration) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		heard, err := ear.Heard(since)
		if err != nil {
			lab.Program{}.Fatalf("bench: %v", err)
		}
		first := map[netip.Addr]time.Duration{}
		for _, a := range heard {
			if _, ok := first[a.Addr]; !ok {
				first[a.Addr] = a.At
			}
		}
		missing := 0
		last = 0
		for _, v := range addresses {
			if at, ok := first[v]; ok {
				last = max(last, at)
			} else {
				missing++
			}
		}
		if missing == 0 {
			return last
		}
		if time.Now().After(deadline) {
			lab.Program{}.Fatalf("bench: %d of %d addresses were not announced", missing, len(addresses))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// gaps are the outages of the probed VIPs, summed for each.
func gaps(c *cluster.Cluster, mark time.Duration) (out []time.Duration) {
	sum := map[netip.Addr]time.Duration{}
	for _, o := range c.Outages(mark) {
		sum[o.VIP] += o.Duration
	}
	for _, d := range sum {
		out = append(out, d)
	}
	return out
}

// watchGone tells when the node's member key went.
func watchGone(c *cluster.Cluster, node string, gone chan<- time.Duration) {
	for r := range c.Etcd.Client().Watch(context.Background(), "/viplease/www/members/"+node) {
		for _, e := range r.Events {
			if e.Type == clientv3.EventTypeDelete {
				gone <- sinceBoot()
				return
			}
		}
	}
}

// bare is what it costs to add the addresses to an interface, one by one, and to send one gratuitous ARP frame for each, and nothing else. The host that
// does it is off the LAN.
func bare(c *cluster.Cluster, addresses []netip.Addr) (took time.Duration) {
	spare := c.AddNode()
	c.Cut(spare.LAN)
	err := spare.Do(func() error {
		link, err := netlink.LinkByName("net1")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: 0x0608, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
		began := sinceBoot()
		for _, a := range addresses {
			at := &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: at, ValidLft: 60}); err != nil {
				return fmt.Errorf("add %v: %w", a, err)
			}
		}
		for _, a := range addresses {
			if err := unix.Sendto(fd, gratuitous(link.Attrs().HardwareAddr, a), 0, to); err != nil {
				return fmt.Errorf("announce %v: %w", a, err)
			}
		}
		took = sinceBoot() - began
		return nil
	})
	if err != nil {
		lab.Program{}.Fatalf("bench: bare cost: %v", err)
	}
	return took
}

// gratuitous is an ARP announcement (RFC 5227 section 1.1): a broadcast request for its own address.
func gratuitous(mac net.HardwareAddr, a netip.Addr) []byte {
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1)
	frame = append(append(frame, mac...), a.AsSlice()...)
	return append(append(frame, 0, 0, 0, 0, 0, 0), a.AsSlice()...)
}

func command(n *lab.Node, args ...string) {
	if out, err := n.Viplease(args...); err != nil {
		lab.Program{}.Fatalf("bench: viplease %v on %s: %v\n%s", args, n.Name, err, out)
	}
}

func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
