package arpnotify

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestDownLinkIsRetriedAndLoggedOnce(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.lan.set(func(l *lan) { l.noSend = errDown })
		err := r.Announce("eth0", vip4, yes)
		if !errors.Is(err, unix.ENETDOWN) || !strings.Contains(err.Error(), "announce 192.0.2.7 on eth0: ") {
			t.Errorf("Announce: %v", err)
		}
		pass(time.Minute)
		if r.logged() != 0 {
			t.Errorf("logged what was returned:\n%s", r.log)
		}
		if e := r.Counters().Errors; e < 55 || e > 70 {
			t.Errorf("%d tries in a minute, want about one per second", e)
		}
		r.lan.set(func(l *lan) { l.noSend = nil })
		pass(time.Second)
		pass(5 * time.Second)
		if got, want := times(r.lan.take(), vip4, "request"), "0s 100ms 300ms 1s 2s 4s "; got != want {
			t.Errorf("after the link came up: %s, want %s", got, want)
		}
		if r.logged() != 1 || !strings.Contains(r.log.String(), "announces again") {
			t.Errorf("log:\n%s", r.log)
		}
	})
}

func TestFailureOfARunningLinkBeginsAnew(t *testing.T) {
	inBubble(t, Config{Refresh: time.Minute}, func(t *testing.T, r *rig) {
		for i := range 3 {
			_ = r.Announce("eth0", nthAddr(i), yes)
		}
		pass(10 * time.Minute)
		r.lan.set(func(l *lan) { l.noSend = errDown })
		pass(time.Minute)
		if r.logged() != 1 || !strings.Contains(r.log.String(), "cannot announce") {
			t.Errorf("log while down:\n%s", r.log)
		}
		r.lan.set(func(l *lan) { l.noSend = fmt.Errorf("sendto: %w", unix.EPERM) })
		pass(time.Minute)
		if r.logged() != 2 {
			t.Errorf("log after another reason:\n%s", r.log)
		}
		r.lan.set(func(l *lan) { l.noSend, l.shots = nil, nil })
		pass(time.Second)
		pass(4 * time.Second)
		shots := r.lan.take()
		for i := range 3 {
			if got, want := times(shots, nthAddr(i), "reply"), "0s 100ms 300ms 1s 2s 4s "; !strings.HasPrefix(got, want) {
				t.Errorf("%s announced at %s, want %s", nthAddr(i), got, want)
			}
		}
		if r.logged() != 3 {
			t.Errorf("log after all:\n%s", r.log)
		}
	})
}

// The wait before a retry begins small each time, and callers who are early do not make it longer.
func TestRetriesBeginQuickly(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		for range 2 {
			r.lan.set(func(l *lan) { l.noSend = errDown })
			for i := range 10 {
				_ = r.Announce("eth0", nthAddr(i), yes)
			}
			r.lan.set(func(l *lan) { l.noSend = nil })
			pass(retryFirst)
			if s := r.lan.take(); len(s) != 20 {
				t.Errorf("%d frames after %v, want 20", len(s), retryFirst)
			}
			for i := range 10 {
				r.Stop("eth0", nthAddr(i))
			}
			r.lan.set(func(l *lan) { l.noSend = errDown })
			_ = r.Announce("eth0", vip4, yes)
			pass(time.Minute) // now it waits for a second each time
			r.lan.set(func(l *lan) { l.noSend = nil })
			pass(time.Second)
			r.Stop("eth0", vip4)
			r.lan.take()
		}
	})
}

func TestMissingLinkIsOpenedWhenItAppears(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.lan.set(func(l *lan) { l.noOpen = unix.ENODEV })
		if err := r.Announce("eth0", vip4, yes); !errors.Is(err, unix.ENODEV) {
			t.Errorf("Announce: %v", err)
		}
		r.lan.set(func(l *lan) { l.noOpen = nil })
		pass(retryFirst)
		if s := r.lan.take(); len(s) != 2 {
			t.Errorf("sent %v, want one announcement", s)
		}
	})
}

func TestReplacedInterfaceIsOpenedAnew(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		_ = r.Announce("eth0", vip4, yes)
		r.lan.set(func(l *lan) { l.noLook = errGone })
		if err := r.Announce("eth0", vip6, yes); !errors.Is(err, unix.ENODEV) {
			t.Errorf("Announce: %v", err)
		}
		r.lan.set(func(l *lan) {
			if l.opens != 2 || l.open != 0 {
				t.Errorf("opened %d times, %d sockets open; want one more try and none left", l.opens, l.open)
			}
			l.noLook = nil
		})
		pass(time.Second)
		if len(r.lan.take()) == 0 {
			t.Error("nothing sent on the new interface")
		}
	})
}

func TestNoCarrierIsAFailure(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.lan.set(func(l *lan) { l.face.carrier = false })
		if err := r.Announce("eth0", vip4, yes); !errors.Is(err, ErrNoCarrier) {
			t.Errorf("Announce: %v", err)
		}
		r.lan.set(func(l *lan) { l.face.carrier, l.shots = true, nil })
		pass(10 * time.Second)
		if got, want := times(r.lan.take(), vip4, "request"), "0s 100ms 300ms 1s 2s 4s 8s "; got != want {
			t.Errorf("announced at %s, want %s", got, want)
		}
	})
}

func TestFullQueueIsNoFailure(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.lan.set(func(l *lan) { l.noSend = errFull })
		if err := r.Announce("eth0", vip4, yes); err != nil {
			t.Errorf("Announce: %v", err)
		}
		pass(2*retryFull + retryFull/2)
		if got, want := r.Counters(), (Counters{Deferred: 3}); got != want {
			t.Errorf("counters %+v, want %+v", got, want)
		}
		r.lan.set(func(l *lan) { l.noSend = nil })
		pass(retryFull)
		if got := fmt.Sprint(kinds(r.lan.take())); got != "[request reply]" {
			t.Errorf("sent %s", got)
		}
		if r.logged() != 0 {
			t.Errorf("log:\n%s", r.log)
		}
	})
}

func TestNewHardwareAddressBeginsAnew(t *testing.T) {
	inBubble(t, Config{Refresh: time.Minute}, func(t *testing.T, r *rig) {
		for i := range 3 {
			_ = r.Announce("eth0", nthAddr(i), yes)
		}
		pass(time.Minute)
		r.lan.set(func(l *lan) {
			l.face.mac, l.shots = net.HardwareAddr{2, 0, 0, 0, 0, 9}, nil
		})
		pass(time.Minute) // at least one refresh notices
		shots := r.lan.take()
		for i := range 3 {
			if got, want := times(shots, nthAddr(i), "request"), "0s 100ms 300ms 1s 2s 4s 8s "; !strings.HasPrefix(got, want) {
				t.Errorf("%s announced at %s, want %s", nthAddr(i), got, want)
			}
		}
		for _, s := range shots {
			if s.mac != "02:00:00:00:00:09" {
				t.Errorf("%+v has the old address", s)
			}
		}
	})
}

func TestRestartTriesAFailedLinkAtOnce(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.lan.set(func(l *lan) { l.noSend = errDown })
		_ = r.Announce("eth0", vip6, yes)
		pass(9*time.Second + 350*time.Millisecond)
		r.lan.set(func(l *lan) { l.noSend = nil })
		r.Restart("eth0")
		synctest.Wait()
		if s := r.lan.take(); len(s) != 1 {
			t.Errorf("sent %v by Restart, want one frame", s)
		}
	})
}
