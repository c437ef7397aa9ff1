package arpnotify

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel of the neighbour answers for what it has, and for nothing else.
func TestProbeFindsWhoAnswers(t *testing.T) {
	c := newCable(t)
	free4, free6 := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	c.raise(t, vip4)
	c.raise(t, vip6)
	began := time.Now()
	got, err := newProber(t).Probe(t.Context(), c.near, []netip.Addr{free4, vip4, free6, vip6}, 50*time.Millisecond)
	must(t, err)
	t.Log(time.Since(began))
	for _, addr := range []netip.Addr{vip4, vip6} {
		want := Claimant{Link: c.near, Addr: addr, Hardware: c.farLink.Attrs().HardwareAddr}
		if x := got[addr]; x.Link != want.Link || x.Addr != want.Addr || x.Hardware.String() != want.Hardware.String() || x.Probing {
			t.Errorf("%s: %+v, want %+v", addr, x, want)
		}
	}
	if len(got) != 2 {
		t.Errorf("found %v", got)
	}
}

func BenchmarkProbe(b *testing.B) {
	c := newCable(b)
	var addrs []netip.Addr
	for i := range 1000 {
		addrs = append(addrs, nthAddr(i))
	}
	for _, n := range []int{1, 40, 1000} {
		b.Run(addrs[n-1].String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got, err := newProber(b).Probe(b.Context(), c.near, addrs[:n], 10*time.Millisecond)
				must(b, err)
				if len(got) != 0 {
					b.Fatal(got)
				}
			}
		})
	}
}

var _ = context.Canceled
var _ = errors.Is
var _ = netlink.LinkSetDown
var _ = unix.ENODEV

// newProber makes a Prober whose sockets are closed when the test ends.
func newProber(t testing.TB) *Prober {
	t.Helper()
	p := new(Prober)
	t.Cleanup(p.Close)
	return p
}
