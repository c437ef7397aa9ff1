package leases

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func put(t testing.TB, s *Store, key, value string) int64 {
	t.Helper()
	return must[int64](t)(s.Edit(seconds(t), key, func([]byte) ([]byte, error) { return []byte(value), nil }))
}

func TestCommitWrites(t *testing.T) {
	s := open(t, one(t).urls()...)
	me, _ := join(t, s, "a")
	other, _ := join(t, s, "b")
	gone := MemberRef{"c", other.MemberRev} // there is no member c
	old := MemberRef{"b", other.MemberRev - 1}

	for _, tt := range []struct {
		name  string
		given string // value that stands before; empty: none
		write Write  // IfMod 1 stands for the revision that stands, 2 for an older one
		won   bool
	}{
		{name: "create", won: true},
		{name: "create what exists", given: "x"},
		{name: "replace", given: "x", write: Write{IfMod: 1}, won: true},
		{name: "replace what has changed", given: "x", write: Write{IfMod: 2}},
		{name: "replace what is absent", write: Write{IfMod: 2}},
		{name: "take from an absent owner", given: "x", write: Write{IfMod: 1, OwnerGone: &gone}, won: true},
		{name: "take from an owner that registered anew", given: "x", write: Write{IfMod: 1, OwnerGone: &old}, won: true},
		{name: "take from a living owner", given: "x", write: Write{IfMod: 1, OwnerGone: &other}},
		{name: "transfer to a living target", given: "x", write: Write{IfMod: 1, TargetHere: &other}, won: true},
		{name: "transfer to an absent target", given: "x", write: Write{IfMod: 1, TargetHere: &gone}},
		{name: "transfer to an earlier registration", given: "x", write: Write{IfMod: 1, TargetHere: &old}},
		{name: "take and hand on", given: "x", write: Write{IfMod: 1, OwnerGone: &gone, TargetHere: &other}, won: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := "claims/" + strings.ReplaceAll(tt.name, " ", "-")
			var stands int64
			if tt.given != "" {
				stands = put(t, s, key, tt.given)
			}
			w := tt.write
			w.Key, w.Value = key, []byte("new")
			switch w.IfMod {
			case 1:
				w.IfMod = stands
			case 2:
				w.IfMod = other.MemberRev - 1
			}
			done := must[Committed](t)(s.Commit(seconds(t), Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: []Write{w}}))
			if !done.Applied || !done.Member || len(done.Results) != 1 {
				t.Fatalf("committed %+v, want it applied", done)
			}
			got := done.Results[0]
			now := must[Snapshot](t)(s.Get(seconds(t), key))
			if tt.won {
				if !got.Won || got.Mod != done.Revision || got.Mod != now.Entries[0].Mod || string(now.Entries[0].Value) != "new" {
					t.Errorf("result %+v, now %+v, want it won", got, now.Entries)
				}
				return
			}
			switch {
			case got.Won:
				t.Errorf("won, now %+v", now.Entries)
			case tt.given == "" && (got.Current != nil || len(now.Entries) != 0):
				t.Errorf("current %+v, now %+v, want nothing", got.Current, now.Entries)
			case tt.given != "" && (got.Current == nil || string(got.Current.Value) != tt.given || got.Current.Mod != stands):
				t.Errorf("current %+v, want %q of revision %d", got.Current, tt.given, stands)
			}
		})
	}
}

// One lost claim does not fail the others, and all that win have one revision.
func TestCommitLosersDoNotFailTheRest(t *testing.T) {
	s := open(t, one(t).urls()...)
	me, _ := join(t, s, "a")
	put(t, s, "claims/v1", "theirs")
	done := must[Committed](t)(s.Commit(seconds(t), Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: []Write{
		{Key: "claims/v0", Value: []byte("mine")}, {Key: "claims/v1", Value: []byte("mine")}, {Key: "claims/v2", Value: []byte("mine")},
	}, Puts: []Put{{Key: "round", Value: []byte("1")}}}))
	for i, want := range []bool{true, false, true} {
		if done.Results[i].Won != want {
			t.Errorf("write %d: won %v, want %v", i, done.Results[i].Won, want)
		}
	}
	if c := done.Results[1].Current; c == nil || string(c.Value) != "theirs" {
		t.Errorf("the loser got %+v", c)
	}
	for _, e := range must[Snapshot](t)(s.Get(seconds(t), "claims/v0", "claims/v2", "round")).Entries {
		if e.Mod != done.Revision {
			t.Errorf("%s has revision %d, want %d", e.Key, e.Mod, done.Revision)
		}
	}
}

