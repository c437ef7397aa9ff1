package netif

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// The facts about primary and secondary addresses, and about source addresses, that the package documentation tells.

func (b bed) promotes() bool {
	b.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + b.link + "/promote_secondaries")
	b.must(err)
	return strings.TrimSpace(string(text)) == "1"
}

func TestPromoteSecondaries(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	narrow := []Address{b.v4(1, 32), b.v6(1, 64)}
	b.must(k.Prepare(narrow))
	b.noErrors(k.Raise(groups(narrow...), 30*time.Second, soon()))
	if b.promotes() {
		t.Error("promote_secondaries was set for addresses that do not need it")
	}
	b.must(k.Prepare([]Address{b.v4(2, 24), b.v4(3, 24)}))
	if !b.promotes() {
		t.Error("promote_secondaries is not set")
	}
	wantErrors(t, []error{k.Prepare([]Address{{"nosuchlink", b.v4(2, 24).Prefix}})}, ErrNoLink)
}

// Without promote_secondaries the siblings of a primary address die with it: this is why it is set.
func TestSiblingsDieWithoutPromoteSecondaries(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	b.addForeign(b.v4(1, 24))
	b.addForeign(b.v4(2, 24))
	b.noErrors(k.Delete([]Address{b.v4(1, 24)}))
	if b.promotes() {
		t.Skip("promote_secondaries is the default here")
	}
	b.wantOnly(k)
}

func TestSiblingsSurvive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(bed, *Kernel, Address, watcher)
	}{
		{"delete", func(b bed, k *Kernel, a Address, _ watcher) { b.noErrors(k.Delete([]Address{a})) }},
		{"lapse", func(b bed, _ *Kernel, a Address, w watcher) { w.await(AddressDeleted, a) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			k := b.open(nil)
			w := b.watch(k)
			primary, ours, foreign := b.v4(1, 24), b.v4(2, 24), b.v4(3, 24)
			b.noErrors(k.Raise(groups(primary), time.Second, soon()))
			b.noErrors(k.Raise(groups(ours), 30*time.Second, soon()))
			b.addForeign(foreign)
			c.end(b, k, primary, w)
			b.wantOnly(k, ours, foreign)
		})
	}
}

// A /32 has no siblings, whatever else is up in the subnet it was taken from.
func TestHostPrefixesHaveNoSiblings(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	own, one, two := b.v4(1, 24), b.v4(2, 32), b.v4(3, 32)
	b.noErrors(k.Raise(groups(one), 30*time.Second, soon()))
	b.addForeign(own)
	b.noErrors(k.Raise(groups(two), 30*time.Second, soon()))
	b.noErrors(k.Delete([]Address{one}))
	b.wantOnly(k, own, two)
}

// The link's own address goes away for a moment, as it does when the network is configured anew, and comes back as the secondary
// of ours. The host must still reach its subnet.
func TestOwnAddressGoesAndComesBack(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{24, 32} {
		b := newBed(t)
		k := b.open(nil)
		own, vip, neighbor := b.v4(1, 24), b.v4(2, bits), b.v4(99, 32)
		reachable := func() {
			b.Helper()
			routes, err := netlink.RouteGet(neighbor.Prefix.Addr().AsSlice())
			b.must(err)
			if index := b.find(b.link).Attrs().Index; routes[0].LinkIndex != index {
				t.Errorf("the way to the subnet is %v", routes[0])
			}
		}
		b.addForeign(own)
		b.noErrors(k.Raise(groups(vip), 30*time.Second, soon()))
		reachable()
		b.noErrors(k.Delete([]Address{own}))
		b.addForeign(own)
		reachable()
		b.noErrors(k.Raise(groups(vip), 30*time.Second, soon()))
		b.noErrors(k.Delete([]Address{vip}))
		reachable()
		b.wantOnly(k, own)
	}
}

func TestSourceAddress(t *testing.T) {
	t.Parallel()
	type setting struct {
		bed
		k        *Kernel
		own, vip Address
	}
	ownFirst := func(s setting) {
		s.addForeign(s.own)
		s.noErrors(s.k.Raise(groups(s.vip), 30*time.Second, soon()))
	}
	vipFirst := func(s setting) {
		s.noErrors(s.k.Raise(groups(s.vip), 30*time.Second, soon()))
		s.addForeign(s.own)
	}
	vipOnly := func(s setting) { s.noErrors(s.k.Raise(groups(s.vip), 30*time.Second, soon())) }
	for _, c := range []struct {
		name    string
		ipv6    bool
		bits    int
		setUp   func(setting)
		gateway bool // the destination lies behind a gateway in the subnet
		outside bool // the destination lies outside the subnet, on the link
		chosen  bool // the virtual address is chosen
	}{
		{name: "IPv4, to the subnet", bits: 32, setUp: ownFirst},
		{name: "IPv4 first, to the subnet", bits: 32, setUp: vipFirst},
		{name: "IPv4, to a gateway", bits: 32, setUp: ownFirst, gateway: true},
		{name: "IPv4 first, to a gateway", bits: 32, setUp: vipFirst, gateway: true},
		{name: "IPv4, outside", bits: 32, setUp: ownFirst, outside: true},
		{name: "IPv4 first, outside", bits: 32, setUp: vipFirst, outside: true, chosen: true},
		{name: "IPv4 alone, outside", bits: 32, setUp: vipOnly, outside: true, chosen: true},
		{name: "IPv4 secondary, to the subnet", bits: 24, setUp: ownFirst},
		{name: "IPv4 secondary, outside", bits: 24, setUp: ownFirst, outside: true},
		{name: "IPv4 primary, to the subnet", bits: 24, setUp: vipFirst, chosen: true},
		{name: "IPv6, to the subnet", ipv6: true, bits: 128, setUp: ownFirst},
		{name: "IPv6 first, to the subnet", ipv6: true, bits: 128, setUp: vipFirst},
		{name: "IPv6 first, to a gateway", ipv6: true, bits: 128, setUp: vipFirst, gateway: true},
		{name: "IPv6 first, outside", ipv6: true, bits: 128, setUp: vipFirst, outside: true},
		{name: "IPv6 of the subnet first, to the subnet", ipv6: true, bits: 64, setUp: vipFirst},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := setting{b, b.open(nil), b.v4(1, 24), b.v4(2, c.bits)}
			gateway := b.v4(99, 32)
			if c.ipv6 {
				s.own, s.vip, gateway = b.v6(1, 64), b.v6(2, c.bits), b.v6(99, 128)
			}
			c.setUp(s)
			destination := gateway.Prefix.Addr().AsSlice()
			if c.gateway || c.outside {
				destination[1] ^= 0x80 // another subnet
				via := netlink.Route{LinkIndex: b.find(b.link).Attrs().Index, Dst: netlink.NewIPNet(destination)}
				if c.gateway {
					via.Gw = net.IP(gateway.Prefix.Addr().AsSlice())
				}
				b.must(netlink.RouteAdd(&via))
			}
			routes, err := netlink.RouteGet(destination)
			b.must(err)
			want := s.own
			if c.chosen {
				want = s.vip
			}
			if got := routes[0].Src; !got.Equal(want.Prefix.Addr().AsSlice()) {
				t.Errorf("source address %v, want %v", got, want.Prefix.Addr())
			}
		})
	}
}
