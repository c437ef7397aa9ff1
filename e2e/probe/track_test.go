package probe

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const ms = time.Millisecond

// Each letter is one probe, a millisecond after the one before: "." is answered at once (in 0.1 ms), "x" never, "l" after 5 ms, "o" after the window
// of 10 ms, "q" when the next "." is. "v" took the kernel 2 ms to send, and is not answered. "_" is a millisecond in which none is sent.
func TestTrack(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"all answered", "........", ""},
		{"one lost", "...x....", "3ms+1.1ms (1)"},
		{"three lost", "..xxx...", "2ms+3.1ms (3)"},
		{"two outages", ".x..xx..", "1ms+1.1ms (1); 4ms+2.1ms (2)"},
		{"late but in time is answered", "...l....", ""},
		{"too late is lost, and ends nothing", "..oooo..", "2ms+4.1ms (4)"},
		{"a stall is none", "...______...", ""},
		{"a stall within is not counted", "..xx______xx..", "2ms+4.1ms and stalled 6ms (4)"},
		{"a stall before the end is not counted", "..x______..", "2ms+1.1ms and stalled 6ms (1)"},
		{"a stall before the beginning does not matter", ".______x..", "7ms+1.1ms (1)"},
		{"one skipped round is no stall", "..x_x..", "2ms+3.1ms (2)"},
		{"void probes count for nothing", "..v..v..", ""},
		{"a void probe ends no outage", "..xvx..", "2ms+3.1ms (2)"},
		{"a stall in the middle of sending", "..xv______..", "2ms+1.1ms and stalled 7ms (1)"},
		{"queued probes end it no earlier than they are answered", "..xxxxqqqq..", "2ms+8.1ms (4)"},
		{"a slow answer does not delay the end", "..xl....", "2ms+2.1ms (1)"},
		{"queued without a loss is none", "..qqqq..", ""},
		{"never answered", "xxx", "0s+2ms (3) still"},
		{"from the start", "xxx..", "0s+3.1ms (3)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := play(c.script); got != c.want {
				t.Errorf("%s: %q, want %q", c.script, got, c.want)
			}
		})
	}
}

// TestOverflow: what is lost while the machine's own queues overflow says nothing, and what is lost before and after does.
func TestOverflow(t *testing.T) {
	k := track{every: ms, window: 10 * ms}
	for i := range 30 {
		k.finish(k.send(time.Second+time.Duration(i)*ms), 0)
	}
	k.overflow(time.Second+10*ms, time.Second+14*ms)
	k.overflow(time.Second+12*ms, time.Second+19*ms)
	k.settle(2 * time.Second)
	if k.lost != 20 || k.void != 10 {
		t.Errorf("%d lost, %d void, want 20 and 10", k.lost, k.void)
	}
	if n := dropped([]byte("0cb6f834 00000117 00000007\n0c6b36b3 00000001 00000005\n")); n != 0x118 {
		t.Errorf("%d packets dropped, want %d", n, 0x118)
	}
}

