package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOrder(t *testing.T) {
	b := newBench(t, `mkdir $1/busy.$VIPLEASE_VIP || echo overlap >> $1/$VIPLEASE_VIP
echo $VIPLEASE_EVENT $VIPLEASE_WHY >> $1/$VIPLEASE_VIP
rmdir $1/busy.$VIPLEASE_VIP`, nil)
	want := map[string][]string{}
	for i := range waiting {
		for _, vip := range []string{"web", "dns", "mail"} {
			kind := []Kind{Acquired, Released, Fault}[i%3]
			b.Fire(Event{Kind: kind, VIP: vip, Why: fmt.Sprint(i)})
			want[vip] = append(want[vip], fmt.Sprintf("%s %d", kind, i))
		}
	}
	b.start(t).settle(t)
	for vip, want := range want {
		if got := b.read(t, vip); !slices.Equal(got, want) {
			t.Errorf("the programs of %s ran for\n%v\nwant\n%v", vip, got, want)
		}
	}
}

// Programs of different VIPs run side by side, up to the limit and not beyond.
func TestSideBySide(t *testing.T) {
	b := newBench(t, `mkdir $1/running.$VIPLEASE_VIP
ls -d $1/running.* | wc -l >> $1/counts
until [ -e $1/go ]; do sleep 0.01; done
rmdir $1/running.$VIPLEASE_VIP`, nil)
	b.sideBySide = 3
	b.start(t)
	for i := range 10 {
		b.Fire(Event{Kind: Acquired, VIP: fmt.Sprint(i)})
	}
	eventually(t, "three run at once", func() bool { return len(b.read(t, "counts")) == 3 })
	b.write(t, "go")
	b.settle(t)
	counts := b.read(t, "counts")
	for i, c := range counts {
		counts[i] = strings.TrimSpace(c)
	}
	if len(counts) != 10 || slices.Max(counts) != "3" {
		t.Errorf("as many ran at once: %v, want 10 programs, 3 at most", counts)
	}
}

// When a VIP has more events than fit, the oldest that wait make room, the log names each, and the last one runs.
func TestSuperseded(t *testing.T) {
	b := newBench(t, `echo $VIPLEASE_WHY >> $1/ran
until [ -e $1/go ]; do sleep 0.01; done`, nil).start(t)
	b.Fire(event("0"))
	eventually(t, "the first one runs", func() bool { return b.read(t, "ran")[0] == "0" })
	const extra = 3
	for _, why := range numbered(1, waiting+extra) {
		b.Fire(event(why))
	}
	for range extra {
		if m := b.log.next(t, "hook superseded"); m["vip"] != "web" || m["by"] != "acquired" {
			t.Errorf("the log says %v", m)
		}
	}
	b.log.silent(t)
	b.write(t, "go")
	b.settle(t)
	if got, want := b.read(t, "ran"), append([]string{"0"}, numbered(extra+1, waiting+extra)...); !slices.Equal(got, want) {
		t.Errorf("programs ran for\n%v\nwant\n%v", got, want)
	}
}

// Cancelled, Run goes on until all has run, including what is fired meanwhile.
func TestDrain(t *testing.T) {
	b := newBench(t, `touch $1/started
until [ -e $1/go ]; do sleep 0.01; done
echo $VIPLEASE_WHY >> $1/ran`, nil)
	ctx, cancel := context.WithCancel(t.Context())
	for _, why := range numbered(1, 5) {
		b.Fire(event(why))
	}
	go func() { b.ended <- b.Run(ctx) }()
	eventually(t, "the first one runs", func() bool { return b.exists("started") })
	cancel()
	b.Fire(event("6"))
	b.write(t, "go")
	if err := <-b.ended; err != nil {
		t.Error(err)
	}
	if got, want := b.read(t, "ran"), numbered(1, 6); !slices.Equal(got, want) {
		t.Errorf("programs ran for %v, want %v", got, want)
	}
	for range 6 {
		b.log.next(t, "hook done")
	}
	b.Fire(event("7"))
	if m := b.log.next(t, "hook not run"); m["err"] != "the daemon stops" {
		t.Errorf("the log says %v", m)
	}
	b.settle(t)
}

// What does not end within the bound is killed, and each event that was not run is named.
func TestDrainHasABound(t *testing.T) {
	b := newBench(t, `echo $$ >> $1/pids; sleep 1000`, func(c *Config) { c.Drain = 100 * time.Millisecond }).start(t)
	b.Fire(event("1"))
	eventually(t, "the program runs", func() bool { return b.read(t, "pids")[0] != "" })
	b.Fire(event("2"))
	b.Fire(Event{Kind: Released, VIP: "web"})
	began := time.Now()
	b.stop(t)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("Run took %v to return, want 100 ms", took)
	}
	for _, kind := range []Kind{Acquired, Released} {
		if m := b.log.next(t, "hook not run"); m["hook"] != string(kind) {
			t.Errorf("the log says %v, want %s", m, kind)
		}
	}
	if m := b.log.next(t, "hook failed"); m["err"] != "the daemon stops" {
		t.Errorf("the log says %v", m)
	}
	b.gone(t, "pids", 1)
	b.settle(t)
}

func TestWait(t *testing.T) {
	b := newBench(t, `until [ -e $1/go ]; do sleep 0.01; done`, nil).start(t)
	b.settle(t) // nothing was fired
	b.Fire(event("1"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait returned %v while a program ran", err)
	}
	b.write(t, "go")
	b.settle(t)
	b.log.next(t, "hook done")
}

// Events fired from many goroutines all run, and nothing is kept of VIPs that have none.
func TestManyAtOnce(t *testing.T) {
	b := newBench(t, `echo $VIPLEASE_VIP >> $1/ran`, nil).start(t)
	const vips, each = 20, 3
	var all sync.WaitGroup
	for i := range vips {
		all.Go(func() {
			for range each {
				b.Fire(Event{Kind: Acquired, VIP: fmt.Sprint(i)})
			}
		})
	}
	all.Wait()
	b.settle(t)
	if got := len(b.read(t, "ran")); got != vips*each {
		t.Errorf("%d programs ran, want %d", got, vips*each)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lanes) != 0 || len(b.turns) != 0 {
		t.Errorf("%d lanes and %d turns are left", len(b.lanes), len(b.turns))
	}
}

// Fire takes no time, whatever the programs do: it is called where authority is held.
func TestFireDoesNotBlock(t *testing.T) {
	b := newBench(t, `until [ -e $1/go ]; do sleep 0.01; done`, nil) // not running
	began := time.Now()
	for i := range 1000 {
		b.Fire(Event{Kind: Acquired, VIP: fmt.Sprint(i % 40)})
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("1,000 events took %v", took)
	}
}
