package sockets

import (
	"errors"
	"strings"
	"testing"
)

// gate is open for so many questions.
func gate(times int) func() bool {
	return func() bool { times--; return times >= 0 }
}

// When the gate closes, nothing more is reset, the error says how much is left, and the next call resets it.
func TestGate(t *testing.T) {
	l := newLAN(t)
	const connections = 2*batch + 10
	s := listen(t, "tcp4", "")
	seen := map[int]bool{} // how many were reset before it closed
	for questions := 0; ; questions++ {
		for range connections {
			l.connect(t, s, vip4)
		}
		killed, err := Destroy(addresses(vip4), gate(questions))
		destroy(t, connections-killed, vip4)
		if err == nil {
			break
		}
		seen[killed] = true
		var late *LateError
		if !errors.As(err, &late) {
			t.Fatal(err)
		}
		if killed > 0 && late.Left != connections-killed || late.Left > connections || !late.More && late.Left == 0 {
			t.Errorf("after %d questions %d are killed and the error is %v", questions, killed, err)
		}
	}
	for _, killed := range []int{0, batch, 2 * batch, connections} {
		if !seen[killed] {
			t.Errorf("the gate never closed after %d; it did after %v", killed, seen)
		}
	}
}

// The last look has no successor, so all that is left is known.
func TestGateAtTheEnd(t *testing.T) {
	l := newLAN(t)
	s := listen(t, "tcp6", "")
	for questions := 0; ; questions++ {
		l.connect(t, s, vip6)
		_, err := Destroy(addresses(vip6), gate(questions))
		if err == nil {
			t.Fatal("the gate never closed before the reset")
		}
		destroy(t, 1, vip6)
		var late *LateError
		if errors.As(err, &late) && *late == (LateError{Left: 1}) {
			if !strings.HasSuffix(err.Error(), "too late, connections left: 1") {
				t.Error(err)
			}
			return
		}
	}
}