// play tells the track each millisecond what was sent and what arrived, as the probe does.
func play(script string) string {
	k := track{every: ms, window: 10 * ms}
	type answer struct {
		number uint64
		at     time.Duration
	}
	var due []answer
	const (
		base  = time.Second
		flush = 30 // milliseconds after the last probe
	)
	for i := range len(script) + flush {
		now := base + time.Duration(i)*ms
		if i < len(script) && script[i] != '_' {
			n := k.send(now)
			if i > 0 && script[i-1] != '_' {
				k.settle(now + ms/10) // not finished, so nothing may be decided about it
			}
			k.finish(n, ms/50)
			switch script[i] {
			case 'v':
				k.finish(n, 2*ms)
			case '.':
				due = append(due, answer{n, now + ms/10})
			case 'l':
				due = append(due, answer{n, now + 5*ms})
			case 'o':
				due = append(due, answer{n, now + 11*ms})
			case 'q':
				due = append(due, answer{n, base + time.Duration(i+strings.IndexByte(script[i:], '.'))*ms + ms/10})
			}
		}
		known := now + ms/2
		left := due[:0]
		for _, a := range due {
			if a.at <= known {
				k.answer(a.number, a.at)
			} else {
				left = append(left, a)
			}
		}
		due = left
		k.settle(known)
	}
	var all []string
	for _, o := range k.outages {
		s := fmt.Sprintf("%v+%v", o.Start-base, o.Duration)
		if o.Stalled > 0 {
			s += fmt.Sprintf(" and stalled %v", o.Stalled)
		}
		s += fmt.Sprintf(" (%d)", o.Lost)
		if o.Ongoing {
			s += " still"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func TestTrackCounts(t *testing.T) {
	k := track{every: ms, window: 10 * ms}
	a, b := k.send(0), k.send(ms)
	k.finish(a, 1)
	k.finish(b, 1)
	k.answer(a, ms/2)
	k.answer(a, ms)      // twice
	k.answer(b, 20*ms)   // too late
	k.answer(b+5, 20*ms) // of nobody
	k.settle(30 * ms)
	k.answer(a, 31*ms) // settled
	if k.answered != 1 || k.lost != 1 || k.stray != 4 || k.slowest != ms/2 || k.newest != 0 {
		t.Errorf("%+v", k)
	}
	if !k.settled(30 * ms) {
		t.Error("not settled")
	}
	k.finish(k.send(40*ms), 1)
	if !k.settled(39*ms) || k.settled(40*ms) {
		t.Error("settled by the wrong instant")
	}
	k.settle(60 * ms)
	k.send(70 * ms)
	if k.settle(99 * ms); k.settled(70*ms) || k.lost != 2 {
		t.Errorf("settled a probe that is still being sent: %+v", k)
	}
}

func TestTrackStalls(t *testing.T) {
	k := track{every: ms, window: 10 * ms}
	for _, at := range []time.Duration{100 * ms, 101 * ms, 102*ms + ms/2, 103 * ms, 105 * ms, 110 * ms, 133*ms + ms/2, 134 * ms} {
		n := k.send(at)
		k.finish(n, 1)
		if at == 110*ms {
			k.finish(n, 2*ms) // void
		}
		k.answer(n, at)
		k.settle(at)
	}
	if len(k.stalls) != 1 || k.stalls[0] != (stall{at: 105 * ms, length: 28*ms + ms/2}) || k.void != 1 {
		t.Errorf("%+v", k)
	}
}

func TestGrid(t *testing.T) {
	for _, c := range []struct{ due, now, want time.Duration }{
		{100 * ms, 100*ms + ms/5, 101 * ms},
		{100 * ms, 100*ms + 9*ms/10, 101 * ms},
		{100 * ms, 101 * ms, 102 * ms}, // that point has passed
		{100 * ms, 130*ms + ms/2, 131 * ms},
	} {
		if got := after(c.due, c.now, ms); got != c.want {
			t.Errorf("a round due at %v ended at %v: the next is due at %v, want %v", c.due, c.now, got, c.want)
		}
	}
}

func TestRing(t *testing.T) {
	var r ring
	var sent, finished uint64
	take := func() {
		r.take(func(at time.Duration) {
			if at != time.Duration(sent) {
				t.Fatalf("took probe %v, want %v", at, sent)
			}
			sent++
		}, func(number uint64, took time.Duration) {
			if number != finished || took != time.Duration(2*number) {
				t.Fatalf("probe %d took %v, want probe %d", number, took, finished)
			}
			finished++
		})
	}
	next := uint64(0)
	for turn := range 3 { // around more than once
		for range len(r.at) {
			if n, ok := r.put(time.Duration(next)); !ok || n != next {
				t.Fatalf("turn %d: number %d, ok %t", turn, n, ok)
			}
			if next%1000 == 999 {
				take() // in the middle of sending
				if sent != next+1 || finished != next {
					t.Fatalf("%d sent and %d finished, in the middle of %d", sent, finished, next)
				}
			}
			r.finish(time.Duration(2 * next))
			next++
		}
		take()
	}
	for range len(r.at) {
		r.put(0)
		r.finish(0)
	}
	if _, ok := r.put(0); ok {
		t.Error("put into a full ring")
	}
	if sent != next || finished != next {
		t.Errorf("%d sent, %d finished, want %d", sent, finished, next)
	}
}

func TestSummary(t *testing.T) {
	var hundred []time.Duration
	for n := range 100 {
		hundred = append(hundred, time.Duration(100-n))
	}
	for _, c := range []struct {
		all                []time.Duration
		median, p95, worst time.Duration
	}{
		{nil, 0, 0, 0},
		{[]time.Duration{7}, 7, 7, 7},
		{[]time.Duration{3, 1, 2}, 2, 3, 3},
		{[]time.Duration{4, 3, 1, 2}, 2, 4, 4},
		{hundred, 50, 95, 100},
	} {
		if m, p, w := Summary(c.all); m != c.median || p != c.p95 || w != c.worst {
			t.Errorf("%v: %v %v %v", c.all, m, p, w)
		}
	}
}

func TestChecksum(t *testing.T) {
	// The example of RFC 1071, section 3.
	if got := checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != ^uint16(0xddf2) {
		t.Errorf("%#04x", got)
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
