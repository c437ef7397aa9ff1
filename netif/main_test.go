package netif

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

var linksMade atomic.Int64

// bed is a link of a test's own, with addresses that no other test uses.
type bed struct {
	testing.TB
	link string
	n    int64
}

// newBed makes a link that is up and has carrier: a dummy, or half of a veth pair where the kernel has no dummies.
func newBed(t testing.TB) bed {
	t.Helper()
	nstest.Need(t)
	b := bed{TB: t, n: linksMade.Add(1)}
	b.link = fmt.Sprintf("net%d", b.n)
	b.makeLink()
	return b
}

func (b bed) makeLink() {
	b.Helper()
	attrs := netlink.LinkAttrs{Name: b.link}
	err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs})
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b.link + "p"})
		if err == nil {
			b.must(netlink.LinkSetUp(b.find(b.link + "p")))
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		nstest.Lacking(b, "this kernel has neither dummy nor veth links")
	}
	b.must(err)
	b.must(netlink.LinkSetUp(b.find(b.link)))
	b.Cleanup(func() {
		if l, err := netlink.LinkByName(b.link); err == nil {
			b.must(netlink.LinkDel(l))
		}
	})
}

func (b bed) find(name string) netlink.Link {
	b.Helper()
	l, err := netlink.LinkByName(name)
	b.must(err)
	return l
}

func (b bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// v4 returns the i-th IPv4 address of the bed, v6 the IPv6 one.
func (b bed) v4(i, bits int) Address {
	addr := netip.AddrFrom4([4]byte{10, byte(b.n), byte(i >> 8), byte(i)})
	return Address{b.link, netip.PrefixFrom(addr, bits)}
}

func (b bed) v6(i, bits int) Address {
	addr := netip.AddrFrom16([16]byte{0: 0xfd, 1: byte(b.n), 14: byte(i >> 8), 15: byte(i)})
	return Address{b.link, netip.PrefixFrom(addr, bits)}
}

// open opens a Kernel with a clock; nil is the real one.
func (b bed) open(now func() time.Duration) *Kernel {
	b.Helper()
	k, err := Open(Config{Now: now})
	b.must(err)
	b.Cleanup(func() { b.must(k.Close()) })
	return k
}

// addForeign puts a permanent address up, as an administrator would.
func (b bed) addForeign(a Address) {
	b.Helper()
	addr, err := netlink.ParseAddr(a.Prefix.String())
	b.must(err)
	addr.Flags = unix.IFA_F_NODAD
	b.must(netlink.AddrAdd(b.find(a.Link), addr))
}

// addresses returns what is on the link of the bed, but for the link-local addresses that the kernel makes.
func (b bed) addresses(k *Kernel) map[Address]Present {
	b.Helper()
	all, err := k.Addresses()
	b.must(err)
	found := map[Address]Present{}
	for _, p := range all {
		if p.Link == b.link && !p.Prefix.Addr().IsLinkLocalUnicast() {
			found[p.Address] = p
		}
	}
	return found
}

// wantOnly fails unless exactly these addresses are on the link of the bed.
func (b bed) wantOnly(k *Kernel, want ...Address) {
	b.Helper()
	has := b.addresses(k)
	for _, a := range want {
		if _, ok := has[a]; !ok {
			b.Errorf("%s is missing", a)
		}
		delete(has, a)
	}
	for a := range has {
		b.Errorf("%s should not be there", a)
	}
}

// noErrors fails at the first error.
func (b bed) noErrors(errs []error) {
	b.Helper()
	for _, err := range errs {
		b.must(err)
	}
}

// soon is an instant that a test does not reach.
func soon() time.Duration { return boottime() + time.Hour }
