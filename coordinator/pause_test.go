package coordinator

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
)

func TestTimeThatWentByUnseen(t *testing.T) {
	wall := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name       string
		boot, wall time.Duration // how far each clock went on between two turns
		paused     bool
	}{
		{"a turn in time", turnEvery, turnEvery, false},
		{"a turn on a busy machine", turnEvery + pauseMost, turnEvery + pauseMost, false},
		{"the process was stopped, or the machine slept", turnEvery + pauseMost + time.Millisecond, turnEvery + pauseMost + time.Millisecond, true},
		{"the machine was paused, and its boot-time clock with it", turnEvery, turnEvery + jumpMost + time.Millisecond, true},
		{"the real-time clock was set back", turnEvery, turnEvery - jumpMost - time.Millisecond, true},
		{"the real-time clock is being corrected", turnEvery, turnEvery + jumpMost, false},
	} {
		last := plan.Now{Boot: time.Hour, Wall: wall}
		now := plan.Now{Boot: last.Boot + tt.boot, Wall: last.Wall.Add(tt.wall)}
		if why := paused(last, now); (why != "") != tt.paused {
			t.Errorf("%s: %q", tt.name, why)
		}
	}
}

// A clock that has jumped may mean that the machine stood still, in a way that the boot-time clock does not count. Nothing is set or announced on what was
// known before; a check puts it right.
func TestAfterAJumpOfTheClockNothingIsSetBeforeACheck(t *testing.T) {
	for _, jump := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(newFakeEtcd(), newFakeKernel(config().VIPs))
				var jumped atomic.Int64
				n.ports.Now = func() plan.Now {
					return plan.Now{Boot: boot(), Wall: time.Now().Add(time.Duration(jumped.Load()))}
				}
				n.start(plan.Remembered{})
				time.Sleep(6 * time.Second)
				n.etcd.setHook(func(ctx context.Context, call string) error {
					if call == "check" {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				})
				time.Sleep(10 * time.Millisecond)
				jumped.Store(int64(jump))
				time.Sleep(turnEvery + 10*time.Millisecond)
				synctest.Wait()
				if n.mayAnnounce() != (jump == 0) {
					t.Errorf("before a check it may announce: %t", n.mayAnnounce())
				}
				n.etcd.setHook(nil)
				time.Sleep(time.Second)
				synctest.Wait()
				if !n.mayAnnounce() || n.kernel.count() != 2 {
					t.Errorf("after a check it may announce: %t, and %d of 2 addresses are up", n.mayAnnounce(), n.kernel.count())
				}
				n.stop()
				n.over(t, time.Second)
			})
		})
	}
}
