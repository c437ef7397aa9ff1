package netif

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

func TestKernelIsRaiser(t *testing.T) {
	t.Parallel()
	testRaiser(t, func(t *testing.T) raiserBed {
		b := newBed(t)
		now := func() time.Duration { return 0 } // stands still: it is the kernel's own lapse that is tested
		k := b.open(func() time.Duration { return now() })
		reader := b.open(nil) // apart from k, so that a clock may look at the addresses
		events := b.watch(reader)
		return raiserBed{
			raiser:     apart{k, reader},
			link:       b.link,
			setClock:   func(f func() time.Duration) { now = f },
			addForeign: b.addForeign,
			awaitLapse: func(t *testing.T, a Address) { events.await(AddressDeleted, a) },
		}
	})
}

// apart reads through another Kernel than it writes.
type apart struct {
	*Kernel
	reader *Kernel
}

func (a apart) Addresses() ([]Present, error) { return a.reader.Addresses() }

// What the kernel has been told is read with the library's own parser.
func TestRaisedAddress(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	for _, a := range []Address{b.v4(1, 32), b.v4(2, 24), b.v6(1, 128), b.v6(2, 64)} {
		b.noErrors(k.Raise(groups(a), 30*time.Second, soon()))
		addr := b.rawAddress(a)
		if addr.PreferedLft != 0 || addr.ValidLft < 28 || addr.ValidLft > 30 {
			t.Errorf("%s: valid %d s, preferred %d s", a, addr.ValidLft, addr.PreferedLft)
		}
		if addr.Flags&unix.IFA_F_TENTATIVE != 0 {
			t.Errorf("%s: flags %#x", a, addr.Flags)
		}
		if addr.Scope != unix.RT_SCOPE_UNIVERSE || addr.Broadcast != nil {
			t.Errorf("%s: scope %d, broadcast %v", a, addr.Scope, addr.Broadcast)
		}
	}
	// Only an IPv4 address with a short prefix brings the route to its subnet.
	routes, err := netlink.RouteList(b.find(b.link), netlink.FAMILY_ALL)
	b.must(err)
	for _, r := range routes {
		if !r.Dst.IP.IsLinkLocalUnicast() && !r.Dst.IP.IsMulticast() && r.Dst.String() != b.v4(0, 24).Prefix.String() {
			t.Errorf("there is a route: %v", r)
		}
	}
}

func (b bed) rawAddress(a Address) netlink.Addr {
	b.Helper()
	all, err := netlink.AddrList(b.find(b.link), netlink.FAMILY_ALL)
	b.must(err)
	for _, addr := range all {
		if addr.IPNet.String() == a.Prefix.String() {
			return addr
		}
	}
	b.Fatalf("%s is not there", a)
	panic("unreachable")
}

// Without IFA_F_NODAD the address would be tentative for a second, and bind would fail.
func TestIPv6IsUsableAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	a := b.v6(1, 128)
	b.noErrors(k.Raise(groups(a), 30*time.Second, soon()))
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.Prefix.Addr(), 0)))
	b.must(err)
	b.must(c.Close())
}

// A process that has been restarted finds its addresses up and remembers nothing.
func TestRaiseAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	group := []Address{b.v4(1, 32), b.v6(1, 128)}
	b.noErrors(b.open(nil).Raise([][]Address{group}, 30*time.Second, soon()))
	k := b.open(nil)
	b.noErrors(k.Raise([][]Address{group, {b.v4(2, 32)}}, 90*time.Second, soon()))
	for _, p := range b.addresses(k) {
		if p.Valid <= 30*time.Second {
			t.Errorf("not refreshed: %+v", p)
		}
	}
	// All or nothing holds for what it does not remember, too.
	k = b.open(nil)
	errs := k.Raise([][]Address{append(group, Address{"nosuchlink", group[0].Prefix})}, 30*time.Second, soon())
	wantErrors(t, errs, ErrNoLink)
	b.wantOnly(k, b.v4(2, 32))
}

