package placement

import (
	"fmt"
	"go/parser"
	"go/token"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var medium = shape{members: 70, vips: 300, tags: 12, weights: []int{1, 2, 3, 7, 1000}}

// TestAnyOrder checks that neither the order of the input nor an earlier call
// changes the plan.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(300) {
		d := fromRand(rand.New(rand.NewPCG(seed, 4)))
		in := random(d, medium)
		want := Place(in)
		for range 3 {
			if got := Place(shuffle(in, d)); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: in another order\n got %s\nwant %s", seed, format(got), format(want))
			}
		}
	}
}

// TestSettled checks that a plan, once carried out, is left alone, and that it
// keeps to the rules, also in cases too large for an oracle.
func TestSettled(t *testing.T) {
	for seed := range uint64(300) {
		in := random(fromRand(rand.New(rand.NewPCG(seed, 5))), medium)
		p := Place(in)
		if _, err := scoreOf(in, p.Node); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		mustBeWhole(t, in, p)
		if again := Place(after(in, p)); len(again.Moves) > 0 || !reflect.DeepEqual(again.Assign, p.Assign) {
			t.Fatalf("seed %d: planned again it moves %v", seed, again.Moves)
		}
	}
}

// TestOneRoundAtATime carries out one round after another, planning anew each
// time as a cluster does, and checks that it takes no more moves than the first
// plan said and ends as good.
func TestOneRoundAtATime(t *testing.T) {
	s := medium
	s.free = true
	for seed := range uint64(150) {
		in := random(fromRand(rand.New(rand.NewPCG(seed, 6))), s)
		in.MovesPerRound = 3
		first := Place(in)
		want, err := scoreOf(in, first.Node)
		if err != nil {
			t.Fatal(err)
		}
		now, moves := in, 0
		for p := first; len(p.Moves) > 0; p = Place(now) {
			next := slices.Clone(now.VIPs)
			done := min(p.Moves[0].Round+1, 2) // round 0 and 1, or else just 1
			for _, m := range p.Moves {
				if m.Round < done {
					i := slices.IndexFunc(next, func(v VIP) bool { return v.Name == m.VIP })
					next[i].Holder = m.To
					moves++
				}
			}
			now.VIPs = next
			if moves > len(first.Moves) {
				t.Fatalf("seed %d: %d moves done and %d to go, the plan had %d", seed, moves, len(Place(now).Moves), len(first.Moves))
			}
		}
		holder := func(name string) string {
			i := slices.IndexFunc(now.VIPs, func(v VIP) bool { return v.Name == name })
			if first.Node(name) == "" {
				return ""
			}
			return now.VIPs[i].Holder
		}
		if got, err := scoreOf(in, holder); err != nil || got.cmp(want) != 0 || moves != len(first.Moves) {
			t.Fatalf("seed %d: %v after %d moves, want %v after %d (%v)", seed, got, moves, want, len(first.Moves), err)
		}
	}
}

// TestEveryMoveHelps checks that with equal weights no single balance move, in
// the order of its rounds, makes the load less even.
func TestEveryMoveHelps(t *testing.T) {
	s := medium
	s.free, s.weights, s.allReady = true, []int{1}, true
	for seed := range uint64(300) {
		in := random(fromRand(rand.New(rand.NewPCG(seed, 7))), s)
		in.MovesPerRound = 1
		p := Place(in)
		load := map[string]int{}
		for _, a := range p.Assign {
			load[a.Node]++
		}
		for _, m := range p.Moves {
			if m.Round > 0 {
				load[m.To]--
				load[m.From]++
			}
		}
		for _, m := range p.Moves {
			if m.Round > 0 {
				if load[m.To] >= load[m.From] {
					t.Fatalf("seed %d: %v goes from %d VIPs to %d", seed, m, load[m.From], load[m.To])
				}
				load[m.From]--
				load[m.To]++
			}
		}
	}
}

