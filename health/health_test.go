package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeProbe answers as told, and keeps when it was asked.
type fakeProbe struct {
	answer func(ctx context.Context, n int) error // n: 0, 1, 2...
	tries  []time.Duration                        // since the test began
	began  time.Time
	closed error // what close returns
}

func (f *fakeProbe) try(ctx context.Context) error {
	f.tries = append(f.tries, time.Since(f.began))
	return f.answer(ctx, len(f.tries)-1)
}

func (f *fakeProbe) close() error { return f.closed }

// script answers from a row of dots (success) and x (failure); after its end the last one is repeated.
func script(row string) func(context.Context, int) error {
	return func(_ context.Context, n int) error {
		if n = min(n, len(row)-1); row[n] == '.' {
			return nil
		}
		return fmt.Errorf("failure\n%d", n)
	}
}

// bench runs one check with a fake probe.
type bench struct {
	probe    *fakeProbe
	verdicts []Verdict
	log      bytes.Buffer
	err      error // of Run
}

// runFor runs the check for a time in a bubble. The first try is at 0.
func runFor(t *testing.T, c Check, d time.Duration, answer func(context.Context, int) error) *bench {
	t.Helper()
	b := &bench{}
	synctest.Test(t, func(t *testing.T) {
		b.probe = &fakeProbe{answer: answer, began: time.Now()}
		r := New([]Check{c}, slog.New(slog.NewTextHandler(&b.log, nil)))
		r.checks[0].probe = b.probe
		r.checks[0].spread = func(time.Duration) time.Duration { return 0 }
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		b.err = r.Run(ctx, func(v Verdict) { b.verdicts = append(b.verdicts, v) })
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b
}

func TestVerdicts(t *testing.T) {
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of a bubble
	at := func(d time.Duration) time.Time { return epoch.Add(d).Local() }
	b := runFor(t, Check{Name: "web", Interval: time.Second, Rise: 2, Fall: 3}, 20500*time.Millisecond, script("x...xx.xxxxx.x......."))
	want := []Verdict{
		{Name: "web", Healthy: true, Since: at(2 * time.Second)},
		{Name: "web", Healthy: false, Since: at(9 * time.Second), Why: "failure?9"},
		{Name: "web", Healthy: true, Since: at(15 * time.Second)},
	}
	for i := range b.verdicts {
		b.verdicts[i].Since = b.verdicts[i].Since.Round(0).Local()
	}
	if !reflect.DeepEqual(b.verdicts, want) {
		t.Errorf("got\n%v\nwant\n%v", b.verdicts, want)
	}
	if n := strings.Count(b.log.String(), "\n"); n != len(want) {
		t.Errorf("%d log records for %d verdicts:\n%s", n, len(want), b.log.String())
	}
	if !strings.Contains(b.log.String(), `level=WARN msg="check fails" check=web why=failure?9`) {
		t.Errorf("no record of the failure:\n%s", b.log.String())
	}
}

func TestTriesBegin(t *testing.T) {
	takes := func(d time.Duration) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			if !sleep(ctx, d) {
				return context.Cause(ctx)
			}
			return nil
		}
	}
	ms := func(n ...int) (d []time.Duration) {
		for _, n := range n {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	for _, tt := range []struct {
		name              string
		interval, timeout int // ms
		answer            func(context.Context, int) error
		want              []time.Duration // within 3.1 s
	}{
		{"an interval after the last beginning", 1000, 1000, takes(300 * time.Millisecond), ms(0, 1000, 2000, 3000)},
		{"at once when the last took longer", 500, 5000, takes(1200 * time.Millisecond), ms(0, 1200, 2400)},
		{"at once after a timeout beyond the interval", 500, 1500, takes(time.Hour), ms(0, 1500, 3000)},
		{"at the interval after a shorter timeout", 1000, 200, takes(time.Hour), ms(0, 1000, 2000, 3000)},
		{"by default every second", 0, 0, takes(0), ms(0, 1000, 2000, 3000)},
		{"and with a timeout of a second", 300, 0, takes(time.Hour), ms(0, 1000, 2000, 3000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Check{Interval: time.Duration(tt.interval) * time.Millisecond, Timeout: time.Duration(tt.timeout) * time.Millisecond}
			b := runFor(t, c, 3100*time.Millisecond, tt.answer)
			if !reflect.DeepEqual(b.probe.tries, tt.want) {
				t.Errorf("tries at %v, want %v", b.probe.tries, tt.want)
			}
		})
	}
}

func TestTimeoutIsAFailure(t *testing.T) {
	b := runFor(t, Check{Timeout: 300 * time.Millisecond, Fall: 2}, 5*time.Second, func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if len(b.verdicts) != 1 || b.verdicts[0].Healthy || b.verdicts[0].Why != "not done within 300ms" {
		t.Fatalf("got %v", b.verdicts)
	}
	if since := b.verdicts[0].Since.Sub(b.probe.began); since != 1300*time.Millisecond {
		t.Errorf("since %s, want the end of the second try at 1.3s", since)
	}
}

// TestCancelIsNoFailure: the try that is under way when Run is cancelled says nothing about the service. The scheduler has a say, hence many times.
func TestCancelIsNoFailure(t *testing.T) {
	for range 20 {
		cancelIsNoFailure(t)
	}
}

func cancelIsNoFailure(t *testing.T) {
	t.Helper()
	b := runFor(t, Check{Timeout: time.Hour, Fall: 1}, time.Second, func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if len(b.probe.tries) != 1 || len(b.verdicts) != 0 || b.log.Len() != 0 {
		t.Errorf("%d tries, got %v\n%s", len(b.probe.tries), b.verdicts, b.log.String())
	}
}

// TestSpread: the first tries of many checks are spread over the interval, a second at most, and no check waits longer.
func TestSpread(t *testing.T) {
	for _, interval := range []time.Duration{400 * time.Millisecond, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := New(make([]Check, 200), slog.New(slog.DiscardHandler))
			var probes []*fakeProbe
			for _, c := range r.checks {
				c.Interval = interval
				p := &fakeProbe{answer: script("."), began: time.Now()}
				c.probe, probes = p, append(probes, p)
			}
			within := min(interval, time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			if err := r.Run(ctx, func(Verdict) {}); err != nil {
				t.Fatal(err)
			}
			quarters := map[time.Duration]int{}
			for _, p := range probes {
				if len(p.tries) == 0 {
					t.Fatalf("a check had not begun after %s", within)
				}
				quarters[p.tries[0]*4/within]++
			}
			for q := range time.Duration(4) { // 50 expected in each, with a deviation of 6
				if quarters[q] < 15 {
					t.Errorf("interval %s: first tries by quarter: %v", interval, quarters)
					break
				}
			}
		})
	}
}

// TestSlowCheckDelaysNoOther: every check has its own pace.
func TestSlowCheckDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New([]Check{{Name: "slow", Timeout: time.Hour}, {Name: "quick"}}, slog.New(slog.DiscardHandler))
		slow := &fakeProbe{began: time.Now(), answer: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }}
		quick := &fakeProbe{began: time.Now(), answer: script(".")}
		r.checks[0].probe, r.checks[1].probe = slow, quick
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := r.Run(ctx, func(Verdict) {}); err != nil {
			t.Fatal(err)
		}
		if len(slow.tries) != 1 || len(quick.tries) != 10 {
			t.Errorf("%d slow and %d quick tries, want 1 and 10", len(slow.tries), len(quick.tries))
		}
	})
}

