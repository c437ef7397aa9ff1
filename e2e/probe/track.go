package probe

import (
	"fmt"
	"net/netip"
	"time"
)

// Outage is one run of lost probes of an address.
type Outage struct {
	VIP      netip.Addr
	Start    time.Duration // since boot, on CLOCK_BOOTTIME: when the first lost probe was sent
	Duration time.Duration // until the first answer to a later one arrived, without Stalled
	Stalled  time.Duration // the part in which the probe itself sent nothing
	Lost     int           // probes, at least 1
	// Ongoing: no later probe has been answered yet. Duration reaches to the last probe known to be lost, which was sent a window ago.
	Ongoing bool
}

func (o Outage) String() string {
	s := fmt.Sprintf("%s silent for %v at %.6f (%d lost", o.VIP, o.Duration, o.Start.Seconds(), o.Lost)
	if o.Stalled > 0 {
		s += fmt.Sprintf(", probe stalled for %v more", o.Stalled)
	}
	if o.Ongoing {
		s += ", still"
	}
	return s + ")"
}

// end is when it ended, or as far as it is known.
func (o Outage) end() time.Duration { return o.Start + o.Duration + o.Stalled }

// A stall is a time in which no probe was sent that counts, longer than two intervals.
type stall struct {
	at, length time.Duration
}

// A span is a time, both ends included.
type span struct {
	from, to time.Duration
}

// A shot is one probe on its way.
type shot struct {
	sent    time.Duration // just before the kernel was asked to
	took    time.Duration // the kernel; unfinished: not known yet
	arrived time.Duration // of the answer; 0: none yet
}

const unfinished = -1

// A track turns the probes of one address and their answers into outages. It is pure: it is told what was sent and what arrived, in any order
// of arrival, and settles each probe in the order of sending once its fate is known.
type track struct {
	vip    netip.Addr
	every  time.Duration
	window time.Duration

	flying   []shot        // not settled, by number
	first    uint64        // number of flying[0]
	before   time.Duration // when the last settled probe was sent, but for void ones; 0: none
	stalls   []stall
	full     []span   // in which the machine's own queues overflowed
	outages  []Outage // the last one may go on
	down     bool     // it does
	answered uint64
	lost     uint64
	void     uint64
	stray    uint64
	slowest  time.Duration // of the answers in time
	newest   time.Duration // when the latest answered probe was sent
}

// send notes that the next probe is being sent and returns its number.
func (t *track) send(at time.Duration) uint64 {
	t.flying = append(t.flying, shot{sent: at, took: unfinished})
	return t.first + uint64(len(t.flying)) - 1
}

// finish notes how long the kernel took to send a probe. Probes finish in their order, before they are settled.
func (t *track) finish(number uint64, took time.Duration) { t.flying[number-t.first].took = took }

// answer notes the arrival of an answer.
func (t *track) answer(number uint64, at time.Duration) {
	i := number - t.first // huge if settled before
	if i >= uint64(len(t.flying)) || t.flying[i].arrived != 0 || at-t.flying[i].sent > t.window {
		t.stray++
		return
	}
	s := &t.flying[i]
	s.arrived = max(at, s.sent)
	t.newest = max(t.newest, s.sent)
}

// overflow notes that the machine's own queues dropped packets within a span of time, before anything sent in it is settled as lost.
func (t *track) overflow(from, to time.Duration) {
	if n := len(t.full); n > 0 && from <= t.full[n-1].to {
		t.full[n-1].to = to
		return
	}
	t.full = append(t.full, span{from, to})
}

// overflowed tells whether a probe sent then may have fallen victim to that.
func (t *track) overflowed(sent time.Duration) bool {
	for len(t.full) > 0 && t.full[0].to < sent {
		t.full = t.full[1:] // probes are settled in their order
	}
	return len(t.full) > 0 && t.full[0].from <= sent
}

// settle decides all that can be decided, when every answer that arrived before known has been noted. It returns the outages that began or ended.
func (t *track) settle(known time.Duration) (turned []Outage) {
	for len(t.flying) > 0 {
		s := t.flying[0]
		if s.took == unfinished || s.arrived == 0 && known-s.sent <= t.window {
			break
		}
		if s.took > t.every || s.arrived == 0 && t.overflowed(s.sent) {
			t.void++ // the sender lost the CPU before, or after, the probe went out; or the machine lost it
		} else if t.decide(s) {
			turned = append(turned, t.outages[len(t.outages)-1])
		}
		t.flying = t.flying[1:]
		t.first++
	}
	return turned
}

// decide folds in the fate of flying[0], and tells whether the last outage began or ended with it.
func (t *track) decide(s shot) (turned bool) {
	stalled := time.Duration(0)
	if gap := s.sent - t.before; t.before != 0 && gap > 2*t.every {
		t.stalls = append(t.stalls, stall{t.before, gap})
		stalled = gap - t.every
	}
	t.before = s.sent
	if s.arrived == 0 {
		t.lost++
		if turned = !t.down; turned {
			t.down = true
			t.outages = append(t.outages, Outage{VIP: t.vip, Start: s.sent, Ongoing: true})
			stalled = 0 // before it began
		}
		o := &t.outages[len(t.outages)-1]
		o.Lost++
		o.Stalled += stalled
		o.Duration = s.sent - o.Start - o.Stalled
		return turned
	}
	t.answered++
	t.slowest = max(t.slowest, s.arrived-s.sent)
	if !t.down {
		return false
	}
	t.down = false
	o := &t.outages[len(t.outages)-1]
	o.Ongoing = false
	o.Stalled += stalled
	o.Duration = t.earliest() - o.Start - o.Stalled
	return true
}

// earliest is the first arrival of an answer to flying[0], which has one, or to any later probe.
func (t *track) earliest() time.Duration {
	first := t.flying[0].arrived
	for _, s := range t.flying {
		if s.arrived != 0 {
			first = min(first, s.arrived)
		}
	}
	return first
}

// settled tells whether the fate of all probes sent up to an instant is known.
func (t *track) settled(upTo time.Duration) bool {
	return len(t.flying) == 0 || t.flying[0].sent > upTo
}
