package placement

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// large returns a cluster of the size that the package is made for.
func large(nodes, vips, tags int) Input {
	in := Input{Failback: true, MovesPerRound: All}
	for i := range nodes {
		in.Members = append(in.Members, Member{Node: fmt.Sprintf("node-%03d", i), Ready: true, Weight: 1})
	}
	for i := range vips {
		v := VIP{Name: fmt.Sprintf("10.0.%d.%d", i/256, i%256)}
		if tags > 0 {
			v.Spread = fmt.Sprintf("tag-%d", i%tags)
		}
		in.VIPs = append(in.VIPs, v)
	}
	return in
}

// sparse lets each VIP be on some random nodes only, and gives nodes weights.
func sparse(in Input, each int, seed uint64) Input {
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range in.Members {
		in.Members[i].Weight = 1 + r.IntN(4)
		for v := range in.VIPs {
			in.Members[i].Cannot.Add(v)
		}
	}
	for v := range in.VIPs {
		for _, i := range r.Perm(len(in.Members))[:each] {
			in.Members[i].Cannot.Del(v)
		}
	}
	return in
}

func BenchmarkPlace(b *testing.B) {
	for _, base := range []struct {
		name string
		in   Input
	}{
		{"all/untagged", large(256, 4096, 0)},
		{"all/1tag", large(256, 4096, 1)},
		{"all/16tags", large(256, 4096, 16)},
		{"all/2048tags", large(256, 4096, 2048)},
		{"sparse/untagged", sparse(large(256, 4096, 0), 32, 1)},
		{"sparse/1tag", sparse(large(256, 4096, 1), 32, 1)},
		{"sparse/16tags", sparse(large(256, 4096, 16), 32, 1)},
		{"sparse/256tags", sparse(large(256, 4096, 256), 32, 1)},
		{"sparse/2048tags", sparse(large(256, 4096, 2048), 32, 1)},
	} {
		in := base.in
		held := after(in, Place(in))
		dead := without(in, "node-100")
		for _, c := range []struct {
			name string
			in   Input
		}{
			{"scratch", in},
			{"same", held},
			{"death", without(held, "node-100")},
			{"return", returning(dead, in)},
			{"scratchdead", dead},
		} {
			b.Run(base.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				moves := 0
				for b.Loop() {
					moves = len(Place(c.in).Moves)
				}
				b.ReportMetric(float64(moves), "moves")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/op")
			})
		}
	}
}

// returning returns in with the holders that the plan for before has.
func returning(before, in Input) Input { return after(in, Place(before)) }
