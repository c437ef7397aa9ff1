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

// mass is three nodes with 1,000 VIPs: one that holds a third of them dies, and one that holds all is drained. The client probes 20 of the VIPs; of the others
// the kernels tell.
func mass(args []string) error {
	flags := flag.NewFlagSet("bench mass", flag.ExitOnError)
	vips := flags.Int("vips", 1000, "how many VIPs")
	runs := flags.Int("runs", 3, "how often")
	only := flags.String("only", "", "death, eviction or drain; default: all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rows := [][]string{{"event", "VIPs", "to the last one up and announced", "bare cost of as many addresses and frames", "outage of 20 VIPs, by a client: median, worst", "of all, by kernel events: median, worst"}}
	for range *runs {
		for _, event := range []struct {
			name string
			run  func(vips int) []string
		}{
			{"death", func(vips int) []string { return massDeath(vips, cluster.Strict) }},
			{"eviction", func(vips int) []string { return massDeath(vips, cluster.Fast) }},
			{"drain", massDrain},
		} {
			if *only == "" || *only == event.name {
				rows = append(rows, event.run(*vips))
			}
		}
	}
	fmt.Printf("%d IPv4 VIPs on three nodes:\n\n", *vips)
	table(rows)
	return nil
}

// massDeath kills a host. Its VIPs may be taken when W has passed since its member key went or, in fast mode, when it was evicted.
func massDeath(vips int, mode cluster.Mode) []string {
	c := large(vips, cluster.Options{Mode: mode, Gateway: true})
	defer done(c)
	c.Settled()
	ear := c.Client.Listen()
	victim := c.Nodes[2]
	held := holding(c, victim)
	gone := make(chan time.Duration, 1)
	go watchGone(c, victim.Name, gone)
	began := sinceBoot()
	c.Die(victim)
	name, takeable := "its guards evict a host", <-gone
	if mode == cluster.Strict {
		name, takeable = "a host dies; W over", takeable+cluster.Wait
	}
	c.Within(time.Minute, "takeover", c.AllHeld)
	took := announced(c, ear, began, held) - takeable
	return row(name, len(held), took, bare(c, held), "", "")
}

// massDrain drains a node that holds everything.
func massDrain(vips int) []string {
	c := large(vips, cluster.Options{Gateway: true, Tables: "[balance]\nmoves_per_round = 0\n"})
	defer done(c)
	c.Within(time.Minute, "cold start", c.AllHeld)
	victim := c.Nodes[2]
	for _, n := range c.Nodes[:2] {
		command(n, "drain", n.Name, "--wait")
	}
	for _, n := range c.Nodes[:2] {
		command(n, "undrain", n.Name)
	}
	held := holding(c, victim)
	if len(held) != vips {
		lab.Program{}.Fatalf("bench: %s holds %d of %d VIPs", victim.Name, len(held), vips)
	}
	c.Answering(2 * time.Second)
	c.Quiet()
	ear := c.Client.Listen()
	mark, began := c.Probe.Mark(), sinceBoot()
	command(c.Nodes[0], "drain", victim.Name, "--wait")
	c.Within(time.Minute, "drain", c.None(victim))
	c.Within(time.Minute, "drain", c.AllHeld)
	took := announced(c, ear, began, held) - began
	client, _, clientWorst := probe.Summary(gaps(c, mark))
	kernel, _, kernelWorst := probe.Summary(absences(c, began))
	return row("drain, from the command", len(held), took, bare(c, held), pair(client, clientWorst), pair(kernel, kernelWorst))
}

func done(c *cluster.Cluster) {
	c.Probe.Close()
	c.Judge.Close()
	c.Lab.Close()
}

func row(event string, vips int, took, bare time.Duration, client, kernel string) []string {
	return []string{event, strconv.Itoa(vips), fmt.Sprintf("%.0f ms", took.Seconds()*1e3), fmt.Sprintf("%.0f ms", bare.Seconds()*1e3), client, kernel}
}

func pair(median, worst time.Duration) string {
	return fmt.Sprintf("%.1f ms, %.1f ms", median.Seconds()*1e3, worst.Seconds()*1e3)
}

// absences are how long each VIP was on no machine after since.
func absences(c *cluster.Cluster, since time.Duration) (out []time.Duration) {
	gone, sum := map[netip.Addr]time.Duration{}, map[netip.Addr]time.Duration{}
	for _, e := range c.Judge.History() {
		if e.At < since {
			continue
		}
		if !e.Up {
			gone[e.VIP] = e.At
		} else if at, ok := gone[e.VIP]; ok {
			sum[e.VIP] += e.At - at
			delete(gone, e.VIP)
		}
	}
	for _, d := range sum {
		out = append(out, d)
	}
	return out
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
