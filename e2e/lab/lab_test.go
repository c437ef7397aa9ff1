package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main(NeedEtcd)
	if os.Getenv(inhabitEnv) != "" {
		inhabit()
	}
	goleak.VerifyTestMain(m)
}

const echoPort = 7

// echo answers every datagram to the host's echo port at its own addresses until the test ends.
func echo(t *testing.T, h *Host) {
	t.Helper()
	echoAt(t, h, "")
}

// echoAt does so at one other address.
func echoAt(t *testing.T, h *Host, addr string) {
	t.Helper()
	conn := listen(t, h, net.JoinHostPort(addr, fmt.Sprint(echoPort)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 100)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(buf[:n], from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
}

// asks is a socket on the host for datagrams to another's echo port.
func asks(t *testing.T, from *Host, to netip.Addr) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	if err := from.Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, echoPort)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answers sends datagrams for at most the time given and reports whether one was answered.
func answers(t *testing.T, from *Host, to netip.Addr, within time.Duration) bool {
	t.Helper()
	conn := asks(t, from, to)
	defer conn.Close()
	return await(within, func() error {
		conn.Write([]byte("?")) // it may return the error of an earlier datagram
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := conn.Read(make([]byte, 10))
		return err
	}) == nil
}

// wantAnswer waits for an answer: after a cut the kernel asks for a lost neighbour once a second. Silence is believed sooner.
func wantAnswer(t *testing.T, from *Host, to netip.Addr, want bool) {
	t.Helper()
	within := 200 * time.Millisecond
	if want {
		within = patience
	}
	if got := answers(t, from, to, within); got != want {
		t.Errorf("%v answers %s: %v, want %v", to, from.Name, got, want)
	}
}

func TestEveryHostReachesEveryOther(t *testing.T) {
	l := New(t, Options{Nodes: 3, Gateway: true})
	hosts := []*Host{l.Client, l.Gateway}
	for _, n := range l.Nodes {
		hosts = append(hosts, n.Host)
	}
	for _, h := range hosts {
		echo(t, h)
	}
	for _, from := range hosts {
		for _, to := range hosts {
			for _, a := range to.LAN.Addrs {
				wantAnswer(t, from, a.Addr(), true)
			}
			if from.Mgmt != nil && to.Mgmt != nil {
				wantAnswer(t, from, to.Mgmt.Addr4(), true)
			}
		}
	}
	// The networks are apart: the client has no way to the management network, although the gateway would take the frames.
	wantAnswer(t, l.Client, l.Nodes[0].Mgmt.Addr4(), false)
}

func TestLabsDoNotSeeEachOther(t *testing.T) {
	one, two := New(t, Options{Nodes: 1}), New(t, Options{})
	echo(t, one.Nodes[0].Host)
	wantAnswer(t, one.Client, one.Nodes[0].LAN.Addr4(), true)
	wantAnswer(t, two.Client, one.Nodes[0].LAN.Addr4(), false)
}

func TestHostsAreMachinesOfTheirOwn(t *testing.T) {
	l := New(t, Options{Nodes: 3})
	seen := map[string]string{}
	for _, n := range l.Nodes {
		for _, file := range []string{"/proc/sys/kernel/hostname", "/etc/hostname", "/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
			text := run(t, n.Host, "cat", file)
			if len(text) < len("node1\n") {
				t.Errorf("%s: %s says %q", n.Name, file, text)
			}
			if again := run(t, n.Host, "cat", file); again != text {
				t.Errorf("%s: %s says %q, then %q", n.Name, file, text, again)
			}
			key := file + " " + text
			if other, ok := seen[key]; ok {
				t.Errorf("%s and %s have the same %s: %s", n.Name, other, file, text)
			}
			seen[key] = n.Name
		}
		if got := run(t, n.Host, "uname", "-n"); got != n.Name+"\n" {
			t.Errorf("%s: its host name is %q", n.Name, got)
		}
		run(t, n.Host, "sh", "-c", "mkdir /run/viplease && echo "+n.Name+" >/run/viplease/state")
		if got, err := os.ReadFile(n.Path("/run/viplease/state")); err != nil || string(got) != n.Name+"\n" {
			t.Errorf("%s: its file in /run, seen from the lab: %q, %v", n.Name, got, err)
		}
		n.WriteConfig("group = " + n.Name)
		if got := run(t, n.Host, "cat", ConfigPath); got != "group = "+n.Name {
			t.Errorf("%s: its configuration is %q", n.Name, got)
		}
		if got := run(t, n.Host, "ls", "/sys/class/net"); strings.Join(strings.Fields(got), " ") != "lo mgmt0 net1" {
			t.Errorf("%s: its interfaces are %q", n.Name, got)
		}
		run(t, n.Host, "cat", "/etc/passwd") // what it does not own is the machine's
	}
}

// TestSetUpIsQuick holds the time that every test pays: five nodes within a second, measured 30 ms.
func TestSetUpIsQuick(t *testing.T) {
	start := time.Now()
	l := New(t, Options{Nodes: 5})
	if took := time.Since(start); took > time.Second {
		t.Errorf("five nodes took %v", took)
	}
	start = time.Now()
	l.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestAddressesShowsWhatIsThere(t *testing.T) {
	l := New(t, Options{Nodes: 1})
	n := l.Nodes[0]
	if got, want := fmt.Sprint(n.Addresses()), "[192.168.3.11/24 fd00:3::11/64]"; got != want {
		t.Errorf("addresses %s, want %s", got, want)
	}
	vip := netip.MustParsePrefix("10.20.0.1/32")
	addAddress(t, n.Host, vip)
	if !n.Holds(vip.Addr()) {
		t.Errorf("%v is not among %v", vip, n.Addresses())
	}
	echoAt(t, n.Host, vip.Addr().String())
	l.Client.Route(netip.MustParsePrefix("10.20.0.0/16"))
	wantAnswer(t, l.Client, vip.Addr(), true)
}

func TestFullLAN(t *testing.T) {
	l := New(t, Options{Nodes: maxNodes})
	last := l.Nodes[maxNodes-1]
	echo(t, last.Host)
	wantAnswer(t, l.Client, netip.MustParseAddr("192.168.3.99"), true)
	wantAnswer(t, l.Client, netip.MustParseAddr("fd00:3::99"), true)
	wantAnswer(t, l.Nodes[0].Host, netip.MustParseAddr("10.9.0.189"), true)
}

func run(t *testing.T, h *Host, name string, args ...string) string {
	t.Helper()
	out, err := h.Run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNewAddressesAreChecked holds that a node's kernel looks for a duplicate of an IPv6 address that is added plainly, as on any
// machine, and that the lab's own addresses do not wait for it.
func TestNewAddressesAreChecked(t *testing.T) {
	l := New(t, Options{})
	n := l.AddNode()
	link, err := n.link.LinkByName(n.LAN.Name)
	if err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParsePrefix("fd00:3::100/128")
	if err := n.link.AddrAdd(link, &netlink.Addr{IPNet: ipNet(vip)}); err != nil {
		t.Fatal(err)
	}
	addrs, err := n.link.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if tentative, want := a.Flags&unix.IFA_F_TENTATIVE != 0, a.IP.Equal(vip.Addr().AsSlice()); tentative != want {
			t.Errorf("%v tentative: %v, want %v", a.IPNet, tentative, want)
		}
	}
}
