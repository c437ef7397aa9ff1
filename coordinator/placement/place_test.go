package placement

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		f.Value.Set("2000")
	}
	os.Exit(m.Run())
}

// fataler is *testing.T or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mustBeOptimal checks a plan against the best score there is, and everything
// else that holds for any plan.
func mustBeOptimal(t fataler, in Input, best score) {
	t.Helper()
	p := Place(in)
	got, err := scoreOf(in, p.Node)
	if err != nil {
		t.Fatalf("%v\n%s", err, show(in, p))
	}
	if got.cmp(best) != 0 {
		t.Fatalf("got %v, want %v\n%s", got, best, show(in, p))
	}
	mustBeWhole(t, in, p)
	if again := Place(after(in, p)); len(again.Moves) > 0 || !reflect.DeepEqual(again.Assign, p.Assign) {
		t.Fatalf("planned again it moves %v\n%s", again.Moves, show(in, p))
	}
}

// mustBeWhole checks that assignment, moves and unplaced VIPs fit together and
// keep to the rounds.
func mustBeWhole(t fataler, in Input, p Plan) {
	t.Helper()
	var unplaced []string
	moves := map[string]Move{}
	for i, m := range p.Moves {
		if i > 0 && (m.Round < p.Moves[i-1].Round || m.Round == p.Moves[i-1].Round && m.VIP <= p.Moves[i-1].VIP) {
			t.Fatalf("moves are not sorted\n%s", show(in, p))
		}
		moves[m.VIP] = m
	}
	rounds := map[int]int{}
	for i, v := range in.VIPs {
		node := p.Node(v.Name)
		if node == "" {
			unplaced = append(unplaced, v.Name)
		}
		m, moved := moves[v.Name]
		if want := node != "" && node != v.Holder; moved != want || moved && (m.From != v.Holder || m.To != node) {
			t.Fatalf("%s from %q to %q has move %v\n%s", v.Name, v.Holder, node, m, show(in, p))
		}
		if !moved {
			continue
		}
		rounds[m.Round]++
		if wait := alive(in, i) && m.Why != Pinned; wait != (m.Round > 0) || wait != (m.Why == Prefer || m.Why == Balance) {
			t.Fatalf("%v is in the wrong round\n%s", m, show(in, p))
		}
	}
	slices.Sort(unplaced)
	if !slices.Equal(unplaced, p.Unplaced) || len(p.Assign)+len(unplaced) != len(in.VIPs) {
		t.Fatalf("unplaced are %v\n%s", unplaced, show(in, p))
	}
	last := 0
	for r, n := range rounds {
		last = max(last, r)
		if r > 0 && in.MovesPerRound >= 0 && n > in.MovesPerRound {
			t.Fatalf("round %d has %d moves\n%s", r, n, show(in, p))
		}
	}
	for r := 1; r < last; r++ {
		if want := in.MovesPerRound; rounds[r] != want {
			t.Fatalf("round %d of %d has %d moves, not %d\n%s", r, last, rounds[r], want, show(in, p))
		}
	}
}

func show(in Input, p Plan) string {
	a, _ := json.MarshalIndent(in, "", " ")
	b, _ := json.Marshal(p)
	return fmt.Sprintf("%s\n%s", a, b)
}

func TestBruteForce(t *testing.T) {
	n := 20000
	if testing.Short() {
		n = 2000
	}
	moves, pairs, rounds := 0, 0, 0
	for seed := range uint64(n) {
		in := random(fromRand(rand.New(rand.NewPCG(seed, 1))), small)
		best := bruteForce(in)
		mustBeOptimal(t, in, best)
		if best.moves > 0 {
			moves++
		}
		if best.pairs > 0 {
			pairs++
		}
		if p := Place(in); len(p.Moves) > 0 && p.Moves[len(p.Moves)-1].Round > 1 {
			rounds++
		}
	}
	t.Logf("of %d cases %d need moves, %d several rounds, %d have pairs", n, moves, rounds, pairs)
	if moves < n/10 || rounds < n/100 || pairs < n/10 {
		t.Errorf("too few of the cases tell anything")
	}
}

func TestBruteForceOddWeights(t *testing.T) {
	s := shape{members: 3, vips: 8, tags: 2, weights: []int{1, 2, 997, 998, 999, 1000}}
	for seed := range uint64(3000) {
		in := random(fromRand(rand.New(rand.NewPCG(seed, 2))), s)
		mustBeOptimal(t, in, bruteForce(in))
	}
}

// TestBruteForceShrinking is TestBruteForce with cases that shrink when it fails.
func TestBruteForceShrinking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := random(fromRapid(t), small)
		mustBeOptimal(t, in, bruteForce(in))
	})
}

func TestTextbookFlow(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 40
	}
	for _, s := range []shape{
		{members: 12, vips: 60, tags: 4, weights: []int{1, 2, 3, 4, 6}, allReady: true, free: true},
		{members: 8, vips: 40, tags: 15, weights: []int{1, 2, 4}, allReady: true, free: true},
		{members: 4, vips: 50, tags: 1, weights: []int{1, 3}, allReady: true, free: true},
		{members: 70, vips: 70, tags: 20, weights: []int{1, 2}, allReady: true, free: true},
		{members: 10, vips: 30, tags: 5, weights: []int{1}, allReady: true, free: true, pairwise: true},
		{members: 30, vips: 80, tags: 3, weights: []int{1, 2}, allReady: true, free: true, pairwise: true},
	} {
		for seed := range uint64(n) {
			in := random(fromRand(rand.New(rand.NewPCG(seed, 3))), s)
			mustBeOptimal(t, in, textbookFlow(in))
		}
	}
}

// TestKept runs cases that random search found for errors in the code.
func TestKept(t *testing.T) {
	for _, c := range []struct{ name, members, vips string }{
		{"prices rise past the home of a VIP that has moved, one move too many",
			`n03:v01,v07,v18 n04:v01,v17,v25 n07:v13,v15,v18,v24 n08:v08,v21,v27
			 n09:v00,v24 n12:v16,v21,v25,v27 n15:v07,v09,v13,v17,v23 n17:v00,v09,v19`,
			`v00@n17 v01@n04 v07@n15 v08@n08 v09@n15 v13@n15 v15@n07 v16@n12
			 v17@n04 v18@n03 v19@n17 v21@n12 v23@n15 v24@n07 v25@n12 v27@n08`},
		{"a VIP that has moved goes home to let others through",
			"h:x1,x2 s:p,q w:x2,p z:x1", "x1@h x2@h p@s q@s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := parse(c.members, c.vips)
			mustBeOptimal(t, in, textbookFlow(in))
		})
	}
}
