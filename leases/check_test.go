package leases

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	s := open(t, one(t).urls()...)
	before := boottime()
	a := must[Answer](t)(s.Check(seconds(t), "a", 0))
	if a.MemberRev != 0 || a.Member != nil || a.Count != 0 || a.Changed != nil || a.Challenge != nil {
		t.Errorf("nothing is there: %+v", a)
	}
	if a.T0 < before || a.T0 > boottime() || a.Cluster == 0 {
		t.Errorf("T0 %v of a check made after %v, cluster %x", a.T0, before, a.Cluster)
	}

	me, _ := join(t, s, "a")
	v1 := put(t, s, "claims/v1", "1")
	v2 := put(t, s, "claims/v2", "2")
	ch := put(t, s, "challenges/a", "by b")
	put(t, s, "challenges/ab", "of another")
	put(t, s, "states/b", "noise")
	for _, tt := range []struct {
		since int64
		want  []int64 // mod revisions
	}{{0, []int64{v1, v2}}, {v1 - 1, []int64{v1, v2}}, {v1, []int64{v2}}, {v2, nil}, {1 << 60, nil}} {
		a := must[Answer](t)(s.Check(seconds(t), "a", tt.since))
		if a.MemberRev != me.MemberRev || string(a.Member) != `{"reg":"a"}` || a.Count != 2 || a.Revision < ch {
			t.Errorf("since %d: %+v", tt.since, a)
		}
		if a.Challenge == nil || a.Challenge.Mod != ch || string(a.Challenge.Value) != "by b" {
			t.Errorf("since %d: challenge %+v", tt.since, a.Challenge)
		}
		var got []int64
		for _, e := range a.Changed {
			got = append(got, e.Mod)
			if want := e.Key[len("claims/v"):]; string(e.Value) != want {
				t.Errorf("%s has value %q", e.Key, e.Value)
			}
		}
		if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
			t.Errorf("since %d: changed %v, want %v", tt.since, got, tt.want)
		}
	}

	// A deleted claim has no revision to be seen by: the count tells.
	if _, err := s.Edit(seconds(t), "claims/v1", func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if a := must[Answer](t)(s.Check(seconds(t), "a", v2)); a.Count != 1 || a.Changed != nil {
		t.Errorf("after a deletion: %+v", a)
	}
}

// An answer that was long under way by the boot-time clock is not used, even when no timer noticed: the machine was suspended.
func TestCheckLate(t *testing.T) {
	var jump atomic.Int64
	var calls atomic.Int64
	s := openWith(t, Config{Endpoints: one(t).urls(), Now: func() time.Duration {
		if calls.Add(1) == 2 { // the first of the check's is T0
			jump.Add(int64(time.Minute))
		}
		return boottime() + time.Duration(jump.Load())
	}})
	must[Snapshot](t)(s.Get(seconds(t), "x"))
	calls.Store(0)
	if _, err := s.Check(seconds(t), "a", 0); !errors.Is(err, ErrLate) {
		t.Errorf("a minute late: %v", err)
	}
	if _, err := s.Check(seconds(t), "a", 0); err != nil {
		t.Errorf("in time: %v", err)
	}
}

// A silent server costs half of the timeout once; T0 is that of the attempt that was answered, and the next check asks the other first.
func TestCheckHedges(t *testing.T) {
	silent := newProxy(t, one(t).members[0].url)
	s := brisk(t, silent.url, one(t).members[0].url)
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	silent.mute(true)
	begin := boottime()
	a := must[Answer](t)(s.Check(seconds(t), "a", 0))
	if waited := a.T0 - begin; waited < s.cfg.Timeout/2-5*time.Millisecond || waited > s.cfg.Timeout {
		t.Errorf("T0 is %v after the call, want that of the second attempt, %v", waited, s.cfg.Timeout/2)
	}
	begin = boottime()
	a = must[Answer](t)(s.Check(seconds(t), "a", 0))
	if waited := a.T0 - begin; waited > s.cfg.Timeout/4 {
		t.Errorf("the silent server was asked first again: %v", waited)
	}
}

// However long the answer takes, T0 is the time of the question.
func TestCheckCountsFromTheQuestion(t *testing.T) {
	p := newProxy(t, one(t).members[0].url)
	s := openWith(t, Config{Endpoints: []string{p.url}, Timeout: time.Second})
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	const delay = 200 * time.Millisecond
	p.slow(delay)
	before := boottime()
	a := must[Answer](t)(s.Check(seconds(t), "a", 0))
	if took := boottime() - before; took < delay {
		t.Fatalf("answered after %v: not delayed", took)
	}
	if late := a.T0 - before; late < 0 || late > delay/2 {
		t.Errorf("T0 is %v after the question", late)
	}
}

func TestCheckTimesOut(t *testing.T) {
	silent := newProxy(t, one(t).members[0].url)
	s := brisk(t, silent.url)
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	silent.mute(true)
	begin := time.Now()
	_, err := s.Check(seconds(t), "a", 0)
	if took := time.Since(begin); err == nil || took > s.cfg.Timeout+100*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
}
