package judge

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestKernelExpiryIsADeletion(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{}, a)
	for _, vip := range []netip.Addr{vip4, vip6} {
		e := entry(vip)
		e.ValidLft = 1
		must(t, a.h.AddrAdd(lo, e))
	}
	must(t, j.WaitHolders(soon(t), vip4, "a"))
	must(t, j.WaitHolders(soon(t), vip6, "a"))
	must(t, j.WaitHolders(soon(t), vip4))
	must(t, j.WaitHolders(soon(t), vip6))
	for _, c := range j.History() {
		t.Log(c)
	}
	must(t, j.Verdict())
}

func TestRefreshIsNoChange(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{}, a)
		a.add(vip)
		must(t, j.WaitHolders(soon(t), vip, "a"))
		for range 10 {
			e := entry(vip)
			e.ValidLft = 60
			must(t, a.h.AddrReplace(lo, e))
		}
		must(t, j.Verdict())
		if h := j.History(); len(h) != 1 {
			t.Errorf("history %v", h)
		}
	})
}

// On a point-to-point address the machine's own end counts, not the peer's.
func TestPeer(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{}, a)
		e := entry(vip)
		e.Peer = netlink.NewIPNet(vip.Next().AsSlice())
		must(t, a.h.AddrAdd(lo, e))
		must(t, j.WaitHolders(soon(t), vip, "a"))
		must(t, j.Verdict())
		if h := j.Holders(); len(h) != 1 {
			t.Errorf("holders %v", h)
		}
	})
}

func TestOnlyTheseAddresses(t *testing.T) {
	a := newNode(t, "a")
	wide := netip.MustParseAddr("10.98.0.1")
	a.add(vip4)
	must(t, a.h.AddrAdd(lo, mustEntry(t, wide.String()+"/24")))
	hosts, chosen := start(t, Config{}, a), start(t, Config{VIPs: []netip.Addr{wide}}, a)
	a.add(vip6)
	must(t, hosts.WaitHolders(soon(t), vip6, "a"))
	if h := hosts.Holders(); len(h) != 2 || h[vip4] == nil || h[vip6] == nil {
		t.Errorf("host addresses %v", h)
	}
	if h := chosen.Holders(); len(h) != 1 || h[wide] == nil {
		t.Errorf("chosen addresses %v", h)
	}
	must(t, hosts.Verdict())
	must(t, chosen.Verdict())
}

func mustEntry(t *testing.T, s string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(s)
	must(t, err)
	return a
}

// An address that is being tested for duplicates answers nobody.
func TestTentativeIsNotUp(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	port, peer := veth(t, a, b)
	must(t, a.h.LinkSetUp(port))
	must(t, b.h.LinkSetUp(peer))
	j := start(t, Config{}, a, b)
	before := sinceBoot()
	e := entry(vip6)
	e.Flags = 0
	must(t, a.h.AddrAdd(port, e))
	if h := j.Holders(); len(h) > 0 {
		t.Errorf("up while tentative: %v", h)
	}
	must(t, j.WaitHolders(soon(t), vip6, "a"))
	t.Logf("up after %v", sinceBoot()-before)
	must(t, j.Verdict())
}