func TestCommitOuterConditions(t *testing.T) {
	s := open(t, one(t).urls()...)
	me, lease := join(t, s, "a")
	round := put(t, s, "round", "1")
	for _, tt := range []struct {
		name            string
		rev             int64
		guards          []Guard
		applied, member bool
		held            []bool
	}{
		{name: "member", rev: me.MemberRev, applied: true, member: true},
		{name: "another registration", rev: me.MemberRev + 1},
		{name: "guards", rev: me.MemberRev, applied: true, member: true, guards: []Guard{
			{Key: "round", On: Modified, Rev: round}, {Key: "round", On: Created, Rev: round}, {Key: "round", On: Modified, Rev: 1, Not: true},
			{Key: "absent"}, {Key: "round", Not: true},
		}},
		{
			name: "one guard of three", rev: me.MemberRev, member: true, held: []bool{true, false, true},
			guards: []Guard{{Key: "absent"}, {Key: "round"}, {Key: "round", On: Modified, Rev: round}},
		},
		{name: "guard on a key that is absent", rev: me.MemberRev, member: true, held: []bool{false}, guards: []Guard{{Key: "absent", On: Modified, Rev: 5}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, doomed := "claims/"+t.Name(), "doomed/"+t.Name()
			put(t, s, doomed, "x")
			done := must[Committed](t)(s.Commit(seconds(t), Commit{
				Node: "a", MemberRev: tt.rev, Guards: tt.guards,
				Writes: []Write{{Key: key, Value: []byte("v")}}, Deletes: []string{doomed},
				Puts: []Put{{Key: "neighbors/" + t.Name(), Value: []byte("n"), Lease: lease}},
			}))
			if done.Applied != tt.applied || done.Member != tt.member {
				t.Fatalf("applied %v, member %v, want %v, %v", done.Applied, done.Member, tt.applied, tt.member)
			}
			now := must[Snapshot](t)(s.Get(seconds(t), key, doomed, "neighbors/"+t.Name()))
			if !tt.applied {
				if len(now.Entries) != 1 || now.Entries[0].Key != doomed {
					t.Errorf("it was not applied, and now there is %+v", now.Entries)
				}
				for i, want := range tt.held {
					if g := done.Guards[i]; g.Won != want {
						t.Errorf("guard %d: %+v, want %v", i, g, want)
					}
				}
				return
			}
			if len(now.Entries) != 2 || now.Entries[0].Key != key || now.Entries[1].Lease != lease {
				t.Errorf("it was applied, and now there is %+v", now.Entries)
			}
		})
	}
}

func TestCommitLimits(t *testing.T) {
	s := open(t, one(t).urls()...)
	me, _ := join(t, s, "a")
	full := func(writes, puts, guards int) Commit {
		c := Commit{Node: me.Node, MemberRev: me.MemberRev}
		for i := range writes {
			c.Writes = append(c.Writes, Write{Key: fmt.Sprintf("claims/%s-%d", t.Name(), i), Value: []byte("v"), OwnerGone: &MemberRef{"x", 1}, TargetHere: &me})
		}
		if writes > 0 {
			c.Writes[0].Beside = &Beside{Key: "beside", Value: []byte("v")}
		}
		for i := range puts {
			c.Puts = append(c.Puts, Put{Key: fmt.Sprintf("put-%d", i), Value: []byte("v")})
		}
		for i := range guards {
			c.Guards = append(c.Guards, Guard{Key: fmt.Sprintf("absent-%d", i)})
		}
		return c
	}
	t.Run("all at their maximum", func(t *testing.T) {
		done := must[Committed](t)(s.Commit(seconds(t), full(MaxWrites, MaxPuts, MaxGuards)))
		for i, r := range done.Results {
			if !r.Won {
				t.Errorf("write %d lost", i)
			}
		}
		if len(done.Results) != MaxWrites {
			t.Errorf("%d results", len(done.Results))
		}
	})
	t.Run("etcd takes no more", func(t *testing.T) {
		c := full(MaxWrites+1, MaxPuts, 0)
		_, err := s.write(seconds(t), nil, s.effects(c), nil)
		if !errors.Is(err, ErrNotApplied) || !errors.Is(err, ErrTooMuch) {
			t.Errorf("one operation more: %v, want it refused by etcd: the limits could be higher", err)
		}
	})
	nobody := open(t, "http://127.0.0.1:1") // a request would fail otherwise
	big := full(1, 0, 0)
	big.Writes[0].Value = make([]byte, maxCommit)
	twice := full(2, 0, 0)
	twice.Writes[1].Key = twice.Writes[0].Key
	for name, c := range map[string]Commit{"writes": full(MaxWrites+1, 0, 0), "puts": full(0, MaxPuts+1, 0), "guards": full(1, 0, MaxGuards+1), "bytes": big} {
		if _, err := nobody.Commit(seconds(t), c); !errors.Is(err, ErrTooMuch) || !errors.Is(err, ErrNotApplied) {
			t.Errorf("too many %s: %v", name, err)
		}
	}
	for name, c := range map[string]Commit{
		"a key twice": twice, "no registration": {Node: "a"}, "no node": {MemberRev: 1},
		"owner without a revision": {Node: "a", MemberRev: 1, Writes: []Write{{Key: "claims/x", OwnerGone: &MemberRef{Node: "b"}}}},
	} {
		if _, err := nobody.Commit(seconds(t), c); !errors.Is(err, ErrNotApplied) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v, want it refused before it is sent", name, err)
		}
	}
}

