package arpnotify

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// How many announcements leave at once, and when.

// The first frame of each address leaves at once, whatever else is due; second frames and repeats are paced.
func TestManyAtOnce(t *testing.T) {
	const n = 300
	inBubble(t, Config{Rate: 1000}, func(t *testing.T, r *rig) {
		for i := range n {
			if err := r.Announce("eth0", nthAddr(i), yes); err != nil {
				t.Fatal(err)
			}
		}
		shots := r.lan.take()
		if firsts, others := apart(shots); len(firsts) != n || len(others) > burst/2 {
			t.Errorf("%d addresses announced at once and %d other frames, want all %d", len(firsts), len(others), n)
		}
		pass(400 * time.Millisecond)
		paced := r.lan.take()
		instants := make(map[time.Duration]bool)
		for _, s := range paced {
			instants[s.at] = true
		}
		if most := int(400*time.Millisecond/paceStep) + 1; len(instants) > most || len(paced) < 150 {
			t.Errorf("%d frames at %d instants, want 180 in groups", len(paced), len(instants))
		}
		pass(time.Minute)
		shots = append(append(shots, paced...), r.lan.take()...)
		if want := n * 2 * len(repeats); len(shots) != want {
			t.Errorf("%d frames, want %d", len(shots), want)
		}
		_, others := apart(shots)
		checkPace(t, others, burst, time.Millisecond)
	})
}

// More first frames than a receiver bears at once are paced, and no other frame comes between them.
func TestVeryManyAtOnce(t *testing.T) {
	const n = 2000
	inBubble(t, Config{Rate: 1000}, func(t *testing.T, r *rig) {
		for i := range n {
			_ = r.Announce("eth0", nthAddr(i), yes)
		}
		if firsts, _ := apart(r.lan.take()); len(firsts) != firstBurst {
			t.Errorf("%d addresses announced at once, want %d", len(firsts), firstBurst)
		}
		pass((n-firstBurst)*time.Millisecond/perFirst + 2*paceStep)
		shots := r.lan.take()
		firsts, others := apart(shots)
		if len(firsts) != n-firstBurst || len(others) > 0 {
			t.Errorf("then %d addresses announced and %d other frames, want %d and none", len(firsts), len(others), n-firstBurst)
		}
		checkPace(t, firsts, firstBurst, time.Millisecond/perFirst)
		pass(time.Minute)
		_, others = apart(r.lan.take())
		checkPace(t, others, burst, time.Millisecond)
	})
}

// apart are the requests, of which each address has had none before, and all other frames.
func apart(shots []shot) (firsts, others []shot) {
	seen := make(map[netip.Addr]bool)
	for _, s := range shots {
		if s.kind == "request" && !seen[s.addr] {
			firsts = append(firsts, s)
		} else {
			others = append(others, s)
		}
		seen[s.addr] = true
	}
	return firsts, others
}

// checkPace holds every stretch of shots against the bucket: most at once and one more per interval.
func checkPace(t *testing.T, shots []shot, most int, interval time.Duration) {
	t.Helper()
	for i := most; i < len(shots); i++ {
		if took := shots[i].at - shots[i-most].at; took < interval {
			t.Fatalf("frames %d to %d within %v", i-most, i, took)
		}
	}
	for i := 2 * most; i < len(shots); i++ {
		if took := shots[i].at - shots[i-2*most].at; took < time.Duration(most)*interval {
			t.Fatalf("frames %d to %d within %v, want %v", i-2*most, i, took, time.Duration(most)*interval)
		}
	}
}

// A new address goes before everything that is older and held up by the pace: repeats, and second frames.
func TestNewAddressGoesFirst(t *testing.T) {
	for _, x := range []struct {
		name  string
		older func(i int) netip.Addr
		after time.Duration
	}{
		{"repeats of IPv6", func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}) }, 5 * time.Second},
		{"replies of IPv4", nthAddr, 2 * time.Second},
	} {
		t.Run(x.name, func(t *testing.T) {
			inBubble(t, Config{Rate: 100}, func(t *testing.T, r *rig) {
				for i := range 250 {
					_ = r.Announce("eth0", x.older(i), yes)
				}
				pass(x.after)
				before := r.lan.take()
				if firsts := len(before) - burst; firsts < 100 || firsts > 600 {
					t.Fatalf("%d frames so far: nothing is held up", len(before))
				}
				_ = r.Announce("eth0", vip6, yes)
				pass(20 * time.Millisecond)
				if s := r.lan.take(); len(s) == 0 || s[0].addr != vip6 {
					t.Errorf("sent %v first, want %s", s, vip6)
				}
			})
		})
	}
}

