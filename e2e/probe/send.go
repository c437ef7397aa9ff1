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
	at := sinceBoot()
	number, ok := t.fired.put(at)
	if !ok {
		return // nobody has read for seconds
	}
	if err := t.socket.send(number); err != nil {
		t.refused.Add(1)
		t.refusal.Store(&err)
	}
	t.fired.finish(sinceBoot() - at)
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
	at, took [4096]atomic.Int64 // 4 s of probes
	sent     atomic.Uint64      // at is there for the numbers below
	finished atomic.Uint64      // took, too; at most one less
	taken    atomic.Uint64      // both have been read
	seen     uint64             // at has been read; the reader's own
}

// put numbers a probe that is about to be sent. It is not ok if the ring is full.
func (r *ring) put(at time.Duration) (number uint64, ok bool) {
	number = r.sent.Load()
	if number-r.taken.Load() == uint64(len(r.at)) {
		return 0, false
	}
	r.at[number%uint64(len(r.at))].Store(int64(at))
	r.sent.Store(number + 1)
	return number, true
}

// finish notes how long it took to send the last probe put.
func (r *ring) finish(took time.Duration) {
	number := r.finished.Load()
	r.took[number%uint64(len(r.took))].Store(int64(took))
	r.finished.Store(number + 1)
}

// take calls send for each probe put, and finish for each one finished, since the last call, in their order.
func (r *ring) take(send func(at time.Duration), finish func(number uint64, took time.Duration)) {
	for ; r.seen < r.sent.Load(); r.seen++ {
		send(time.Duration(r.at[r.seen%uint64(len(r.at))].Load()))
	}
	for n := r.taken.Load(); n < min(r.seen, r.finished.Load()); n++ {
		finish(n, time.Duration(r.took[n%uint64(len(r.took))].Load()))
		r.taken.Store(n + 1)
	}
}
