package lab

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func addAddress(t *testing.T, h *Host, p netip.Prefix) {
	t.Helper()
	link, err := h.link.LinkByName(h.LAN.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.link.AddrAdd(link, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}); err != nil {
		t.Fatal(err)
	}
}

// carrier reports whether the host sees a signal on its port.
func carrier(t *testing.T, p *Port) bool {
	t.Helper()
	link, err := p.host.link.LinkByName(p.Name)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

func TestCutIsSilentAndKeepsTheCarrier(t *testing.T) {
	for _, kind := range Links {
		t.Run("link="+string(kind), func(t *testing.T) {
			l := New(t, Options{Nodes: 2, Link: kind})
			one, two := l.Nodes[0], l.Nodes[1]
			for _, n := range l.Nodes {
				echo(t, n.Host)
			}
			wantAnswer(t, l.Client, one.LAN.Addr4(), true)
			one.LAN.Cut()
			wantAnswer(t, l.Client, one.LAN.Addr4(), false)
			wantAnswer(t, one.Host, two.LAN.Addr4(), false)
			wantAnswer(t, l.Client, two.LAN.Addr4(), true)
			wantAnswer(t, two.Host, one.Mgmt.Addr4(), true)
			if !carrier(t, one.LAN) {
				t.Error("the cut took the carrier away")
			}
			one.LAN.Heal()
			wantAnswer(t, l.Client, one.LAN.Addr4(), true)
			wantAnswer(t, one.Host, two.LAN.Addr4(), true)
			l.Cut(one.Mgmt, two.LAN)
			wantAnswer(t, two.Host, one.Mgmt.Addr4(), false)
			wantAnswer(t, l.Client, two.LAN.Addr4(), false)
			wantAnswer(t, l.Client, one.LAN.Addr4(), true)
			l.Heal(one.Mgmt, two.LAN)
			wantAnswer(t, two.Host, one.Mgmt.Addr4(), true)
			wantAnswer(t, l.Client, two.LAN.Addr4(), true)
		})
	}
}

func TestDownTakesTheCarrierAway(t *testing.T) {
	for _, kind := range Links {
		t.Run("link="+string(kind), func(t *testing.T) {
			l := New(t, Options{Nodes: 1, Link: kind})
			n := l.Nodes[0]
			echo(t, n.Host)
			awaitCarrier(t, n.LAN, true)
			n.LAN.Down()
			awaitCarrier(t, n.LAN, false)
			wantAnswer(t, l.Client, n.LAN.Addr4(), false)
			n.LAN.Cut() // a cut stays through a change of the carrier
			n.LAN.Up()
			awaitCarrier(t, n.LAN, true)
			wantAnswer(t, l.Client, n.LAN.Addr4(), false)
			n.LAN.Heal()
			wantAnswer(t, l.Client, n.LAN.Addr4(), true)
		})
	}
}

func awaitCarrier(t *testing.T, p *Port, want bool) {
	t.Helper()
	if err := await(patience, func() error {
		if carrier(t, p) != want {
			return syscall.EAGAIN
		}
		return nil
	}); err != nil {
		t.Fatalf("the carrier of %v: %v, want %v", p, !want, want)
	}
}

// arrivals is how many of 100 datagrams from one host arrive at another, in that direction alone. Both must know each other's
// hardware address: the loss of an ARP request would count as the loss of many.
func arrivals(t *testing.T, from, to *Host) int {
	t.Helper()
	const port = 9
	heard := listen(t, to, fmt.Sprintf(":%d", port))
	defer heard.Close()
	for range 100 {
		send(t, from, to.LAN.Addr4(), port)
	}
	for n := 0; ; n++ {
		heard.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, _, err := heard.ReadFrom(make([]byte, 10)); err != nil {
			return n
		}
	}
}

func wantArrivals(t *testing.T, from, to *Host, low, high int) {
	t.Helper()
	if got := arrivals(t, from, to); got < low || got > high {
		t.Errorf("%d of 100 datagrams from %s arrive at %s, want %d to %d", got, from.Name, to.Name, low, high)
	}
}

// TestFaultsByDirection tells the two directions of each fault apart. With a loss of 30 % about 70 arrive; 28 more or less are six
// standard deviations.
func TestFaultsByDirection(t *testing.T) {
	l := New(t, Options{Nodes: 3})
	one, two, three := l.Nodes[0].Host, l.Nodes[1].Host, l.Nodes[2].Host
	for _, n := range l.Nodes {
		echo(t, n.Host)
	}
	for _, from := range l.Nodes {
		for _, to := range l.Nodes {
			wantAnswer(t, from.Host, to.LAN.Addr4(), true)
		}
	}
	type pair struct {
		from, to  *Host
		low, high int
	}
	for _, c := range []struct {
		fault string
		make  func()
		want  []pair
		heal  func()
	}{
		{
			"none",
			func() {},
			[]pair{{one, two, 100, 100}, {two, one, 100, 100}},
			func() {},
		}, {
			"cut",
			one.LAN.Cut,
			[]pair{{one, two, 0, 0}, {two, one, 0, 0}, {two, three, 100, 100}, {three, two, 100, 100}},
			one.LAN.Heal,
		}, {
			"lose",
			func() { one.LAN.Lose(30) },
			[]pair{{one, two, 42, 98}, {two, one, 42, 98}, {two, three, 100, 100}},
			one.LAN.Heal,
		}, {
			"lose all",
			func() { one.LAN.Lose(100) },
			[]pair{{one, two, 0, 0}, {two, one, 0, 0}},
			func() { one.LAN.Lose(0) },
		}, {
			"block",
			func() { l.Block(one.LAN, two.LAN) },
			[]pair{{one, two, 0, 0}, {two, one, 100, 100}, {one, three, 100, 100}, {three, two, 100, 100}},
			func() { l.Unblock(one.LAN, two.LAN) },
		}, {
			"healed",
			func() {},
			[]pair{{one, two, 100, 100}, {two, one, 100, 100}},
			func() {},
		},
	} {
		t.Run(c.fault, func(t *testing.T) {
			c.make()
			defer c.heal()
			for _, w := range c.want {
				wantArrivals(t, w.from, w.to, w.low, w.high)
			}
		})
	}
}

// TestSwitchHearsEveryHost is the ground that the judge stands on: one socket in the switch's namespace hears the addresses of all
// hosts come and go, and says whose they are.
func TestSwitchHearsEveryHost(t *testing.T) {
	l := New(t, Options{Nodes: 2})
	var fd int
	if err := Do(l.NetNS(), func() (err error) {
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_IPV4_IFADDR - 1)})
	}); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
	hear := func(event uint16, nsid int) {
		t.Helper()
		buf, control := make([]byte, 4096), make([]byte, 256)
		n, cn, _, _, err := unix.Recvmsg(fd, buf, control, 0)
		if err != nil || n < unix.NLMSG_HDRLEN {
			t.Fatalf("%d bytes, %v", n, err)
		}
		messages, err := unix.ParseSocketControlMessage(control[:cn])
		if err != nil || len(messages) != 1 || messages[0].Header.Type != unix.NETLINK_LISTEN_ALL_NSID {
			t.Fatalf("control messages %+v, %v", messages, err)
		}
		header := (*unix.NlMsghdr)(ptr(buf))
		if got := int(*(*int32)(ptr(messages[0].Data))); got != nsid || header.Type != event {
			t.Errorf("event %d of namespace %d, want %d of %d", header.Type, got, event, nsid)
		}
	}
	vip := netip.MustParsePrefix("192.168.3.100/32")
	for _, n := range l.Nodes {
		addAddress(t, n.Host, vip)
		hear(unix.RTM_NEWADDR, n.NSID())
	}
	one := l.Nodes[0]
	one.Die()
	one.Return()
	hear(unix.RTM_DELADDR, one.NSID()) // the order of an interface's addresses is the kernel's: three go
	hear(unix.RTM_DELADDR, one.NSID())
	hear(unix.RTM_DELADDR, one.NSID())
	hear(unix.RTM_NEWADDR, one.NSID())
}