// The request gets through, the answer does not: the write is in doubt, and found by reading.
func TestCommitInDoubt(t *testing.T) {
	p := newProxy(t, one(t).members[0].url)
	s, sane := open(t, p.url), open(t, one(t).urls()...)
	me, _ := join(t, s, "a")
	p.mute(true)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := s.Commit(ctx, Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: []Write{{Key: "claims/v", Value: []byte("try 1")}}})
	if !errors.Is(err, ErrInDoubt) || errors.Is(err, ErrNotApplied) {
		t.Fatalf("unanswered: %v, want in doubt", err)
	}
	now := must[Snapshot](t)(sane.Get(seconds(t), "claims/v"))
	if len(now.Entries) != 1 || string(now.Entries[0].Value) != "try 1" {
		t.Errorf("found %+v", now.Entries)
	}

	// The connection breaks before the answer.
	p.mute(false)
	p.cut()
	eventually(t, 5*time.Second, "the connection is back", func() bool { _, err := s.Get(seconds(t), "claims/v"); return err == nil })
	p.mute(true)
	broken := time.AfterFunc(100*time.Millisecond, p.cut)
	defer broken.Stop()
	_, err = s.Commit(seconds(t), Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: []Write{{Key: "claims/v", Value: []byte("try 2"), IfMod: now.Entries[0].Mod}}})
	if !errors.Is(err, ErrInDoubt) {
		t.Errorf("cut off: %v, want in doubt", err)
	}
}

// A request that cannot have left this host was surely not applied, and another server is asked.
func TestCommitNotSent(t *testing.T) {
	p := newProxy(t, one(t).members[0].url)
	s := open(t, p.url)
	me, _ := join(t, s, "a")
	p.close()
	write := Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: []Write{{Key: "claims/v", Value: []byte("v")}}}
	eventually(t, 5*time.Second, "the client knows that the connection is gone", func() bool {
		_, err := s.Commit(seconds(t), write)
		if err == nil {
			t.Fatal("committed over a closed proxy")
		}
		return errors.Is(err, ErrNotApplied) && !errors.Is(err, ErrInDoubt)
	})
	both := open(t, p.url, one(t).members[0].url)
	if done, err := both.Commit(seconds(t), write); err != nil || !done.Results[0].Won {
		t.Errorf("with a second server: %+v, %v", done, err)
	}
	if first := both.ranked()[0].url; first == p.url {
		t.Error("the server that cannot be reached is still asked first")
	}
}

// TestCommitBeside: a claim and the key beside it are replaced together or not at all, and neither keeps the other writes from being made.
func TestCommitBeside(t *testing.T) {
	s := open(t, one(t).urls()...)
	me, _ := join(t, s, "a")
	commit := func(writes ...Write) Committed {
		t.Helper()
		return must[Committed](t)(s.Commit(seconds(t), Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: writes}))
	}
	claim := func(key string, ifMod, roundMod int64) Write {
		return Write{Key: key, Value: []byte("new"), IfMod: ifMod, Beside: &Beside{Key: "round", Value: []byte(key), IfMod: roundMod}}
	}
	first := commit(claim("claims/a", 0, 0))
	if !first.Results[0].Won || first.Results[0].Mod != first.Revision {
		t.Fatalf("both keys absent: %+v", first)
	}
	late := commit(claim("claims/b", 0, 0), Write{Key: "claims/c", Value: []byte("new")})
	if r := late.Results[0]; r.Won || r.Current != nil || r.Beside == nil || r.Beside.Mod != first.Revision || string(r.Beside.Value) != "claims/a" {
		t.Errorf("the key beside it has changed: %+v", r)
	}
	if !late.Results[1].Won {
		t.Errorf("a write without one: %+v", late.Results[1])
	}
	stale := commit(claim("claims/a", first.Revision-1, first.Revision))
	if r := stale.Results[0]; r.Won || r.Current == nil || r.Beside == nil || r.Beside.Mod != first.Revision {
		t.Errorf("the claim has changed: %+v", r)
	}
	if next := commit(claim("claims/b", 0, first.Revision)); !next.Results[0].Won {
		t.Errorf("both as they were seen: %+v", next.Results[0])
	}
	for key, want := range map[string]string{"claims/a": "new", "claims/b": "new", "claims/c": "new", "round": "claims/b"} {
		if now := must[Snapshot](t)(s.Get(seconds(t), key)); len(now.Entries) != 1 || string(now.Entries[0].Value) != want {
			t.Errorf("%s holds %+v, not %q", key, now.Entries, want)
		}
	}
	_, err := s.Commit(seconds(t), Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: []Write{claim("claims/d", 0, 0), claim("claims/e", 0, 0)}})
	if !errors.Is(err, ErrNotApplied) {
		t.Errorf("two writes with the same key beside them: %v", err)
	}
}
