package config

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWait(t *testing.T) {
	tests := map[string]struct{ timeout, hold, want time.Duration }{
		"default": {300 * time.Millisecond, 3 * time.Second, 4609100 * time.Microsecond}, // the 4.6 s of the design
		"slow":    {500 * time.Millisecond, 3 * time.Second, 4809500 * time.Microsecond},
		"long":    {300 * time.Millisecond, 10 * time.Second, 11623100 * time.Microsecond},
	}
	for name, test := range tests {
		l := Lease{CheckTimeout: test.timeout, Hold: test.hold}
		if got := l.Wait(); got != test.want {
			t.Errorf("%s: W is %s, want %s", name, got, test.want)
		}
	}
}

// TestWaitIsNeverShort compares W with the formula of the design in exact
// arithmetic.
func TestWaitIsNeverShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Lease{
			CheckTimeout: time.Duration(rapid.Int64Range(int64(minCheck), int64(maxCheck)).Draw(t, "timeout")),
			Hold:         time.Duration(rapid.Int64Range(3, 3600).Draw(t, "hold")) * time.Second,
		}
		exact := big.NewRat(int64(l.CheckTimeout+l.Hold+1250*time.Millisecond), 1)
		exact.Mul(exact, big.NewRat(1002, 1000))
		exact.Add(exact, big.NewRat(int64(50*time.Millisecond), 1))
		over := new(big.Rat).Sub(big.NewRat(int64(l.Wait()), 1), exact)
		if over.Sign() < 0 || over.Cmp(big.NewRat(1, 1)) >= 0 {
			t.Fatalf("W %d ns is %s ns over the formula", l.Wait(), over.FloatString(4))
		}
	})
}

// TestHoldNeeded: hold >= max(3 s, 1.6 s + 2 x check timeout + 0.1 s), in
// whole seconds. With the timeouts allowed today the first term decides.
func TestHoldNeeded(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		50 * time.Millisecond:  3 * time.Second,
		maxCheck:               3 * time.Second,
		650 * time.Millisecond: 3 * time.Second,
		651 * time.Millisecond: 4 * time.Second,
		2 * time.Second:        6 * time.Second,
	} {
		if got := holdNeeded(timeout); got != want {
			t.Errorf("a timeout of %s needs a hold of %s, want %s", timeout, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "0s",
		300 * time.Millisecond:        "300ms",
		1500 * time.Millisecond:       "1.5s",
		10 * time.Second:              "10s",
		time.Minute:                   "1m",
		10 * time.Minute:              "10m",
		90 * time.Second:              "1m30s",
		time.Hour:                     "1h",
		time.Hour + 10*time.Second:    "1h0m10s",
		20 * time.Hour:                "20h",
		20*time.Hour + 10*time.Minute: "20h10m",
	} {
		got := Short(d)
		if got != want {
			t.Errorf("%s is written %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(got); err != nil || back != d {
			t.Errorf("%s is written %s, which is %s", d, got, back)
		}
	}
}
