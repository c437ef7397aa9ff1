package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// inside marks the test binary that runs in namespaces of its own.
const inside = "SOCKETS_TEST_INSIDE"

// TestMain runs this binary again in a new user and a new network namespace, which takes no privilege.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		goleak.VerifyTestMain(m)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts it
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	default:
		fmt.Fprintln(os.Stderr, "no namespaces here, tests that need them are skipped:", err)
		goleak.VerifyTestMain(m)
	}
}

// needKernel skips a test that resets connections where that cannot be done; under CI that is a failure.
func needKernel(t testing.TB) {
	t.Helper()
	lack := Supported()
	if os.Getenv(inside) == "" {
		lack = errors.New("no user and network namespaces")
	}
	if lack == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(lack)
	}
	t.Skip(lack)
}

const (
	vip4, vip6     = "192.0.2.100", "2001:db8::100"
	other4, other6 = "192.0.2.101", "2001:db8::101"
	local6         = "fe80::100" // on the link near
)

// lan is two hosts: this one, which holds the addresses, and a client in a network namespace of its own.
type lan struct {
	near   netlink.Link
	client netns.NsHandle
}

func newLAN(t testing.TB) *lan {
	t.Helper()
	needKernel(t)
	l := &lan{client: newNamespace(t)}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "near"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "far", netlink.NsFd(l.client)
	must(t, netlink.LinkAdd(veth))
	near, err := netlink.LinkByName("near")
	must(t, err)
	l.near = near
	t.Cleanup(func() { must(t, netlink.LinkDel(near)) })
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	must(t, err)
	defer here.Close()
	there, err := netlink.NewHandleAt(l.client, unix.NETLINK_ROUTE)
	must(t, err)
	defer there.Close()
	up(t, here, "near", vip4+"/24", vip6+"/64", other4+"/24", other6+"/64", local6+"/64")
	up(t, there, "far", "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
	up(t, here, "lo")
	return l
}

// up raises a link with addresses.
func up(t testing.TB, h *netlink.Handle, name string, addrs ...string) {
	t.Helper()
	link, err := h.LinkByName(name)
	must(t, err)
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		must(t, err)
		addr.Flags = unix.IFA_F_NODAD
		must(t, h.AddrAdd(link, addr))
	}
	must(t, h.LinkSetUp(link))
}

// newNamespace makes a network namespace and leaves this one as it is.
func newNamespace(t testing.TB) netns.NsHandle {
	t.Helper()
	var ns netns.NsHandle
	elsewhere(t, func() (err error) {
		ns, err = netns.New()
		return err
	})
	t.Cleanup(func() { ns.Close() })
	return ns
}

// elsewhere runs f on a thread that is thrown away, so that f may change what a thread has.
func elsewhere(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	must(t, <-done)
}

// dial connects the client to an address of this host.
func (l *lan) dial(t testing.TB, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	return l.dialBy(t, &net.Dialer{}, to)
}

func (l *lan) dialBy(t testing.TB, d *net.Dialer, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	var conn net.Conn
	elsewhere(t, func() (err error) {
		if err = netns.Set(l.client); err != nil {
			return err
		}
		if to.Addr().Is6() && to.Addr().IsLinkLocalUnicast() {
			to = netip.AddrPortFrom(to.Addr().WithZone("far"), to.Port())
		}
		conn, err = d.Dial("tcp", to.String())
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// listen opens a listening socket here, of plain TCP; the network says for which families.
func listen(t testing.TB, network, address string) *net.TCPListener {
	t.Helper()
	return listenBy(t, false, network, address)
}

// listenBy opens one that takes Multipath TCP as well if wanted.
func listenBy(t testing.TB, multipath bool, network, address string) *net.TCPListener {
	t.Helper()
	var c net.ListenConfig
	c.SetMultipathTCP(multipath)
	s, err := c.Listen(t.Context(), network, net.JoinHostPort(address, "0"))
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s.(*net.TCPListener)
}

// pair is one connection.
type pair struct{ client, server *net.TCPConn }

// connect makes a connection from the client to an address of this host.
func (l *lan) connect(t testing.TB, s *net.TCPListener, to string) pair {
	t.Helper()
	client := l.dial(t, at(to, s))
	server, err := s.AcceptTCP()
	must(t, err)
	t.Cleanup(func() { server.Close() })
	return pair{client, server}
}

// at is an address with the port of a listening socket.
func at(address string, s *net.TCPListener) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address), s.Addr().(*net.TCPAddr).AddrPort().Port())
}

// works says whether a connection carries a byte each way.
func (p pair) works(t testing.TB) {
	t.Helper()
	for _, c := range []struct{ from, to *net.TCPConn }{{p.client, p.server}, {p.server, p.client}} {
		_, err := c.from.Write([]byte{1})
		must(t, err)
		must(t, c.to.SetReadDeadline(time.Now().Add(patience)))
		_, err = c.to.Read(make([]byte, 1))
		must(t, err)
	}
}

// patience is how long a test waits for what must happen.
const patience = 5 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok; it asks anew every millisecond.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// always is a gate that is open.
func always() bool { return true }

func addresses(list ...string) (addrs []netip.Addr) {
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}
