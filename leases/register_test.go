package leases

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestRegister(t *testing.T) {
	s := open(t, one(t).urls()...)
	lease, granted, err := s.Grant(seconds(t), 2500*time.Millisecond)
	if err != nil || granted != 3*time.Second {
		t.Fatalf("granted %v, %v, want 2.5 s rounded up", granted, err)
	}
	mine := Registration{Node: "a", Lease: lease, Member: []byte("reg 1"), State: []byte("joining")}
	first := must[Registered](t)(s.Register(seconds(t), mine))
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	if len(snap.Entries) != 2 || snap.Revision < first.Revision {
		t.Fatalf("stands %+v", snap)
	}
	for i, want := range []Entry{{Key: "members/a", Value: []byte("reg 1")}, {Key: "states/a", Value: []byte("joining")}} {
		got := snap.Entries[i]
		if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Lease != lease || got.Create != first.MemberRev || got.Version != 1 {
			t.Errorf("entry %+v, want %+v on lease %x at %d", got, want, lease, first.MemberRev)
		}
	}

	again := must[Registered](t)(s.Register(seconds(t), mine))
	if first.Adopted || !again.Adopted || again.MemberRev != first.MemberRev {
		t.Errorf("first %+v, again %+v", first, again)
	}

	second, _, err := s.Grant(seconds(t), 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Registration{
		"other bytes": {Node: "a", Lease: lease, Member: []byte("reg 2")},
		"other lease": {Node: "a", Lease: second, Member: []byte("reg 1")},
	} {
		_, err := s.Register(seconds(t), r)
		var taken *TakenError
		if !errors.As(err, &taken) || !errors.Is(err, ErrNotApplied) || taken.Entry.Key != "members/a" || string(taken.Entry.Value) != "reg 1" {
			t.Errorf("%s: %v, want it taken by reg 1", name, err)
		}
	}

	if err := s.Revoke(seconds(t), lease); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(seconds(t), lease); err != nil {
		t.Errorf("revoke again: %v", err)
	}
	if snap := must[Snapshot](t)(s.Read(seconds(t))); len(snap.Entries) != 0 {
		t.Errorf("after the lease: %+v", snap.Entries)
	}
	if _, err := s.Register(seconds(t), mine); !errors.Is(err, ErrLeaseGone) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("on a dead lease: %v", err)
	}
}

// A registration whose answer was lost is adopted, not mistaken for another machine.
func TestRegisterInDoubt(t *testing.T) {
	p := newProxy(t, one(t).members[0].url)
	s := open(t, p.url)
	lease, _, err := s.Grant(seconds(t), 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	mine := Registration{Node: "a", Lease: lease, Member: []byte("reg 1"), State: []byte("{}")}
	p.mute(true)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Register(ctx, mine); !errors.Is(err, ErrInDoubt) {
		t.Fatalf("unanswered: %v, want in doubt", err)
	}
	p.mute(false)
	p.cut()
	eventually(t, 5*time.Second, "it is adopted", func() bool {
		r, err := s.Register(seconds(t), mine)
		return err == nil && r.Adopted
	})
}

func TestPutState(t *testing.T) {
	s := open(t, one(t).urls()...)
	me, lease := join(t, s, "a")
	if err := s.PutState(seconds(t), "a", me.MemberRev, lease, []byte("ready")); err != nil {
		t.Fatal(err)
	}
	if e := must[Snapshot](t)(s.Get(seconds(t), "states/a")).Entries[0]; string(e.Value) != "ready" || e.Lease != lease {
		t.Errorf("stands %+v", e)
	}
	// Evicted: a late write must not bring the state back.
	if _, err := raw(t, one(t).urls()...).Delete(seconds(t), s.key("members/a")); err != nil {
		t.Fatal(err)
	}
	if err := s.PutState(seconds(t), "a", me.MemberRev, lease, []byte("late")); !errors.Is(err, ErrNotMember) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("after the eviction: %v", err)
	}
	if e := must[Snapshot](t)(s.Get(seconds(t), "states/a")).Entries[0]; string(e.Value) != "ready" {
		t.Errorf("stands %q", e.Value)
	}
	anew := must[Registered](t)(s.Register(seconds(t), Registration{Node: "a", Lease: lease, Member: []byte("reg 2")}))
	if err := s.Revoke(seconds(t), lease); err != nil {
		t.Fatal(err)
	}
	if err := s.PutState(seconds(t), "a", anew.MemberRev, lease, []byte("late")); !errors.Is(err, ErrNotApplied) {
		t.Errorf("after the lease: %v", err)
	}
}

func TestPutOnce(t *testing.T) {
	s := open(t, one(t).urls()...)
	for range 2 {
		if err := s.PutOnce(seconds(t), "configs/1", []byte("vips")); err != nil {
			t.Fatal(err)
		}
	}
	if e := must[Snapshot](t)(s.Get(seconds(t), "configs/1")).Entries[0]; e.Version != 1 || string(e.Value) != "vips" {
		t.Errorf("stands %+v", e)
	}
	var taken *TakenError
	if err := s.PutOnce(seconds(t), "configs/1", []byte("other")); !errors.As(err, &taken) || string(taken.Entry.Value) != "vips" {
		t.Errorf("another value: %v", err)
	}
	if err := s.PutOnce(seconds(t), "configs/2", make([]byte, maxCommit+1)); !errors.Is(err, ErrTooMuch) {
		t.Errorf("too long: %v", err)
	}
}
