package sockets

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// needKernel skips a test that resets connections where that cannot be done.
func needKernel(t testing.TB) {
	t.Helper()
	nstest.Need(t)
	if err := Supported(); err != nil {
		nstest.Lacking(t, "%v", err)
	}
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
	l := &lan{client: nstest.New(t)}
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

// dial connects the client to an address of this host.
func (l *lan) dial(t testing.TB, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	return l.dialBy(t, &net.Dialer{}, to)
}

func (l *lan) dialBy(t testing.TB, d *net.Dialer, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	var conn net.Conn
	nstest.Do(t, l.client, func() (err error) {
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
