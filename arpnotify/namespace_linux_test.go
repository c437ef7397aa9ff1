package arpnotify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// A cable is a veth pair: near is ours, far is a neighbour in a network namespace of its own.
type cable struct {
	near    string
	ns      netns.NsHandle
	far     *netlink.Handle
	farLink netlink.Link
}

const farEnd = "far0"

var cables atomic.Int32

// oldMAC is where the neighbour believes the addresses to be.
var oldMAC = net.HardwareAddr{0x02, 0xde, 0xad, 0, 0, 1}

func newCable(t testing.TB) *cable {
	t.Helper()
	c := &cable{near: fmt.Sprintf("near%d", cables.Add(1))}
	c.ns = nstest.New(t)
	far, err := netlink.NewHandleAt(c.ns, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(far.Close)
	c.far = far
	c.plug(t)
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(c.near); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	return c
}

// plug makes the pair, with both ends up and connected.
func (c *cable) plug(t testing.TB) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = c.near
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = farEnd, netlink.NsFd(c.ns)
	must(t, netlink.LinkAdd(veth))
	far, err := c.far.LinkByName(farEnd)
	must(t, err)
	c.farLink = far
	for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		addr, err := netlink.ParseAddr(a)
		must(t, err)
		addr.Flags = unix.IFA_F_NODAD
		must(t, c.far.AddrAdd(far, addr))
	}
	must(t, c.far.LinkSetUp(far))
	must(t, netlink.LinkSetUp(c.link(t)))
	eventually(t, "carrier", func() bool { return c.link(t).Attrs().RawFlags&unix.IFF_RUNNING != 0 })
	eventually(t, "the neighbour listens to multicast", func() bool {
		addrs, err := c.far.AddrList(far, netlink.FAMILY_V6)
		must(t, err)
		// The kernel makes it together with the route for ff00::/8, when the carrier is there.
		return slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.IsLinkLocalUnicast() })
	})
}

func (c *cable) link(t testing.TB) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(c.near)
	must(t, err)
	return l
}

func (c *cable) mac(t testing.TB) net.HardwareAddr { t.Helper(); return c.link(t).Attrs().HardwareAddr }

// raise puts addr up at the neighbour.
func (c *cable) raise(t testing.TB, addr netip.Addr) {
	t.Helper()
	must(t, c.far.AddrAdd(c.farLink, &netlink.Addr{IPNet: prefix(addr), Flags: unix.IFA_F_NODAD}))
}

// prefix is addr alone.
func prefix(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

// believe makes the neighbour hold addr to be at oldMAC.
func (c *cable) believe(t testing.TB, addr netip.Addr) {
	t.Helper()
	must(t, c.far.NeighSet(&netlink.Neigh{
		LinkIndex: c.farLink.Attrs().Index, IP: addr.AsSlice(), HardwareAddr: oldMAC, State: netlink.NUD_REACHABLE,
	}))
}

// believed is where the neighbour believes addr to be.
func (c *cable) believed(t testing.TB, addr netip.Addr) string {
	t.Helper()
	list, err := c.far.NeighList(c.farLink.Attrs().Index, netlink.FAMILY_ALL)
	must(t, err)
	for _, n := range list {
		if got, ok := netip.AddrFromSlice(n.IP); ok && got.Unmap() == addr {
			return n.HardwareAddr.String()
		}
	}
	return ""
}

// A capture is a packet socket that sees all frames of an interface.
type capture struct{ fd, index int }

// atFar captures what arrives at the neighbour, atNear what is given to our interface: a frame is there before the call
// that sends it returns.
func (c *cable) atFar(t testing.TB) (x *capture) {
	t.Helper()
	nstest.Do(t, c.ns, func() (err error) {
		x, err = openCapture(c.farLink.Attrs().Index)
		return err
	})
	t.Cleanup(x.close)
	return x
}

func (c *cable) atNear(t testing.TB) *capture {
	t.Helper()
	x, err := openCapture(c.link(t).Attrs().Index)
	must(t, err)
	t.Cleanup(x.close)
	return x
}

func openCapture(index int) (*capture, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	x := &capture{fd, index}
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

func (x *capture) close() { unix.Close(x.fd) }

// next returns the next announcement within d, nil when there is none.
func (x *capture) next(t testing.TB, d time.Duration) []byte {
	t.Helper()
	b := make([]byte, 2048)
	for deadline := time.Now().Add(d); ; {
		n, _, err := unix.Recvfrom(x.fd, b, unix.MSG_DONTWAIT)
		switch {
		case err == nil && isAnnouncement(b[:n]):
			return b[:n]
		case err == nil, errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // the last: told once, then it goes on
			continue
		case !errors.Is(err, unix.EAGAIN):
			t.Fatalf("capture: %v", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(x.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatalf("capture: %v", err)
		}
	}
}

// lost is how many frames of any kind the capture had no room for, since it was last asked.
func (x *capture) lost(t testing.TB) uint64 {
	t.Helper()
	s, err := unix.GetsockoptTpacketStats(x.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	must(t, err)
	return uint64(s.Drops)
}

// send gives a frame to the interface.
func (x *capture) send(t testing.TB, frame []byte) {
	t.Helper()
	must(t, unix.Sendto(x.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: x.index}))
}

// isAnnouncement tells ours from what the kernel sends by itself, such as its reports of multicast groups.
func isAnnouncement(b []byte) bool { return read(b).kind != "" }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok; it asks anew every millisecond, for 5 s at most.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}