// TestDeliverIsNeverConcurrent: and a slow receiver loses nothing.
func TestDeliverIsNeverConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := make([]Check, 20)
		for i := range checks {
			checks[i] = Check{Name: fmt.Sprint(i), Rise: 1}
		}
		r := New(checks, slog.New(slog.DiscardHandler))
		for _, c := range r.checks {
			c.probe = &fakeProbe{began: time.Now(), answer: script(".")}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		inside, got := 0, map[string]int{}
		if err := r.Run(ctx, func(v Verdict) { // the race detector watches too
			if inside++; inside != 1 {
				t.Errorf("%d deliveries at once", inside)
			}
			time.Sleep(700 * time.Millisecond)
			got[v.Name]++
			inside--
		}); err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if got[c.Name] != 1 {
				t.Errorf("check %s was delivered %d times", c.Name, got[c.Name])
			}
		}
	})
}

// TestCancelWhileDelivering: checks that wait to deliver end too, and do not deliver any more.
func TestCancelWhileDelivering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(make([]Check, 5), slog.New(slog.DiscardHandler))
		for _, c := range r.checks {
			c.probe = &fakeProbe{began: time.Now(), answer: script(".")}
		}
		ctx, cancel := context.WithCancel(t.Context())
		delivered := 0
		if err := r.Run(ctx, func(Verdict) {
			delivered++
			time.Sleep(10 * time.Second) // all others want to deliver by now
			cancel()
		}); err != nil {
			t.Fatal(err)
		}
		if delivered != 1 {
			t.Errorf("delivered %d times", delivered)
		}
	})
}

func TestRunTellsWhatItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New([]Check{{Name: "stuck"}, {Name: "fine"}}, slog.New(slog.DiscardHandler))
		left := errors.New("process 7 does not end after SIGKILL")
		r.checks[0].probe = &fakeProbe{began: time.Now(), answer: script("."), closed: left}
		r.checks[1].probe = &fakeProbe{began: time.Now(), answer: script(".")}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Run(ctx, func(Verdict) {})
		if !errors.Is(err, left) || err.Error() != "check stuck: process 7 does not end after SIGKILL" {
			t.Errorf("got %v", err)
		}
	})
}

func TestRunWithoutChecksWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := New(nil, slog.New(slog.DiscardHandler)).Run(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if ran := time.Since(began); ran != time.Minute {
			t.Errorf("returned after %s", ran)
		}
	})
}

func TestChecksThatCannotPass(t *testing.T) {
	for _, tt := range []struct {
		check Check
		why   string
	}{
		{Check{}, "the check must have exactly one of http, tcp and command"},
		{Check{HTTP: "http://127.0.0.1/", TCP: "127.0.0.1:80"}, "the check must have exactly one of http, tcp and command"},
		{Check{TCP: "127.0.0.1:80", Command: []string{"/bin/true"}}, "the check must have exactly one of http, tcp and command"},
		{Check{Command: []string{"true"}}, "the command must be an absolute path, not true"},
		{Check{Command: []string{"./true"}}, "the command must be an absolute path, not ./true"},
		{Check{HTTP: "gopher://127.0.0.1/"}, `unsupported protocol scheme "gopher"`},
		{Check{TCP: "127.0.0.1"}, "dial tcp: address 127.0.0.1: missing port in address"},
	} {
		if err := newProbe(tt.check).try(t.Context()); err == nil || err.Error() != tt.why {
			t.Errorf("%+v: got %v, want %s", tt.check, err, tt.why)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"exit status 1: no disk", "exit status 1: no disk"},
		{"a\x1b[31mred\x1b[0m\r\n\x00b", "a?[31mred?[0m???b"},
		{"größer als 5 µs", "größer als 5 µs"},
		{"bad\xff\xfe", "bad\ufffd\ufffd"},
		{"right to left \u202e", "right to left ?"},
		{strings.Repeat("ä", 200), strings.Repeat("ä", 150) + "..."},
		{"x" + strings.Repeat("ä", 200), "x" + strings.Repeat("ä", 149) + "..."},
	} {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestFirstLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"\n \n\t\n":             "",
		"one":                   ": one",
		"\n\n  one \r\ntwo\n":   ": one",
		"no end of line at all": ": no end of line at all",
	} {
		if got := firstLine([]byte(in)); got != want {
			t.Errorf("firstLine(%q) = %q, want %q", in, got, want)
		}
	}
}
