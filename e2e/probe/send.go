package probe

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// send sends a round of probes at each point of a grid in time, without drift. It has a thread of its own, which ends with it, and takes no
// lock: a reader that lost the CPU while holding one would delay it.
func (p *Probe) send() {
	runtime.LockOSThread()
	// Both are for punctuality only, and a thread without the right goes on without.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	for due := sinceBoot(); !p.ending.Load(); due = after(due, sinceBoot(), p.cfg.Every) {
		sleepUntil(due)
		if p.cfg.stall != nil {
			p.cfg.stall()
		}
		for _, t := range p.targets {
			t.shoot()
		}
	}
}

// after returns the next point of the grid after now. Points that have passed are left out: catching up would send a burst.
func after(due, now, every time.Duration) time.Duration {
	due += every
	if late := now - due; late >= 0 {
		due += (late/every + 1) * every
	}
	return due
}

// shoot sends the next probe. It is noted before it is sent, so that an answer never comes to an unknown number.
func (t *target) shoot() {
	number, ok := t.fired.put(sinceBoot())
	if !ok {
		return // nobody has read for seconds
	}
	if err := t.socket.send(number); err != nil {
		t.refused.Add(1)
		t.refusal.Store(&err)
	}
}

func sleepUntil(at time.Duration) {
	ts := unix.NsecToTimespec(int64(at))
	for {
		err := unix.ClockNanosleep(unix.CLOCK_BOOTTIME, unix.TIMER_ABSTIME, &ts, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			panic("probe: sleep: " + err.Error())
		}
	}
}

// A ring carries the times of probes from one sender to one reader without a lock. Probes are numbered from 0.
type ring struct {
	at    [4096]atomic.Int64 // 4 s of probes
	sent  atomic.Uint64
	taken atomic.Uint64
}

// put numbers a probe. It is not ok if the ring is full.
func (r *ring) put(at time.Duration) (number uint64, ok bool) {
	number = r.sent.Load()
	if number-r.taken.Load() == uint64(len(r.at)) {
		return 0, false
	}
	r.at[number%uint64(len(r.at))].Store(int64(at))
	r.sent.Store(number + 1)
	return number, true
}

// take calls each with the times of the probes put since the last call, in their order.
func (r *ring) take(each func(at time.Duration)) {
	for n := r.taken.Load(); n < r.sent.Load(); n++ {
		each(time.Duration(r.at[n%uint64(len(r.at))].Load()))
		r.taken.Store(n + 1)
	}
}
