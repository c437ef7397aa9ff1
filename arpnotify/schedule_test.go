package arpnotify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestScheduleOfOneAddress(t *testing.T) {
	inBubble(t, Config{Settle: 4600 * time.Millisecond}, func(t *testing.T, r *rig) {
		for _, addr := range []netip.Addr{vip4, vip6} {
			if err := r.Announce("eth0", addr, yes); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Hour)
		shots := r.lan.take()
		const want = "0s 100ms 300ms 1s 2s 4s 4.6s 8s 16s 32s "
		for _, x := range []struct {
			addr netip.Addr
			kind string
		}{{vip4, "request"}, {vip4, "reply"}, {vip6, "advert"}} {
			if got := times(shots, x.addr, x.kind); got != want {
				t.Errorf("%s %s at %s, want %s", x.addr, x.kind, got, want)
			}
		}
		if got, want := r.Counters(), (Counters{SentIPv4: 20, SentIPv6: 10}); got != want {
			t.Errorf("counters %+v, want %+v", got, want)
		}
	})
}

func TestFirstAnnouncementWaitsForNoScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{}) // Run is not called
		if err := r.Announce("eth0", vip4, yes); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(kinds(r.lan.take())); got != "[request reply]" {
			t.Errorf("sent %s by the time Announce returned", got)
		}
	})
}

func kinds(shots []shot) (k []string) {
	for _, s := range shots {
		k = append(k, s.kind)
	}
	return k
}

func TestKeptAddressIsOnlyRefreshed(t *testing.T) {
	inBubble(t, Config{Settle: 4600 * time.Millisecond, Refresh: time.Minute}, func(t *testing.T, r *rig) {
		if err := r.Keep("eth0", vip6, yes); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		if got := len(r.lan.take()); got != 10 {
			t.Errorf("%d announcements in ten minutes, want one a minute", got)
		}
	})
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		_ = r.Keep("eth0", vip6, yes)
		pass(time.Hour)
		if got := r.lan.take(); len(got) != 0 {
			t.Errorf("sent %v without a refresh", got)
		}
	})
}

func TestSettleTakesItsPlaceInTheOrder(t *testing.T) {
	inBubble(t, Config{Settle: 1500 * time.Millisecond}, func(t *testing.T, r *rig) {
		_ = r.Announce("eth0", vip6, yes)
		pass(time.Minute)
		if got, want := times(r.lan.take(), vip6, "advert"), "0s 100ms 300ms 1s 1.5s 2s 4s 8s 16s 32s "; got != want {
			t.Errorf("at %s, want %s", got, want)
		}
	})
}

func TestAnnounceAgainChangesOnlyWhoIsAsked(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		_ = r.Announce("eth0", vip6, yes)
		pass(500 * time.Millisecond)
		_ = r.Announce("eth0", vip6, yes)
		_ = r.Announce("eth0", vip6.WithZone("eth0"), yes) // the same address
		pass(time.Second)
		if got, want := times(r.lan.take(), vip6, "advert"), "0s 100ms 300ms 1s "; got != want {
			t.Errorf("at %s, want %s", got, want)
		}
		_ = r.Announce("eth0", vip6, no)
		pass(time.Hour)
		if got := r.lan.take(); len(got) != 0 {
			t.Errorf("sent %v although the later check says no", got)
		}
	})
}

func TestMappedAddressIsItsIPv4Address(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		_ = r.Announce("eth0", netip.AddrFrom16(vip4.As16()), yes)
		r.Stop("eth0", vip4)
		if s := r.lan.take(); len(s) != 2 || s[0].addr != vip4 || s[0].kind != "request" {
			t.Errorf("sent %v", s)
		}
		pass(time.Hour)
		if s := r.lan.take(); len(s) != 0 {
			t.Errorf("sent %v after Stop", s)
		}
	})
}

