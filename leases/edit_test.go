package leases

import (
	"errors"
	"strconv"
	"sync"
	"testing"
)

func TestEdit(t *testing.T) {
	s := open(t, one(t).urls()...)
	to := func(v []byte) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return v, nil }
	}
	read := func() *Entry {
		if es := must[Snapshot](t)(s.Get(seconds(t), "frozen")).Entries; len(es) == 1 {
			return &es[0]
		}
		return nil
	}
	if rev, err := s.Edit(seconds(t), "frozen", to(nil)); rev != 0 || err != nil {
		t.Errorf("delete what is absent: %d, %v", rev, err)
	}
	created := must[int64](t)(s.Edit(seconds(t), "frozen", func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("an absent key gave %q", old)
		}
		return []byte{}, nil
	}))
	if e := read(); e == nil || e.Mod != created || len(e.Value) != 0 {
		t.Fatalf("created %+v at %d, want it empty but there", e, created)
	}
	same := must[int64](t)(s.Edit(seconds(t), "frozen", func(old []byte) ([]byte, error) {
		if old == nil {
			t.Error("an empty value was given as absent")
		}
		return old, nil
	}))
	if same != created || read().Version != 1 {
		t.Errorf("unchanged: revision %d, %+v", same, read())
	}
	written := must[int64](t)(s.Edit(seconds(t), "frozen", to([]byte("yes"))))
	if e := read(); e.Mod != written || string(e.Value) != "yes" {
		t.Errorf("written %+v", e)
	}
	mine := errors.New("mine")
	if _, err := s.Edit(seconds(t), "frozen", func([]byte) ([]byte, error) { return nil, mine }); !errors.Is(err, mine) || errors.Is(err, ErrInDoubt) {
		t.Errorf("error of change: %v", err)
	}
	if _, err := s.Edit(seconds(t), "frozen", to(make([]byte, maxCommit+1))); !errors.Is(err, ErrTooMuch) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("too long: %v", err)
	}
	if rev := must[int64](t)(s.Edit(seconds(t), "frozen", to(nil))); rev != written+1 || read() != nil {
		t.Errorf("deleted at %d, now %+v", rev, read())
	}
}

func TestEditNoneLost(t *testing.T) {
	s := open(t, one(t).urls()...)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				_, err := s.Edit(seconds(t), "n", func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old))
					return []byte(strconv.Itoa(n + 1)), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if e := must[Snapshot](t)(s.Get(seconds(t), "n")).Entries[0]; string(e.Value) != "40" {
		t.Errorf("%s after 40 edits", e.Value)
	}
}

func TestEditUnreachable(t *testing.T) {
	s := open(t, "http://127.0.0.1:1")
	if _, err := s.Edit(seconds(t), "x", func([]byte) ([]byte, error) { return nil, nil }); !errors.Is(err, ErrNotApplied) {
		t.Errorf("unreachable: %v", err)
	}
}
