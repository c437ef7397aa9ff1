package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// crowded brings node a to hold six VIPs, v1 to v6, with rounds of so many moves every 4 s; then node b comes, with which it should share them. b accepts
// nothing, unless a test does so for it.
func crowded(t *testing.T, moves int) *dialogue {
	t.Helper()
	cfg := testConfig("a", "v1", "v2", "v3", "v4", "v5", "v6")
	cfg.MovesPerRound, cfg.Interval = moves, 4*time.Second
	d := start(t, cfg)
	d.register()
	d.play(6 * time.Second)
	for vip, l := range d.v.local {
		if !l.up {
			t.Fatalf("%s is not up", vip)
		}
	}
	d.tell(d.batch(d.member("b")...))
	return d
}

// inTurn plays for a while and returns the offers that were made: the VIPs with their slots, and how many ms after the first.
func (d *dialogue) inTurn(dur time.Duration) string {
	d.t.Helper()
	var out []string
	first := 0
	for _, line := range d.play(dur) {
		var at int
		if _, err := fmt.Sscanf(line, "%d:", &at); err != nil {
			d.t.Fatal(err)
		}
		for _, part := range strings.SplitAfter(line, "offer ")[1:] {
			if first == 0 {
				first = at
			}
			vip, slot, _ := strings.Cut(part, " ")
			_, slot, ok := strings.Cut(slot, ", slot ")
			if !ok {
				slot = "none"
			}
			out = append(out, fmt.Sprintf("%s+%d %s", vip, at-first, slot))
		}
	}
	return strings.Join(out, "\n")
}

// numbered leaves out what depends on revisions.
func numbered(offers string) string {
	var out []string
	for _, line := range strings.Split(offers, "\n") {
		line, _, _ = strings.Cut(line, " if ")
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func TestRoundHoldsSoManyMovesAndTheNextComesAnIntervalLater(t *testing.T) {
	d := crowded(t, 2)
	// b accepts none, and still nobody makes more than two offers in 4 s.
	got := numbered(d.inTurn(9 * time.Second))
	want := "v4+0 1 of round 1\nv5+0 2 of round 1\nv6+4000 1 of round 2\nv4+5300 2 of round 2"
	if got != want {
		t.Fatalf("got\n%s\nnot\n%s", got, want)
	}
}

func TestMoveThatFailsDoesNotKeepTheOthersWaiting(t *testing.T) {
	d := crowded(t, 1)
	var order []string
	for _, line := range strings.Split(d.inTurn(25*time.Second), "\n") {
		order = append(order, line[:2])
	}
	if want := []string{"v4", "v5", "v6", "v4", "v5", "v6"}; !slices.Equal(order[:min(6, len(order))], want) {
		t.Fatalf("their turns are %v, not %v: the three that have to move, again and again", order, want)
	}
}

func TestAllNeedsNoRound(t *testing.T) {
	d := crowded(t, -1)
	if got, want := d.inTurn(100*ms), "v4+0 none\nv5+0 none\nv6+0 none"; got != want {
		t.Fatalf("got\n%s\nnot\n%s", got, want)
	}
	if d.v.etcd.round.mod != 0 {
		t.Fatal("the key round was written")
	}
}

func TestNoneIsMovedForBalanceButDrained(t *testing.T) {
	d := crowded(t, 0)
	if got := d.inTurn(10 * time.Second); got != "" {
		t.Fatalf("moves_per_round is 0, and it offers\n%s", got)
	}
	d.tell(d.batch(d.put("drains/a", Intent{V: 1}, 1)))
	if got := d.inTurn(100 * ms); strings.Count(got, "none") != 6 {
		t.Fatalf("drained, it offers\n%s", got)
	}
}

func TestDrainUnfitAndPinWaitForNoRound(t *testing.T) {
	for _, tt := range []struct {
		what string
		key  string
		i    Intent
		want int
	}{{"drain", "drains/a", Intent{V: 1}, 6}, {"pin", "pins/v6", Intent{V: 1, Node: "b"}, 1}} {
		d := crowded(t, 1)
		d.inTurn(time.Second) // the round is full
		d.tell(d.batch(d.put(tt.key, tt.i, 1)))
		if got := d.inTurn(4900 * ms); strings.Count(got, "none") < tt.want {
			t.Errorf("%s: it offers\n%s", tt.what, got)
		}
	}
}

func TestRoundOfSomebodyElseIsWaitedFor(t *testing.T) {
	d := crowded(t, 1)
	d.acts = nil
	d.v.slotting = false // the first offer is lost to c, which was faster
	d.tell(d.batch(d.put("round", Round{V: 1, Number: 7, Slots: []string{"other"}, By: "c"}, 1)))
	for _, l := range d.v.local {
		l.write, l.offered = false, ""
	}
	if got := d.inTurn(3900 * ms); got != "" {
		t.Fatalf("in the round of c it offers\n%s", got)
	}
	if got := numbered(d.inTurn(200 * ms)); got != "v4+0 1 of round 8" {
		t.Fatalf("after it, it offers %q", got)
	}
}

func TestOfferWithoutItsSlotIsNotRepeatedBeforeItsTurn(t *testing.T) {
	d := crowded(t, 1)
	var offer Commit
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			offer = c
		}
	}
	d.acts = nil
	theirs := d.put("round", Round{V: 1, Number: 1, Slots: []string{"other"}, By: "c"}, 1)
	cl := d.v.etcd.claims["v4"]
	same := Entry{Key: "claims/v4", Value: Encode(cl.Claim), Create: cl.create, Mod: cl.mod, Version: cl.version}
	d.tell(ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: offer.Writes, Revision: d.rev, Member: true, Results: []WriteResult{{Current: &same, Round: &theirs}}})
	if got := d.inTurn(3900 * ms); got != "" {
		t.Fatalf("its slot went to c, and it offers\n%s", got)
	}
	if got := numbered(d.inTurn(200 * ms)); got != "v4+0 1 of round 2" {
		t.Fatalf("after that it offers %q", got)
	}
}

