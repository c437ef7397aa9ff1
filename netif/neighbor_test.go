package netif

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// lan returns what Lans says of the link of the bed.
func (b bed) lan(k *Kernel) Lan {
	b.Helper()
	lans, err := k.Lans()
	b.must(err)
	for _, l := range lans {
		if l.Name == b.link {
			return l
		}
	}
	b.Fatalf("%s is not among %v", b.link, lans)
	return Lan{}
}

func TestNeighborsOfALink(t *testing.T) {
	b := newBed(t)
	k := b.open(nil)
	b.addForeign(b.v4(1, 24))
	b.noErrors(k.Raise([][]Address{{b.v4(100, 32)}}, 60*time.Second, soon()))
	entry := func(addr netip.Addr, mac string, state, flags int) {
		t.Helper()
		n := &netlink.Neigh{LinkIndex: b.find(b.link).Attrs().Index, IP: addr.AsSlice(), State: state, Flags: flags}
		if mac != "" {
			var err error
			n.HardwareAddr, err = net.ParseMAC(mac)
			b.must(err)
		}
		b.must(netlink.NeighSet(n))
	}
	entry(b.v4(2, 32).Prefix.Addr(), "02:00:00:00:00:02", netlink.NUD_REACHABLE, 0)
	entry(b.v4(3, 32).Prefix.Addr(), "02:00:00:00:00:03", netlink.NUD_STALE, 0)
	entry(b.v6(4, 128).Prefix.Addr(), "02:00:00:00:00:04", netlink.NUD_PERMANENT, 0)
	entry(b.v4(5, 32).Prefix.Addr(), "02:00:00:00:00:05", netlink.NUD_NOARP, 0)
	entry(b.v4(6, 32).Prefix.Addr(), "", netlink.NUD_PERMANENT, netlink.NTF_PROXY)
	entry(b.v4(7, 32).Prefix.Addr(), "02:00:00:00:00:07", netlink.NUD_FAILED, 0)

	l := b.lan(k)
	if len(l.Prefixes) == 0 || l.Prefixes[0] != b.v4(1, 24).Prefix {
		t.Errorf("its own addresses: %v", l.Prefixes)
	}
	for _, p := range l.Prefixes {
		if p == b.v4(100, 32).Prefix {
			t.Error("a virtual address counts as the link's own")
		}
	}
	want := map[netip.Addr]byte{b.v4(2, 32).Prefix.Addr(): 2, b.v4(3, 32).Prefix.Addr(): 3, b.v6(4, 128).Prefix.Addr(): 4}
	for _, n := range l.Neighbors {
		if want[n.Addr] == 0 || n.Hardware != [6]byte{2, 5: want[n.Addr]} || n.Quiet < 0 || n.Quiet > time.Minute {
			t.Errorf("neighbour %+v", n)
		}
		delete(want, n.Addr)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// A neighbour that is not heard of grows quiet; one that is confirmed is not.
func TestQuietNeighbor(t *testing.T) {
	b := newBed(t)
	k := b.open(nil)
	n := &netlink.Neigh{LinkIndex: b.find(b.link).Attrs().Index, IP: b.v4(2, 32).Prefix.Addr().AsSlice(), State: netlink.NUD_STALE, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	b.must(netlink.NeighSet(n))
	quiet := func() time.Duration { return b.lan(k).Neighbors[0].Quiet }
	for deadline := time.Now().Add(5 * time.Second); quiet() < 50*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatalf("quiet for %v after 5 s", quiet())
		}
	}
	n.State = netlink.NUD_REACHABLE
	b.must(netlink.NeighSet(n))
	if got := quiet(); got >= 50*time.Millisecond {
		t.Errorf("quiet for %v, although it has just been confirmed", got)
	}
}

func FuzzParseNeighbor(f *testing.F) {
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, n, ok := parseNeighbor(b); ok && !n.Addr.IsValid() {
			t.Errorf("a neighbour without an address: %+v", n)
		}
	})
}
