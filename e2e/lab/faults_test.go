package lab

import (
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

// TestLose counts what comes back of 200 datagrams, as many as a socket's buffer holds. With a loss of a fifth each way about 128 do;
// 40 more or less would be six standard deviations.
func TestLose(t *testing.T) {
	l := New(t, Options{Nodes: 1})
	n := l.Nodes[0]
	echo(t, n.Host)
	wantAnswer(t, l.Client, n.LAN.Addr4(), true) // both know the other's address: loss of ARP is not counted
	for _, c := range []struct {
		percent   float64
		low, high int
	}{{20, 88, 168}, {100, 0, 0}, {0, 200, 200}} {
		n.LAN.Lose(c.percent)
		if got := returned(t, l.Client, n.LAN.Addr4(), 200); got < c.low || got > c.high {
			t.Errorf("with %v %% loss each way %d of 200 came back, want %d to %d", c.percent, got, c.low, c.high)
		}
	}
}

// returned sends datagrams to the echo port and counts the answers until none has come for a fifth of a second.
func returned(t *testing.T, from *Host, to netip.Addr, datagrams int) int {
	t.Helper()
	conn := asks(t, from, to)
	for i := range datagrams {
		if _, err := conn.Write([]byte{byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	for {
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			return count
		}
		count++
	}
}

func TestBlockIsForOneDirectionOfOnePair(t *testing.T) {
	l := New(t, Options{Nodes: 3})
	one, two, three := l.Nodes[0], l.Nodes[1], l.Nodes[2]
	for _, n := range l.Nodes {
		echo(t, n.Host)
	}
	wantAnswer(t, one.Host, two.LAN.Addr4(), true)
	l.Block(one.LAN, two.LAN)
	wantAnswer(t, one.Host, two.LAN.Addr4(), false)
	wantAnswer(t, one.Host, three.LAN.Addr4(), true)
	wantAnswer(t, three.Host, two.LAN.Addr4(), true)
	l.Unblock(one.LAN, two.LAN)
	wantAnswer(t, one.Host, two.LAN.Addr4(), true)

	// One direction alone: two's datagrams arrive at one, the answers do not arrive at two.
	l.Block(one.LAN, two.LAN)
	got := make(chan int, 1)
	counter := listen(t, one.Host, ":9")
	go func() { got <- count(counter) }()
	for range 10 {
		send(t, two.Host, one.LAN.Addr4(), 9)
	}
	if n := <-got; n != 10 {
		t.Errorf("one heard %d of two's 10 datagrams", n)
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