func TestLinksArePacedApart(t *testing.T) {
	inBubble(t, Config{Rate: 1}, func(t *testing.T, r *rig) {
		for i := range 100 {
			_ = r.Announce("eth0", nthAddr(i), yes)
		}
		_ = r.Announce("eth1", vip4, yes)
		if s := onLink(r.lan.take(), "eth1"); len(s) != 2 {
			t.Errorf("eth1 sent %v at once, want 2 frames", s)
		}
	})
}

func TestRefreshIsSpread(t *testing.T) {
	const n, refresh = 1000, time.Minute
	inBubble(t, Config{Refresh: refresh}, func(t *testing.T, r *rig) {
		for i := range n {
			_ = r.Announce("eth0", nthAddr(i), yes)
		}
		pass(2 * time.Minute) // the first announcements and the first refreshes are over
		r.lan.take()
		pass(3 * refresh)
		last := make(map[netip.Addr]time.Duration)
		perSecond := make(map[time.Duration]int)
		for _, s := range r.lan.take() {
			if s.kind != "request" {
				continue
			}
			perSecond[s.at/time.Second]++
			if before, ok := last[s.addr]; ok && s.at-before != refresh {
				t.Errorf("%s refreshed after %v", s.addr, s.at-before)
			}
			last[s.addr] = s.at
		}
		if len(last) != n {
			t.Errorf("%d of %d addresses refreshed", len(last), n)
		}
		for second, count := range perSecond {
			if count > 3*n/60 { // 17 are even
				t.Errorf("%d refreshes in second %d", count, second)
			}
		}
	})
}

func TestRefreshComesWithinOnePeriod(t *testing.T) {
	inBubble(t, Config{Refresh: time.Minute}, func(t *testing.T, r *rig) {
		for i := range 100 {
			_ = r.Announce("eth0", nthAddr(i), yes)
		}
		pass(32 * time.Second)
		r.lan.take()
		pass(time.Minute)
		seen := make(map[netip.Addr]bool)
		for _, s := range r.lan.take() {
			seen[s.addr] = true
		}
		if len(seen) != 100 {
			t.Errorf("%d of 100 addresses refreshed within a period of their last announcement", len(seen))
		}
	})
}

// A refresh is never further apart than what comes before it.
func TestNoRepeatIsLaterThanARefresh(t *testing.T) {
	for refresh, want := range map[time.Duration]string{
		0:                "[0s 100ms 300ms 1s 2s 4s 8s 16s 32s]",
		time.Minute:      "[0s 100ms 300ms 1s 2s 4s 8s 16s 32s]",
		10 * time.Second: "[0s 100ms 300ms 1s 2s 4s 8s 16s]",
		time.Second:      "[0s 100ms 300ms 1s 2s]",
	} {
		if got := fmt.Sprint(newTimetable(0, refresh).rounds); got != want {
			t.Errorf("refresh %v: announced at %s, want %s", refresh, got, want)
		}
	}
}

// A process that was stopped for a while does not send all it missed in one go.
func TestLateRoundsKeepApart(t *testing.T) {
	tt := newTimetable(4600*time.Millisecond, 0)
	n := &announcement{addr: vip6}
	n.advance(tt, 0)
	now := time.Minute // all rounds are overdue
	var gaps []time.Duration
	for n.round < len(tt.rounds) {
		if !n.advance(tt, now) {
			break
		}
		gaps = append(gaps, n.due-now)
		now = n.due
	}
	if got, want := fmt.Sprint(gaps), "[100ms 350ms 500ms 1s 300ms 1.7s 4s 8s]"; got != want {
		t.Errorf("gaps %s, want %s", got, want)
	}
}
