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

// The kernel drops answers that the receive buffer cannot take. Nothing may be reported up that is not, nor gone that is not.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	b.must(unix.SetsockoptInt(k.lane.socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	k.lane.messages = 1000
	reader := b.open(nil)
	b.addForeign(b.v4(50, 32))
	var g [][]Address
	for i := range 100 {
		g = append(g, []Address{b.v4(i, 32)})
	}
	lost := 0
	up := b.addresses
	for i, err := range k.Raise(g, time.Minute, soon()) {
		_, there := up(reader)[g[i][0]]
		switch {
		case err == nil && !there:
			t.Errorf("%s is not up, says no error", g[i][0])
		case i == 50:
			if err == nil || !there {
				t.Errorf("foreign address: there: %t, error: %v", there, err)
			}
		case err != nil && there && !errors.Is(err, ErrLeft):
			t.Errorf("%s is up after the error: %v", g[i][0], err)
		}
		if errors.Is(err, errUnanswered) {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no answer was lost, so nothing was tested")
	}
	var all []Address
	for i := range 100 {
		all = append(all, g[i][0])
	}
	for i, err := range k.Delete(all) {
		if _, there := up(reader)[all[i]]; there && err == nil {
			t.Errorf("%s is there, and was reported gone", all[i])
		}
	}
	// With a buffer that fits the chunks again, everything heals.
	k.lane.messages = 1
	b.noErrors(k.Delete(all))
	b.wantOnly(reader)
}