func TestOperatorAsksForTheNextRound(t *testing.T) {
	d := crowded(t, 1)
	d.inTurn(time.Second)
	d.tell(d.batch(d.put("balance", Intent{V: 1, By: "somebody"}, 1)))
	if got := numbered(d.inTurn(3500 * ms)); got != "v5+0 1 of round 2" {
		t.Fatalf("asked once, it offers %q", got)
	}
}

func TestFrozenMovesNobody(t *testing.T) {
	d := crowded(t, 1)
	d.play(time.Second)
	d.tell(d.batch(d.put("frozen", Intent{V: 1}, 1), d.put("pins/v6", Intent{V: 1, Node: "b"}, 1), d.put("drains/a", Intent{V: 1}, 1)))
	if got := d.inTurn(10 * time.Second); got != "" {
		t.Fatalf("frozen, it offers\n%s", got)
	}
}

func TestRoundThatCannotBeReadIsWaitedForAndReplaced(t *testing.T) {
	d := crowded(t, 1)
	d.play(time.Second)
	for _, spoil := range []func() BatchSeen{
		func() BatchSeen {
			return BatchSeen{Revision: d.rev, Changed: []Entry{{Key: "round", Value: []byte("garbage"), Create: 20, Mod: d.rev, Version: 2}}}
		},
		func() BatchSeen { return BatchSeen{Revision: d.rev, Deleted: []Deleted{{"round", d.rev}}} },
	} {
		d.rev++
		d.tell(spoil())
		if got := d.inTurn(3900 * ms); got != "" {
			t.Fatalf("nobody knows how full the round was, and it offers\n%s", got)
		}
		if got, _, _ := strings.Cut(numbered(d.inTurn(offerBackoff)), "\n"); !strings.HasSuffix(got, " 1 of round 1") {
			t.Fatalf("after that it offers %q", got)
		}
	}
}
