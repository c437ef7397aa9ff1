package netif

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkRefresh refreshes addresses that are up, one group each.
func BenchmarkRefresh(b *testing.B) {
	for _, bench := range []struct {
		family string
		n      int
	}{{"v4", 100}, {"v4", 1000}, {"v6", 100}, {"v6", 1000}} {
		b.Run(fmt.Sprintf("%s-%d", bench.family, bench.n), func(b *testing.B) {
			bed := newBed(b)
			k := bed.open(nil)
			var addrs []Address
			for i := range bench.n {
				if bench.family == "v4" {
					addrs = append(addrs, bed.v4(i, 32))
				} else {
					addrs = append(addrs, bed.v6(i, 128))
				}
			}
			g := groups(addrs...)
			bed.noErrors(k.Raise(g, time.Minute, soon()))
			b.ReportAllocs()
			for b.Loop() {
				bed.noErrors(k.Raise(g, time.Minute, soon()))
			}
		})
	}
}
