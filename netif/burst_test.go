package netif

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses raised in one burst end together: none before its lifetime, and all within one sweep of the kernel. The instants are
// logged rather than judged, but for one that no load explains.
func TestBurstLapses(t *testing.T) {
	for _, family := range []struct {
		name string
		n    int
	}{{"v4", 1000}, {"v6", 100}} {
		t.Run(family.name, func(t *testing.T) {
			b := newBed(t)
			k := b.open(nil)
			w := b.watch(k)
			const lifetime = 2 * time.Second
			before := boottime()
			b.noErrors(k.Raise(groups(b.many(family.name, family.n)...), lifetime, soon()))
			after := boottime()
			var first, last time.Duration
			for ended := 0; ended < family.n; {
				if e := w.next(); e.Kind != AddressDeleted {
					continue
				}
				last = boottime()
				if ended++; ended == 1 {
					first = last
				}
			}
			t.Logf("%d %s addresses raised in %v; ended from %v to %v after the first, lifetime %v",
				family.n, family.name, after-before, first-before, last-before, lifetime)
			// IPv6 rounds by a fiftieth of a second: ADDRCONF_TIMER_FUZZ_MINUS in net/ipv6/addrconf.c.
			if first-before < lifetime-20*time.Millisecond {
				t.Errorf("the first ended after %v", first-before)
			}
			if last-after > lifetime+5*time.Second {
				t.Errorf("the last ended after %v", last-after)
			}
			b.wantOnly(k)
		})
	}
}

// many returns addresses of one family, as narrow as can be.
func (b bed) many(family string, n int) []Address {
	var addrs []Address
	for i := range n {
		if family == "v4" {
			addrs = append(addrs, b.v4(i, 32))
		} else {
			addrs = append(addrs, b.v6(i, 128))
		}
	}
	return addrs
}

// BenchmarkRefresh refreshes addresses that are up, each a group. The time is that of a shared machine; the CPU time is ours.
func BenchmarkRefresh(b *testing.B) {
	for _, c := range []struct {
		family string
		n      int
	}{{"v4", 100}, {"v4", 1000}, {"v6", 100}, {"v6", 300}, {"v6", 1000}} {
		b.Run(fmt.Sprintf("%s-%d", c.family, c.n), func(b *testing.B) {
			bed := newBed(b)
			k := bed.open(nil)
			g := groups(bed.many(c.family, c.n)...)
			bed.noErrors(k.Raise(g, time.Minute, soon()))
			b.ReportAllocs()
			used := cpuTime()
			for b.Loop() {
				bed.noErrors(k.Raise(g, time.Minute, soon()))
			}
			b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
		})
	}
}

// BenchmarkWatch is what the refreshes of 1,000 addresses cost in Watch besides, in CPU time.
func BenchmarkWatch(b *testing.B) {
	bed := newBed(b)
	k := bed.open(nil)
	g := groups(bed.many("v4", 1000)...)
	bed.noErrors(k.Raise(g, time.Minute, soon()))
	w := bed.watch(k)
	used := cpuTime()
	for b.Loop() {
		bed.noErrors(k.Raise(g, time.Minute, soon()))
	}
	bed.noErrors(k.Delete([]Address{g[0][0]}))
	w.await(AddressDeleted, g[0][0]) // the refreshes have been read
	b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
}

// cpuTime is the CPU time that this process has used, in the kernel and out of it.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