func TestStopEndsIt(t *testing.T) {
	inBubble(t, Config{Refresh: time.Minute}, func(t *testing.T, r *rig) {
		_ = r.Announce("eth0", vip4, yes)
		_ = r.Announce("eth1", vip4, yes)
		pass(50 * time.Millisecond)
		r.Stop("eth0", vip4)
		r.Stop("eth0", vip4)
		r.Stop("eth9", vip4)
		r.lan.take()
		pass(time.Hour)
		for _, s := range r.lan.take() {
			if s.link == "eth0" {
				t.Fatalf("sent %+v after Stop", s)
			}
		}
		_ = r.Announce("eth0", vip4, yes)
		pass(5 * time.Second)
		const want = "0s 100ms 300ms 1s 2s 4s "
		if got := times(onLink(r.lan.take(), "eth0"), vip4, "request"); !strings.HasPrefix(got, want) {
			t.Errorf("announced again at %s, want %s", got, want)
		}
	})
}

func onLink(shots []shot, link string) (s []shot) {
	for _, x := range shots {
		if x.link == link {
			s = append(s, x)
		}
	}
	return s
}

func TestNotAllowedIsNotSent(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		asked, allow := 0, false
		_ = r.Announce("eth0", vip4, func() bool { asked++; return allow })
		pass(200 * time.Millisecond)
		if s := r.lan.take(); len(s) != 0 || asked != 4 {
			t.Errorf("sent %v, asked %d times, want 4", s, asked)
		}
		if got, want := r.Counters(), (Counters{Withheld: 4}); got != want {
			t.Errorf("counters %+v, want %+v", got, want)
		}
		r.mu.Lock()
		allow = true
		r.mu.Unlock()
		pass(time.Hour)
		if s := r.lan.take(); len(s) != 14 || asked != 18 {
			t.Errorf("sent %d frames, asked %d times, want 14 and 18", len(s), asked)
		}
	})
}

// The question comes immediately before its frame, not once for a batch.
func TestAskedBeforeEachFrame(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		var dialogue []string
		r.lan.set(func(l *lan) { l.onSend = func(s shot) { dialogue = append(dialogue, s.kind) } })
		_ = r.Announce("eth0", vip4, func() bool { dialogue = append(dialogue, "?"); return true })
		if got, want := strings.Join(dialogue, " "), "? request ? reply"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestRestart(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		_ = r.Announce("eth0", vip4, yes)
		_ = r.Announce("eth1", vip4, yes)
		pass(time.Minute)
		r.lan.take()
		r.Restart("eth9")
		r.Restart("eth0")
		pass(time.Minute)
		shots := r.lan.take()
		const want = "0s 100ms 300ms 1s 2s 4s 8s 16s 32s "
		if got := times(shots, vip4, "request"); got != want || len(onLink(shots, "eth1")) != 0 {
			t.Errorf("announced at %s, want %s; on eth1: %v", got, want, onLink(shots, "eth1"))
		}
	})
}

func TestArguments(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		for _, x := range []struct {
			link, addr string
			allowed    func() bool
		}{
			{"", "192.0.2.1", yes},
			{"eth0", "", yes},
			{"eth0", "0.0.0.0", yes},
			{"eth0", "::", yes},
			{"eth0", "224.0.0.1", yes},
			{"eth0", "ff02::1", yes},
			{"eth0", "127.0.0.1", yes},
			{"eth0", "192.0.2.1", nil},
		} {
			addr, _ := netip.ParseAddr(x.addr)
			if err := r.Announce(x.link, addr, x.allowed); err == nil {
				t.Errorf("Announce(%q, %q) accepted", x.link, x.addr)
			}
		}
		pass(time.Minute)
		if s := r.lan.take(); len(s) != 0 {
			t.Errorf("sent %v", s)
		}
	})
}

func TestNothingAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{Refresh: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		_ = r.Announce("eth0", vip4, yes)
		synctest.Wait()
		if err := r.Run(ctx); err == nil {
			t.Error("a second Run is accepted")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		r.lan.take()
		if err := r.Announce("eth0", vip4, yes); !errors.Is(err, ErrStopped) {
			t.Errorf("Announce after Run: %v", err)
		}
		r.Restart("eth0")
		r.Stop("eth0", vip4)
		pass(time.Hour)
		if s := r.lan.take(); len(s) != 0 || r.lan.open != 0 {
			t.Errorf("sent %v after Run, %d sockets open", s, r.lan.open)
		}
	})
}
