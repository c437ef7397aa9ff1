package arpnotify

import (
	"testing"
	"testing/synctest"
	"time"
)

// A defence is one announcement at once, of that address alone, and the others come when they would have.
func TestDefend(t *testing.T) {
	for _, tt := range []struct {
		at      time.Duration
		refresh time.Duration
		want    string
	}{
		{600 * time.Millisecond, 0, "0s 100ms 300ms 600ms 1s 2s 4s 8s 16s 32s "},
		{3 * time.Second, 0, "0s 100ms 300ms 1s 2s 3s 4s 8s 16s 32s "},
		{5 * time.Second, 0, "0s 100ms 300ms 1s 2s 4s 5s 8s 16s 32s "},
		{50 * time.Millisecond, 0, "0s 50ms 150ms 350ms 1.05s 2.05s 4.05s 8.05s 16.05s 32.05s "}, // it still is its first moment
	} {
		inBubble(t, Config{}, func(t *testing.T, r *rig) {
			must(t, r.Announce("eth0", vip4, yes))
			must(t, r.Announce("eth0", nthAddr(1), yes))
			pass(tt.at)
			r.Defend("eth0", vip4)
			pass(time.Hour)
			shots := r.lan.take()
			for _, kind := range []string{"request", "reply"} {
				if got := times(shots, vip4, kind); got != tt.want {
					t.Errorf("defended at %v: %s at %s, want %s", tt.at, kind, got, tt.want)
				}
			}
			if got, want := times(shots, nthAddr(1), "reply"), "0s 100ms 300ms 1s 2s 4s 8s 16s 32s "; got != want {
				t.Errorf("another address at %s, want %s", got, want)
			}
		})
	}
}

func TestDefendedAddressIsStillRefreshed(t *testing.T) {
	inBubble(t, Config{Refresh: time.Minute}, func(t *testing.T, r *rig) {
		must(t, r.Keep("eth0", vip6, yes))
		for range 3 {
			r.Defend("eth0", vip6)
			synctest.Wait()
		}
		if n := len(r.lan.take()); n != 3 {
			t.Errorf("%d announcements, want one for each call", n)
		}
		pass(10 * time.Minute)
		if n := len(r.lan.take()); n != 10 {
			t.Errorf("%d refreshes in 10 minutes", n)
		}
	})
}

func TestDefendSendsNothingThatMustNotBe(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.Defend("eth0", vip4) // not announced
		must(t, r.Keep("eth0", vip4, no))
		r.Defend("eth0", vip4) // not allowed
		r.Defend("eth0", vip6)
		must(t, r.Keep("eth0", vip6, yes))
		r.Stop("eth0", vip6)
		r.Defend("eth0", vip6) // stopped
		pass(time.Minute)
		if shots := r.lan.take(); len(shots) != 0 {
			t.Errorf("sent %v", shots)
		}
	})
}

// Calls that come before the frame could leave make one frame of it, and the pace holds.
func TestDefendIsPaced(t *testing.T) {
	inBubble(t, Config{Rate: 100}, func(t *testing.T, r *rig) {
		must(t, r.Keep("eth0", vip6, yes))
		for range 10_000 { // for 10 s
			r.Defend("eth0", vip6)
			pass(time.Millisecond)
		}
		if n := len(r.lan.take()); n < 1000 || n > 1000+burst {
			t.Errorf("%d announcements in 10 s at 100 per second", n)
		}
	})
}
