package probe

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// receive reads now and then. Nothing hangs on when, for the kernel stamps arrivals; it only has to come before a queue is full.
func (p *Probe) receive() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !p.ending.Load() {
		<-tick.C
		p.mu.Lock()
		p.read()
		p.mu.Unlock()
	}
}

// read reads all answers that have arrived, and settles what that decides. Called with the lock.
func (p *Probe) read() {
	if p.bag == nil || p.err != nil && !errors.Is(p.err, ErrDropped) {
		return
	}
	known := sinceBoot()
	boot := bootOffset()
	from, to, overflow := p.full.look(known)
	for _, t := range p.targets {
		if overflow {
			t.track.overflow(from, to)
		}
		if err := p.readTarget(t, known, boot); err != nil && p.err == nil {
			p.err = fmt.Errorf("probe %s: %w", t.track.vip, err)
		}
	}
	close(p.turn)
	p.turn = make(chan struct{})
}

// readTarget reads the answers of one target. All that arrived before known are in its queue; boot is added to CLOCK_REALTIME to get the
// time since boot.
func (p *Probe) readTarget(t *target, known, boot time.Duration) error {
	take := func() { t.fired.take(func(at time.Duration) { t.track.send(at) }, t.track.finish) }
	take()
	err := p.bag.read(t.socket, func(packet []byte, arrived time.Duration) {
		if number, ok := t.parse(packet); ok {
			take() // that probe may have been sent a moment ago
			t.track.answer(number, arrived+boot)
		}
	})
	if err != nil {
		return err
	}
	lost := t.track.lost
	for _, o := range t.track.settle(known) {
		fmt.Fprintln(p.cfg.Log, o)
	}
	if t.track.lost == lost {
		return nil
	}
	if t.dropped, err = t.drops(); err == nil && t.dropped > 0 {
		err = ErrDropped
	}
	return err
}

// bootOffset returns the time since boot less the time of day. The two are read one after the other; of a few tries that one counts which
// took the least time.
func bootOffset() time.Duration {
	const enough = 5 * time.Microsecond
	var offset time.Duration
	for best := time.Duration(1<<63 - 1); best > enough; {
		before := sinceBoot()
		day := clock(unix.CLOCK_REALTIME)
		if took := sinceBoot() - before; took < best {
			best, offset = took, before+took/2-day
		} else {
			break // it does not get better
		}
	}
	return offset
}