func TestIPv6ExistsWhateverItsPrefixLength(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	b.addForeign(b.v6(1, 64))
	wantErrors(t, k.Raise(groups(b.v6(1, 128)), 30*time.Second, soon()), ErrForeign)
	wantErrors(t, k.Delete([]Address{b.v6(1, 128)}), nil)
	b.wantOnly(k, b.v6(1, 64))
	if addr := b.rawAddress(b.v6(1, 64)); addr.ValidLft != -1 && uint32(addr.ValidLft) != forever {
		t.Errorf("the foreign address has got a lifetime of %d s", addr.ValidLft)
	}
}

func TestAlternativeName(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	for _, name := range []string{b.link + "alt", b.link + "-with-more-than-fifteen-bytes"} {
		b.must(netlink.LinkAddAltName(b.find(b.link), name))
		a, canonical := b.v4(1, 32), b.v4(1, 32)
		a.Link = name
		b.noErrors(k.Raise(groups(a), 30*time.Second, soon()))
		b.wantOnly(k, canonical)
		b.noErrors(k.Delete([]Address{a}))
		b.wantOnly(k)
	}
	links, err := k.Links()
	b.must(err)
	for _, l := range links {
		if l.Name == b.link && len(l.Altnames) != 2 {
			t.Errorf("alternative names of %s: %q", l.Name, l.Altnames)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	events := b.watch(k)
	own, ours := b.v4(1, 24), b.v4(2, 24)
	b.addForeign(own)
	b.noErrors(k.Raise(groups(ours), 30*time.Second, soon()))
	find := func(name string) Link {
		links, err := k.Links()
		b.must(err)
		for _, l := range links {
			if l.Name == name {
				return l
			}
		}
		t.Fatalf("%s is not among %+v", name, links)
		panic("unreachable")
	}
	l, raw := find(b.link), b.find(b.link).Attrs()
	if !l.Up || !l.Carrier || l.Loopback || l.Index != raw.Index || l.Hardware.String() != raw.HardwareAddr.String() {
		t.Errorf("%+v, want %+v", l, raw)
	}
	var v4 []netip.Prefix
	for _, p := range l.Prefixes {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		}
	}
	if len(v4) != 1 || v4[0] != own.Prefix {
		t.Errorf("own addresses of the link: %v, want %v", v4, own.Prefix)
	}
	if lo := find("lo"); !lo.Loopback {
		t.Errorf("%+v", lo)
	}
	b.must(netlink.LinkSetDown(b.find(b.link)))
	for e := events.next(); e.Kind != LinkChanged; e = events.next() {
	}
	if l := find(b.link); l.Up || l.Carrier {
		t.Errorf("down: %+v", l)
	}
}

func TestLinkVanishesAndComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	g := [][]Address{{b.v4(1, 32), b.v6(1, 128)}, {b.v4(2, 24)}}
	b.noErrors(k.Raise(g, 30*time.Second, soon()))
	former := b.find(b.link).Attrs().Index
	b.must(netlink.LinkDel(b.find(b.link)))
	wantErrors(t, k.Raise(g, 30*time.Second, soon()), ErrNoLink, ErrNoLink)
	wantErrors(t, k.Delete(g[0]), nil, nil)
	b.makeLink()
	if now := b.find(b.link).Attrs().Index; now == former {
		t.Fatalf("the link has come back with the index it had, %d", now)
	}
	b.noErrors(k.Raise(g, 30*time.Second, soon()))
	b.wantOnly(k, b.v4(1, 32), b.v6(1, 128), b.v4(2, 24))
}

// The name may go to another link while the address stays behind.
func TestRenamedLink(t *testing.T) {
	t.Parallel()
	b, other := newBed(t), newBed(t)
	k := b.open(nil)
	one, two := b.v4(1, 32), b.v4(2, 32)
	b.noErrors(k.Raise(groups(one, two), 30*time.Second, soon()))
	b.rename(b.link, "was"+b.link)
	b.noErrors(k.Delete([]Address{one}))
	left := two
	left.Link = "was" + b.link
	renamed := b
	renamed.link = left.Link
	renamed.wantOnly(k, left)

	b.rename(other.link, b.link)
	b.noErrors(k.Raise(groups(two), 30*time.Second, soon()))
	b.wantOnly(k, two)
	renamed.wantOnly(k)
	b.must(netlink.LinkDel(b.find(renamed.link)))
}

