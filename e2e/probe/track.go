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

// A shot is one probe on its way.
type shot struct {
	sent    time.Duration
	arrived time.Duration // of the answer; 0: none yet
}

// A track turns the probes of one address and their answers into outages. It is pure: it is told what was sent and what arrived, in any order
// of arrival, and settles each probe in the order of sending once its fate is known.
type track struct {
	vip    netip.Addr
	every  time.Duration
	window time.Duration

	flying   []shot // not settled, by number
	first    uint64 // number of flying[0]
	before   time.Duration
	outages  []Outage // the last one may go on
	down     bool     // it does
	answered uint64
	lost     uint64
	stray    uint64
	slowest  time.Duration // of the answers in time
	newest   time.Duration // when the latest answered probe was sent
}

// send notes that the next probe was sent and returns its number.
func (t *track) send(at time.Duration) uint64 {
	t.flying = append(t.flying, shot{sent: at})
	return t.first + uint64(len(t.flying)) - 1
}

// answer notes the arrival of an answer.
func (t *track) answer(number uint64, at time.Duration) {
	i := number - t.first // huge if settled before
	if i >= uint64(len(t.flying)) || t.flying[i].arrived != 0 || at-t.flying[i].sent > t.window {
		t.stray++
		return
	}
	s := &t.flying[i]
	s.arrived = max(at, s.sent)
	t.answered++
	t.slowest = max(t.slowest, s.arrived-s.sent)
	t.newest = max(t.newest, s.sent)
}

// settle decides all that can be decided, when every answer that arrived before known has been noted. It returns the outages that began or ended.
func (t *track) settle(known time.Duration) (turned []Outage) {
	for len(t.flying) > 0 {
		s := t.flying[0]
		if s.arrived == 0 && known-s.sent <= t.window {
			break
		}
		if t.decide(s) {
			turned = append(turned, t.outages[len(t.outages)-1])
		}
		t.before = s.sent
		t.flying = t.flying[1:]
		t.first++
	}
	return turned
}

// decide folds in the fate of flying[0], and tells whether the last outage began or ended with it.
func (t *track) decide(s shot) (turned bool) {
	if s.arrived == 0 {
		t.lost++
		if turned = !t.down; turned {
			t.down = true
			t.outages = append(t.outages, Outage{VIP: t.vip, Start: s.sent, Ongoing: true})
		} else {
			t.stalled(s)
		}
		o := &t.outages[len(t.outages)-1]
		o.Lost++
		o.Duration = s.sent - o.Start - o.Stalled
		return turned
	}
	if !t.down {
		return false
	}
	t.stalled(s)
	t.down = false
	o := &t.outages[len(t.outages)-1]
	o.Ongoing = false
	o.Duration = t.earliest() - o.Start - o.Stalled
	return true
}

// stalled adds the time that the probe slept before s, beyond one interval, to the outage that goes on.
func (t *track) stalled(s shot) {
	if gap := s.sent - t.before; gap > 2*t.every {
		t.outages[len(t.outages)-1].Stalled += gap - t.every
	}
}

// earliest is the first arrival of an answer to any probe not settled.
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
