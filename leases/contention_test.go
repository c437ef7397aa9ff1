package leases

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestContention: two nodes, each at a server of its own, write the same claims at the same moment, a thousand times. Each claim has exactly one winner,
// and the loser is told what stands there.
func TestContention(t *testing.T) {
	_, followers := many(t)
	at := prefix(t)
	type node struct {
		*Store
		MemberRef
	}
	var nodes []node
	for i, f := range followers {
		s := openWith(t, Config{Endpoints: []string{f.url}, Timeout: 5 * time.Second, Prefix: at})
		me, _ := join(t, s, fmt.Sprintf("node%d", i))
		nodes = append(nodes, node{s, me})
	}
	gone := MemberRef{"gone", nodes[0].MemberRev} // there is no such member
	wins := map[string]int{}
	for round := range 1000 {
		// In turn: a claim that is missing, one that was released, and one whose owner is gone; and with it another of its kind.
		writes := []Write{{Key: fmt.Sprintf("claims/%d-a", round)}, {Key: fmt.Sprintf("claims/%d-b", round)}}
		for i := range writes {
			if round%3 > 0 {
				writes[i].IfMod = put(t, nodes[0].Store, writes[i].Key, "before")
			}
			if round%3 == 2 {
				writes[i].OwnerGone = &gone
			}
		}
		answers := make([]Committed, len(nodes))
		errs := make([]error, len(nodes))
		var ready, done sync.WaitGroup
		ready.Add(len(nodes))
		for i, n := range nodes {
			mine := make([]Write, len(writes))
			for j, w := range writes {
				w.Value = []byte(n.Node)
				mine[(i+j)%len(writes)] = w // in another order at each node
			}
			done.Go(func() {
				ready.Done()
				ready.Wait()
				answers[i], errs[i] = n.Commit(t.Context(), Commit{Node: n.Node, MemberRev: n.MemberRev, Writes: mine})
			})
		}
		done.Wait()
		for j, w := range writes {
			winner := ""
			for i, n := range nodes {
				if errs[i] != nil || !answers[i].Applied {
					t.Fatalf("round %d: %s: %+v, %v", round, n.Node, answers[i], errs[i])
				}
				if answers[i].Results[(i+j)%len(writes)].Won {
					if winner != "" {
						t.Fatalf("round %d: %s was won by %s and by %s", round, w.Key, winner, n.Node)
					}
					winner = n.Node
				}
			}
			stands := must[Snapshot](t)(nodes[0].Get(seconds(t), w.Key)).Entries
			if winner == "" || len(stands) != 1 || string(stands[0].Value) != winner {
				t.Fatalf("round %d: %s was won by %q and holds %+v", round, w.Key, winner, stands)
			}
			for i, n := range nodes {
				r := answers[i].Results[(i+j)%len(writes)]
				if n.Node != winner && (r.Current == nil || string(r.Current.Value) != winner || r.Current.Mod != stands[0].Mod) {
					t.Fatalf("round %d: %s lost %s and was told %+v of %+v", round, n.Node, w.Key, r.Current, stands[0])
				}
			}
			wins[winner]++
		}
	}
	t.Logf("of 2000 claims: %v", wins)
	for _, n := range nodes {
		if wins[n.Node] == 0 {
			t.Errorf("%s never won: they did not meet", n.Node)
		}
	}
}