// rename renames a link, which older kernels want down for it.
func (b bed) rename(from, to string) {
	b.Helper()
	l := b.find(from)
	if netlink.LinkSetName(l, to) != nil {
		b.must(netlink.LinkSetDown(l))
		b.must(netlink.LinkSetName(l, to))
		b.must(netlink.LinkSetUp(l))
	}
}

func TestIPv6Disabled(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+b.link+"/disable_ipv6", []byte("1"), 0); err != nil {
		nstest.Lacking(t, "IPv6 cannot be disabled here: %v", err)
	}
	errs := k.Raise([][]Address{{b.v6(1, 128)}, {b.v4(1, 32)}}, 30*time.Second, soon())
	if err := errs[0]; !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "disable_ipv6") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	b.must(errs[1])
	wantErrors(t, k.Delete([]Address{b.v6(1, 128)}), nil)
	b.wantOnly(k, b.v4(1, 32))
}

// A link whose frames are too short for IPv6 (RFC 8200: 1,280 bytes) has none, and drops the addresses that it had.
func TestNoIPv6OnLink(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	a := b.v6(1, 128)
	b.noErrors(k.Raise(groups(a), 30*time.Second, soon()))
	b.must(netlink.LinkSetMTU(b.find(b.link), 1000))
	b.wantOnly(k)
	if errs := k.Raise(groups(a), 30*time.Second, soon()); errs[0] == nil || errors.Is(errs[0], ErrLeft) {
		t.Errorf("raised on a link without IPv6: %v", errs[0])
	} else {
		t.Log(errs[0])
	}
	wantErrors(t, k.Delete([]Address{a}), nil)
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	a := b.v4(1, 32)
	for _, lifetime := range []time.Duration{0, -time.Second, 1500 * time.Millisecond, 1 << 62} {
		if errs := k.Raise(groups(a), lifetime, soon()); errs[0] == nil {
			t.Errorf("a lifetime of %v was taken", lifetime)
		}
	}
	mapped := Address{b.link, netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 128)}
	for _, wrong := range []Address{{b.link, netip.Prefix{}}, mapped, {"", a.Prefix}, {strings.Repeat("x", 200), a.Prefix}} {
		if errs := k.Raise(groups(wrong), time.Second, soon()); errs[0] == nil {
			t.Errorf("%v was raised", wrong)
		}
	}
	b.wantOnly(k)
}

// withoutPrivilege runs f on a thread that has no capability, and ends that thread.
func withoutPrivilege(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			panic(err)
		}
		f()
	}()
	<-done
}

func TestWithoutPrivilege(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	up, down := b.v4(1, 32), b.v4(2, 32)
	b.noErrors(k.Raise(groups(up), 30*time.Second, soon()))
	var prepared error
	var raised, deleted []error
	withoutPrivilege(func() {
		prepared = k.Prepare([]Address{b.v4(3, 24)})
		raised = k.Raise(groups(down, up), 30*time.Second, soon())
		deleted = k.Delete([]Address{up})
	})
	want := "net.ipv4.conf." + b.link + ".promote_secondaries = 1"
	if !errors.Is(prepared, unix.EPERM) || !strings.Contains(prepared.Error(), want) {
		t.Errorf("the error does not say what to write: %v", prepared)
	}
	if err := raised[0]; !errors.Is(err, unix.EPERM) || errors.Is(err, ErrLeft) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("not raised: %v", err)
	}
	if err := raised[1]; !errors.Is(err, unix.EPERM) || !errors.Is(err, ErrLeft) {
		t.Errorf("neither refreshed nor deleted: %v", err)
	}
	if err := deleted[0]; !errors.Is(err, unix.EPERM) {
		t.Errorf("not deleted: %v", err)
	}
	b.wantOnly(k, up)
}
