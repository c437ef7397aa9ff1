package netif

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestGateways(t *testing.T) {
	b := newBed(t)
	k := b.open(nil)
	of := func() []Gateway {
		all, err := k.Gateways()
		b.must(err)
		return slices.DeleteFunc(all, func(g Gateway) bool { return g.Link != b.link })
	}
	b.addForeign(b.v4(1, 24))
	b.addForeign(b.v6(1, 64))
	if got := of(); len(got) > 0 {
		t.Fatalf("%v, want none", got)
	}
	var want []Gateway
	for _, a := range []netip.Addr{b.v4(254, 24).Prefix.Addr(), b.v6(254, 64).Prefix.Addr()} {
		b.must(netlink.RouteAdd(&netlink.Route{LinkIndex: b.find(b.link).Attrs().Index, Gw: a.AsSlice()}))
		want = append(want, Gateway{b.link, a})
	}
	if got := of(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
