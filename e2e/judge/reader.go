package judge

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// listen reads what comes while nobody asks. It has a thread of its own, with a real-time priority if that is to be had, so that times are
// taken promptly on a busy machine. The thread ends with it.
func (j *Judge) listen() {
	defer close(j.done)
	runtime.LockOSThread()
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	fds := []unix.PollFd{{Fd: int32(j.ears.fd), Events: unix.POLLIN}, {Fd: int32(j.stop), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		j.mu.Lock()
		if err != nil {
			j.goBlind(err)
		}
		j.drain()
		end := j.closed || j.blind != nil
		j.mu.Unlock()
		if end {
			return
		}
	}
}

// drain reads all that is queued. Called with the lock.
func (j *Judge) drain() {
	if j.closed || j.blind != nil {
		return
	}
	before := len(j.ledger.history)
	for {
		msgs, nsid, err := j.ears.next()
		if errors.Is(err, errEmpty) {
			break
		}
		if err != nil {
			j.goBlind(err)
			break
		}
		now := j.cfg.Now()
		for _, msg := range msgs {
			if t := msg.Header.Type; t == unix.RTM_NEWADDR || t == unix.RTM_DELADDR {
				j.hear(now, j.machines[nsid], msg.Data, t == unix.RTM_NEWADDR)
			}
		}
	}
	if len(j.ledger.history) > before {
		j.tell()
	}
}

// hear takes in one message about an address of m, nil if nobody's.
func (j *Judge) hear(now time.Duration, m *machine, body []byte, added bool) {
	if m == nil {
		return
	}
	i, answers, err := parseAddress(body)
	if err != nil {
		j.goBlind(err)
		return
	}
	if i.vip == planted {
		m.echo++
		return
	}
	if !j.follows(i) {
		return
	}
	if !m.known {
		m.heard++
		return
	}
	j.note(now, m, i, added && answers)
}

// follows tells whether the judge is to follow this address.
func (j *Judge) follows(i instance) bool {
	if j.only != nil {
		return j.only[i.vip]
	}
	return i.prefix.IsSingleIP() && !i.vip.IsLoopback() && !i.vip.IsLinkLocalUnicast()
}

// note enters a change in the ledger and the log.
func (j *Judge) note(now time.Duration, m *machine, i instance, up bool) {
	c, changed, met := j.ledger.set(now, m.name, i, up)
	if !changed {
		return
	}
	m.heard++
	fmt.Fprintln(j.cfg.Log, c)
	for _, o := range met {
		j.logf("overlap: %v", o)
	}
	if len(met) > 0 {
		j.check()
	}
}

// check closes Failed if an overlap that goes on is a fault. One that ends was checked when it began or when its cut healed, but for the
// limit on healing, which a verdict measures.
func (j *Judge) check() {
	for _, m := range j.ledger.open {
		if j.ledger.fault(m.Overlap) {
			j.fail()
		}
	}
}

func (j *Judge) goBlind(err error) {
	if j.blind == nil {
		j.blind = fmt.Errorf("%w: %w", ErrBlind, err)
		j.logf("%v", j.blind)
		j.fail()
		j.tell()
	}
}

func (j *Judge) fail() {
	select {
	case <-j.failed:
	default:
		close(j.failed)
	}
}

func (j *Judge) tell() {
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *Judge) named(name string) *machine {
	for _, m := range j.machines {
		if m.name == name {
			return m
		}
	}
	return nil
}

func (j *Judge) logf(format string, args ...any) {
	fmt.Fprintf(j.cfg.Log, "%.6f "+format+"\n", append([]any{j.cfg.Now().Seconds()}, args...)...)
}

func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("judge: read CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(t.Nano())
}
