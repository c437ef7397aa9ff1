package arpnotify

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// BenchmarkSight reads frames; which are about an address that is not wanted, and looks them up.
func BenchmarkSight(b *testing.B) {
	l := NewListener(ListenerConfig{})
	addrs := []netip.Addr{}
	for i := range 1000 {
		addrs = append(addrs, nthAddr(i))
	}
	l.Set(map[string][]netip.Addr{"eth0": addrs})
	for _, bb := range []struct{ name, frame string }{{"ARP", arpRequest}, {"advertisement", naOption}, {"solicitation", nsDADNonce}} {
		frame := unhex(b, bb.frame)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s, ok := sight(frame); !ok || l.admit("eth0", s) {
					b.Fatal("not as it should be")
				}
			}
		})
	}
}

// BenchmarkRival is the time from a rival's frame to the call of deliver, over a veth pair.
func BenchmarkRival(b *testing.B) {
	c := newCable(b)
	x := c.atFar(b)
	l := NewListener(ListenerConfig{Limit: unlimited})
	l.Set(map[string][]netip.Addr{c.near: {vip4}})
	ctx, cancel := context.WithCancel(b.Context())
	done, heard := make(chan error, 1), make(chan struct{})
	go func() { done <- l.Run(ctx, func(Claimant) { heard <- struct{}{} }) }()
	frame := claimFrame(b, vip4, rivalMAC)
	untilOpen(b, l, c.near)
	for b.Loop() {
		x.send(b, frame)
		<-heard
	}
	cancel()
	must(b, <-done)
}

// BenchmarkSet replaces 1000 addresses by the same ones.
func BenchmarkSet(b *testing.B) {
	l := NewListener(ListenerConfig{})
	addrs := []netip.Addr{}
	for i := range 1000 {
		addrs = append(addrs, nthAddr(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Set(map[string][]netip.Addr{"eth0": addrs})
	}
}

// BenchmarkHear is a storm that is not wanted, over a veth pair: from sending a frame there, which is the one allocation, to having it here.
func BenchmarkHear(b *testing.B) {
	c := newCable(b)
	x := c.atFar(b)
	e, err := openEar(net.Interface{Index: c.link(b).Attrs().Index, Name: c.near}, etherARP)
	must(b, err)
	defer e.close()
	frame := unhex(b, arpRequest)
	b.ReportAllocs()
	for b.Loop() {
		x.send(b, frame)
		if _, err := e.read(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProbe asks for addresses that nobody has; it waits for 50 ms of the time.
func BenchmarkProbe(b *testing.B) {
	c := newCable(b)
	p := newProber(b)
	var addrs []netip.Addr
	for i := range 1000 {
		addrs = append(addrs, nthAddr(i))
	}
	for _, n := range []int{1, 42, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				got, err := p.Probe(b.Context(), c.near, addrs[:n], 10*time.Millisecond)
				must(b, err)
				if len(got) != 0 {
					b.Fatal(got)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// cpu is the processor time of this process.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
