package netif

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The clock is read for each sendmsg: what an earlier one brought up in time stays, what the clock overtook goes, and nothing is
// sent after that.
func TestEachSendReadsTheClock(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reader := b.open(nil)
	k := b.open(func() time.Duration {
		if len(b.addresses(reader)) >= 15 {
			return time.Hour
		}
		return 0
	})
	k.lane.messages = 10
	var g [][]Address
	for i := 0; i < 30; i += 2 {
		g = append(g, []Address{b.v4(i, 32), b.v6(i+1, 128)})
	}
	for i, err := range k.Raise(g, time.Minute, time.Hour) {
		if want := i >= 5; errors.Is(err, ErrLate) != want || errors.Is(err, ErrLeft) {
			t.Errorf("group %d: %v, want late: %t", i, err, want)
		}
	}
	b.wantOnly(reader, g[0][0], g[0][1], g[1][0], g[1][1], g[2][0], g[2][1], g[3][0], g[3][1], g[4][0], g[4][1])
}

// A group that lies on both sides of the end of authority goes as a whole.
func TestLateGroupAcrossSends(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reader := b.open(nil)
	k := b.open(func() time.Duration {
		if len(b.addresses(reader)) >= 3 {
			return time.Hour
		}
		return 0
	})
	k.lane.messages = 2
	g := [][]Address{{b.v4(1, 32)}, {b.v4(2, 32), b.v4(3, 32)}, {b.v4(4, 32)}}
	wantErrors(t, k.Raise(g, time.Minute, time.Hour), nil, ErrLate, ErrLate)
	b.wantOnly(reader, b.v4(1, 32))
}

// deafen shrinks the receive buffer of a lane, so that the kernel drops most answers to a chunk.
func (b bed) deafen(k *Kernel) {
	b.Helper()
	b.must(unix.SetsockoptInt(k.lane.socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	k.lane.messages = 1000
}

// Nothing may be reported up that is not, nor gone that is not. Every second address is refused, and most refusals are lost.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reader, k := b.open(nil), b.open(nil)
	all := b.many("v4", 100)
	for i := 0; i < len(all); i += 2 {
		b.addForeign(all[i])
	}
	b.deafen(k)
	errs := k.Raise(groups(all...), time.Minute, soon())
	has := b.addresses(reader)
	lost, refused := 0, 0
	for i, err := range errs {
		foreign := i%2 == 0
		_, up := has[all[i]]
		switch {
		case foreign && (err == nil || !up):
			t.Errorf("the foreign address %s is up: %t, error: %v", all[i], up, err)
		case err == nil && !up:
			t.Errorf("%s is not up, and there is no error", all[i])
		case !foreign && err != nil && up && !errors.Is(err, ErrLeft):
			t.Errorf("%s is up, in spite of the error: %v", all[i], err)
		}
		if errors.Is(err, errUnanswered) {
			lost++
		}
		if errors.Is(err, ErrForeign) {
			refused++
		}
	}
	if lost == 0 {
		t.Error("no answer was lost, so nothing was tested")
	}
	if refused == 0 {
		t.Error("the answers that were not lost have been ignored")
	}
	errs = k.Delete(all)
	has = b.addresses(reader)
	for i, err := range errs {
		if _, up := has[all[i]]; up && i%2 != 0 && err == nil {
			t.Errorf("%s is up, and was reported gone", all[i])
		}
	}
	k.lane.messages = 1 // what fits is answered, and everything heals
	b.noErrors(k.Delete(all))
	b.wantOnly(reader)
}

// An addition that was not answered and came too late must not stay, for all that is known of it.
func TestLostAnswersOvertaken(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reader := b.open(nil)
	k := b.open(func() time.Duration {
		if len(b.addresses(reader)) > 0 {
			return time.Hour
		}
		return 0
	})
	b.deafen(k)
	all := b.many("v4", 100)
	errs := k.Raise(groups(all...), time.Minute, time.Hour)
	has := b.addresses(reader)
	for i, err := range errs {
		if !errors.Is(err, ErrLate) {
			t.Errorf("%s: %v, want too late", all[i], err)
		}
		if _, up := has[all[i]]; up && !errors.Is(err, ErrLeft) {
			t.Errorf("%s is up, in spite of the error: %v", all[i], err)
		}
	}
}

// An answer to an earlier request that was not waited for is nobody's.
func TestStaleAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	link, err := k.resolve(b.link)
	b.must(err)
	absent := request{kind: unix.RTM_DELADDR, key: key{link.index, b.v4(9, 32).Prefix}}
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	early := absent.appendTo(nil, k.lane.handle.Seq-1)
	acknowledge(early)
	b.must(unix.Sendto(k.lane.socket.GetFd(), early, 0, kernel))
	add := request{unix.RTM_NEWADDR, unix.NLM_F_CREATE, key{link.index, b.v4(1, 32).Prefix}, 60}
	answers := k.lane.exchange([]request{add, absent}, always)
	if answers[0].err != nil || !errors.Is(answers[1].err, unix.EADDRNOTAVAIL) {
		t.Errorf("answers %v", answers)
	}
}

func TestChunks(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	k.lane.messages = 1 << 20
	var requests []request
	for _, a := range b.many("v6", 1000) {
		requests = append(requests, request{unix.RTM_NEWADDR, unix.NLM_F_CREATE, key{1, a.Prefix}, 60})
	}
	chunk, n := k.lane.chunk(requests)
	if size := len(requests[0].appendTo(nil, 1)); len(chunk) != n*size || len(chunk) > chunkBytes || len(chunk) <= chunkBytes-size {
		t.Errorf("%d messages of %d bytes in a chunk of %d bytes", n, size, len(chunk))
	}
	k.lane.messages = 3
	if _, n := k.lane.chunk(requests); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

// The record of raised addresses does not grow with time.
func TestRecordsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	now := time.Duration(0)
	k := b.open(func() time.Duration { return now })
	b.noErrors(k.Raise(groups(b.v4(1, 32), b.v4(2, 32)), 30*time.Second, time.Hour))
	now = time.Minute
	b.noErrors(k.Raise(groups(b.v4(3, 32)), 30*time.Second, time.Hour))
	if len(k.raised) != 1 {
		t.Errorf("it remembers %v", k.raised)
	}
}
