package leases

import (
	"errors"
	"sync"
	"testing"
	"time"
)

// The leader is stopped. Checks end within their timeout, and are answered again after an election; none of them is stale, and neither
// is what the old leader says when it wakes and does not know yet that it was replaced.
func TestLeaderStops(t *testing.T) {
	leader, followers := many(t)
	s := brisk(t, leader.url, followers[0].url, followers[1].url)
	others := brisk(t, followers[0].url, followers[1].url)
	me, _ := join(t, s, "a")
	claim := put(t, s, "claims/v", "0")
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	link := newProxy(t, leader.url)
	pinned := open(t, link.url)
	must[Answer](t)(pinned.Check(seconds(t), "a", 0))

	resume := leader.pause(t)
	begin := time.Now()
	var answered time.Duration
	eventually(t, 8*time.Second, "a check is answered after an election", func() bool {
		asked := time.Now()
		a, err := s.Check(seconds(t), "a", 0)
		if took := time.Since(asked); took > s.cfg.Timeout+150*time.Millisecond {
			t.Errorf("a check took %v", took)
		}
		if err == nil && (a.MemberRev != me.MemberRev || a.Count != 1 || a.Changed[0].Mod != claim) {
			t.Errorf("answer %+v", a)
		}
		answered = time.Since(begin)
		return err == nil
	})
	t.Logf("answered %v after the leader stopped", answered)

	// The others move on; then the old leader wakes.
	var mod int64
	eventually(t, 5*time.Second, "a write by the majority", func() (ok bool) {
		done, err := others.Commit(seconds(t), Commit{Node: "a", MemberRev: me.MemberRev, Writes: []Write{{Key: "claims/v", Value: []byte("1"), IfMod: claim}}})
		if err == nil && len(done.Results) == 1 && !done.Results[0].Won && done.Results[0].Current.Mod > claim {
			mod = done.Results[0].Current.Mod // an earlier attempt that was in doubt
			return true
		}
		if err != nil || !done.Results[0].Won {
			return false
		}
		mod = done.Results[0].Mod
		return true
	})
	wakes(t, pinned, link, resume, mod)
}

// wakes resumes a stopped server with questions waiting in its sockets, which it finds before it hears of its successor. None of its
// answers may be older than the claim of revision mod.
func wakes(t *testing.T, pinned *Store, link *proxy, resume func(), mod int64) {
	const questions = 50
	answers := make(chan Answer, questions)
	sent := link.upstream()
	var asking sync.WaitGroup
	defer asking.Wait()
	for range questions {
		asking.Go(func() {
			a, _ := pinned.Check(seconds(t), "a", 0) // an error is none of its own making: it may be refused
			answers <- a
		})
	}
	eventually(t, 5*time.Second, "the questions are sent", func() bool { return link.upstream() > sent+questions*100 })
	if len(answers) > 0 {
		t.Error("a stopped server answered")
	}
	resume()
	fresh := 0
	check := func(a Answer) {
		if a.Revision == 0 {
			return
		}
		fresh++
		if a.Revision < mod || a.Changed[0].Mod != mod {
			t.Errorf("stale: revision %d, claim of %d, want at least %d", a.Revision, a.Changed[0].Mod, mod)
		}
	}
	for range questions {
		check(<-answers)
	}
	t.Logf("%d of %d questions that it slept on were answered", fresh, questions)
	eventually(t, 8*time.Second, "the old leader answers", func() bool {
		a, _ := pinned.Check(seconds(t), "a", 0)
		check(a)
		return a.Revision != 0
	})
}

// One of three is left. It can read its own disk, but must not confirm anything.
func TestMinorityConfirmsNothing(t *testing.T) {
	leader, followers := many(t)
	s := brisk(t, followers[0].url)
	join(t, s, "a")
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	resumes := []func(){leader.pause(t), followers[1].pause(t)}
	sawLeaderless := false
	for begin := time.Now(); time.Since(begin) < 3*time.Second; {
		if a, err := s.Check(seconds(t), "a", 0); err == nil {
			t.Fatalf("answered alone after %v: %+v", time.Since(begin), a)
		}
		h := s.Health(seconds(t))[0]
		if !h.Reachable {
			t.Errorf("health %+v", h)
		}
		sawLeaderless = sawLeaderless || !h.Leader && len(h.Errors) > 0
	}
	if !sawLeaderless {
		t.Error("the survivor never said that it has no leader")
	}
	for _, r := range resumes {
		r()
	}
	eventually(t, 8*time.Second, "it answers with the others", func() bool { _, err := s.Check(seconds(t), "a", 0); return err == nil })
}

// registered registers node a, with a lease that has been renewed once.
func registered(t *testing.T, s *Store) (lease int64, ttl time.Duration, me Registered) {
	t.Helper()
	lease, ttl, err := s.Grant(seconds(t), 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	me = must[Registered](t)(s.Register(seconds(t), Registration{Node: "a", Lease: lease, Member: []byte("reg")}))
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	return lease, ttl, me
}

// One server of three stops, a follower that this node talks to. Checks go on, the lease is kept, and the watch moves.
func TestFollowerStops(t *testing.T) {
	leader, followers := many(t)
	s := brisk(t, followers[0].url, followers[1].url, leader.url)
	lease, ttl, me := registered(t, s)
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	s.prefer(s.cfg.Endpoints)
	batches, ended := watching(t, s, snap.Revision+1)
	put(t, s, "x", "1")
	next(t, batches)
	s.prefer(s.cfg.Endpoints)
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	followers[0].pause(t)

	stop := make(chan struct{})
	var lanes sync.WaitGroup
	defer lanes.Wait()
	defer close(stop)
	lanes.Go(func() {
		tick := time.NewTicker(ttl / 3)
		defer tick.Stop()
		for {
			if _, err := s.Renew(seconds(t), lease); err != nil {
				t.Errorf("renew: %v", err)
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	tick := time.NewTicker(s.cfg.Timeout)
	defer tick.Stop()
	deadline := time.After(3*ttl - ttl/2)
	watchEnded := false
	for n := 0; ; n++ {
		select {
		case err := <-ended:
			watchEnded = true
			if !errors.Is(err, ErrSilent) {
				t.Errorf("the watch ended with %v", err)
			}
			n--
		case <-tick.C:
			if a, err := s.Check(seconds(t), "a", 0); err != nil || a.MemberRev != me.MemberRev {
				t.Errorf("check %d: %+v, %v", n, a, err)
			}
		case <-deadline:
			if !watchEnded {
				t.Error("the watch did not notice")
			}
			return
		}
	}
}

// The leader hangs while its followers serve: they forward renewals to it and wait. The lease lives on all the same.
func TestLeaseOutlivesALeader(t *testing.T) {
	leader, followers := many(t)
	s := brisk(t, followers[0].url, followers[1].url, leader.url)
	lease, ttl, me := registered(t, s)
	leader.pause(t)
	failed, renewed := 0, 0
	tick := time.NewTicker(ttl / 3)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < 3*ttl; {
		_, err := s.Renew(seconds(t), lease)
		switch {
		case errors.Is(err, ErrLeaseGone):
			t.Fatalf("gone after %v, %d renewals failed", time.Since(begin), failed)
		case err != nil:
			failed++
			continue
		}
		renewed++
		<-tick.C
	}
	t.Logf("%d renewals, %d failed", renewed, failed)
	if a := must[Answer](t)(s.Check(seconds(t), "a", 0)); a.MemberRev != me.MemberRev {
		t.Errorf("the member key has revision %d, want %d", a.MemberRev, me.MemberRev)
	}
}
