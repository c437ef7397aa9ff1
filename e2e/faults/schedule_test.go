package faults

import (
	"slices"
	"testing"
	"time"
)

// soakLike are the options of a soak by default.
var soakLike = Options{Nodes: 5, PerMinute: 12, Kinds: Kinds}

const phase = 2 * time.Minute

func TestScheduleDependsOnTheSeedAlone(t *testing.T) {
	a, b, other := NewScheduler(1, soakLike), NewScheduler(1, soakLike), NewScheduler(2, soakLike)
	for i := range 5 {
		one, same := a.Next(phase), b.Next(phase)
		if !slices.Equal(one, same) {
			t.Errorf("schedule %d of one seed: %v and %v", i, one, same)
		}
		if slices.Equal(one, other.Next(phase)) {
			t.Errorf("schedule %d is the same for two seeds", i)
		}
	}
}

func TestScheduleLeavesOneNodeWhole(t *testing.T) {
	deepest, together := 0, 0
	for seed := range uint64(200) {
		s := NewScheduler(seed, soakLike)
		for range 3 {
			all := s.Next(phase)
			for i, f := range all {
				if f.At+f.For > phase || i > 0 && f.At < all[i-1].At || f.Node < 0 || f.Node >= soakLike.Nodes {
					t.Fatalf("seed %d: %v after %v", seed, f, all[max(0, i-1)])
				}
				if atOnce := f.Kind.Most == 0; atOnce != (f.For == 0) || f.For > f.Kind.Most {
					t.Fatalf("seed %d: %v lasts for %v", seed, f, f.For)
				}
				hurt, with := map[int]bool{}, 0
				for _, g := range all[:i+1] {
					if g.At+g.For <= f.At && g != f {
						continue
					}
					with++
					if g.Kind.hurts {
						hurt[g.Node] = true
					}
					if g != f && share(f, g) {
						t.Fatalf("seed %d: %v while %v", seed, f, g)
					}
				}
				deepest, together = max(deepest, len(hurt)), max(together, with)
			}
		}
	}
	if deepest != soakLike.Nodes-1 || together < 5 {
		t.Errorf("%d nodes were broken at a time at the most, by %d faults", deepest, together)
	}
}

// share tells whether two faults would touch the same thing.
func share(f, g Fault) bool {
	for _, p := range f.Kind.takes {
		if slices.Contains(g.Kind.takes, p) && (f.Node == g.Node || p == servers) {
			return true
		}
	}
	return false
}

func TestHalfAnHourHasEveryKindAndMostlyAQuorum(t *testing.T) {
	for seed := range uint64(50) {
		s, count, faults, without := NewScheduler(seed, soakLike), map[*Kind]int{}, 0, time.Duration(0)
		for range 14 {
			for _, f := range s.Next(phase) {
				count[f.Kind]++
				faults++
				if f.Kind.Name == "quorum-lost" {
					without += f.For
				}
			}
		}
		for _, k := range Kinds {
			if count[k] == 0 {
				t.Errorf("seed %d: no %s in half an hour", seed, k)
			}
		}
		if faults < 14*2*7 {
			t.Errorf("seed %d: only %d faults in half an hour", seed, faults)
		}
		if without > 14*phase/5 {
			t.Errorf("seed %d: etcd has no quorum for %v of %v", seed, without, 14*phase)
		}
	}
}

func TestKindsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds {
		if seen[k.Name] || k.What == "" || k.weight < 1 || k.Least > k.Most || k.begin == nil {
			t.Errorf("%+v", k)
		}
		if k.hurts && (k.on != node || len(k.takes) == 0) {
			t.Errorf("%s hurts a node and takes nothing of it", k)
		}
		seen[k.Name] = true
	}
}
