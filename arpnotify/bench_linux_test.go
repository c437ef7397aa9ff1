package arpnotify

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkFrame makes frames and sends none.
func BenchmarkFrame(b *testing.B) {
	f := face{mac: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	for _, addr := range []netip.Addr{vip4, vip6} {
		b.Run(addr.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := frame(addr, 0, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnnounce is a whole first announcement on a veth pair, two frames for IPv4 and one for IPv6.
func BenchmarkAnnounce(b *testing.B) {
	for _, addr := range []netip.Addr{vip4, vip6} {
		b.Run(addr.String(), func(b *testing.B) {
			c := newCable(b)
			a := New(Config{Rate: 1e9})
			b.Cleanup(a.stop)
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Announce(c.near, addr, yes); err != nil {
					b.Fatal(err)
				}
				a.Stop(c.near, addr)
			}
			sent := a.Counters().SentIPv4 + a.Counters().SentIPv6
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkBurst is a turn of the schedule in which each of 64 IPv4 addresses is due: 128 frames.
func BenchmarkBurst(b *testing.B) {
	c := newCable(b)
	a := New(Config{Rate: 1e9})
	b.Cleanup(a.stop)
	for i := range 64 {
		must(b, a.Announce(c.near, nthAddr(i), yes))
	}
	before, began := a.Counters().SentIPv4, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		a.Restart(c.near)
		a.turn()
	}
	frames := float64(a.Counters().SentIPv4 - before)
	b.ReportMetric(frames/time.Since(began).Seconds(), "frames/s")
	b.ReportMetric(frames/float64(b.N), "frames/op")
}