// TestDeath checks that the death of a node moves nothing but its own VIPs where
// all nodes can hold all VIPs, and that they spread evenly.
func TestDeath(t *testing.T) {
	for _, tags := range []int{0, 5} {
		in := large(30, 1000, tags)
		in = after(in, Place(in))
		for i := range 29 {
			node := fmt.Sprintf("node-%03d", i)
			in = without(in, node)
			p := Place(in)
			for _, m := range p.Moves {
				if m.From != node || m.Why != Takeover || m.Round != 0 {
					t.Fatalf("the death of %s moves %v", node, m)
				}
			}
			in = after(in, p)
			load := map[string]int{}
			for _, v := range in.VIPs {
				load[v.Holder]++
			}
			for _, m := range in.Members {
				if n := load[m.Node]; n < 1000/len(in.Members) || n > 1000/len(in.Members)+1 {
					t.Fatalf("%s has %d of 1000 VIPs on %d nodes", m.Node, n, len(in.Members))
				}
			}
		}
	}
}

// TestDisjointGroup checks that a small group with VIPs of its own is even too,
// whatever the rest of the cluster does.
func TestDisjointGroup(t *testing.T) {
	in := large(100, 2000, 0)
	for i := range in.Members {
		for v := range in.VIPs {
			if own := v < 7; own != (i >= 97) {
				in.Members[i].Cannot.Add(v)
			}
		}
	}
	for v := range 7 {
		in.VIPs[v].Holder = "node-097"
	}
	for v := 7; v < 2000; v++ {
		in.VIPs[v].Holder = "node-000"
	}
	p := Place(in)
	load := map[string]int{}
	for _, a := range p.Assign {
		load[a.Node]++
	}
	for i, m := range in.Members {
		least := 1993 / 97
		if i >= 97 {
			least = 7 / 3
		}
		if n := load[m.Node]; n < least || n > least+1 {
			t.Errorf("%s has %d VIPs, want %d or %d", m.Node, n, least, least+1)
		}
	}
}

// TestLargeLowerBounds checks cases of full size against sums that no placement
// can beat.
func TestLargeLowerBounds(t *testing.T) {
	in := large(256, 4096, 16)
	s, err := scoreOf(in, Place(in).Node)
	if err != nil {
		t.Fatal(err)
	}
	if want := big.NewRat(256*16*16, 1); s.load.Cmp(want) != 0 || s.pairs != 0 {
		t.Errorf("got %v, want load %s and no pairs", s, want.RatString())
	}
	in = large(100, 4096, 7)
	if s, err = scoreOf(in, Place(in).Node); err != nil {
		t.Fatal(err)
	}
	pairs := 0 // 4096 = 585*7 + 1
	for _, n := range []int{586, 585, 585, 585, 585, 585, 585} {
		q, r := n/100, n%100
		pairs += (100-r)*q*(q-1)/2 + r*(q+1)*q/2
	}
	if want := big.NewRat(4*40*40+96*41*41, 1); s.load.Cmp(want) != 0 || s.pairs != pairs {
		t.Errorf("got %v, want load %s and %d pairs", s, want.RatString(), pairs)
	}
}

func TestInputIsNotChanged(t *testing.T) {
	for seed := range uint64(50) {
		in := random(fromRand(rand.New(rand.NewPCG(seed, 8))), medium)
		same := random(fromRand(rand.New(rand.NewPCG(seed, 8))), medium)
		Place(in)
		if !reflect.DeepEqual(in, same) {
			t.Fatalf("seed %d: Place changed its input", seed)
		}
	}
}

func TestTranspose(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var a, b [64]uint64
	for i := range a {
		a[i] = r.Uint64()
	}
	b = a
	transpose(&b)
	for i := range 64 {
		for j := range 64 {
			if a[i]>>j&1 != b[j]>>i&1 {
				t.Fatalf("bit %d of word %d is lost", j, i)
			}
		}
	}
}

// TestPure checks that the package imports nothing that has a clock, chance,
// I/O or a lock.
func TestPure(t *testing.T) {
	allowed := strings.Fields("bytes cmp encoding/json errors fmt io math math/bits regexp slices sort strings")
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", file.Name(), path)
			}
		}
	}
}
