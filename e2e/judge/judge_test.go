package judge

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func start(t *testing.T, cfg Config, nodes ...*node) *Judge {
	t.Helper()
	for _, n := range nodes {
		cfg.Machines = append(cfg.Machines, n.Machine)
	}
	j, err := Start(cfg)
	must(t, err)
	t.Cleanup(func() { _ = j.Close() }) // tests that care ask for a verdict themselves
	return j
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func families(t *testing.T, f func(t *testing.T, vip netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { f(t, vip4) })
	t.Run("IPv6", func(t *testing.T) { f(t, vip6) })
}

// Whoever waits for the deletion before adding is never found guilty, with no gap at all and no CPU to spare.
func TestHandOverIsNoOverlap(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a, b := newNode(t, "a"), newNode(t, "b")
		a.add(vip)
		j := start(t, Config{Strict: true}, a, b)
		must(t, j.WaitHolders(soon(t), vip, "a"))
		load(t)
		const rounds = 1000
		for range rounds {
			a.del(vip)
			b.add(vip)
			must(t, j.WaitHolders(soon(t), vip, "b"))
			b.del(vip)
			a.add(vip)
			must(t, j.WaitHolders(soon(t), vip, "a"))
		}
		must(t, j.Verdict())
		if n := len(j.History()); n != 4*rounds+1 {
			t.Errorf("%d changes heard, want %d", n, 4*rounds+1)
		}
	})
}

// The same without asking the judge in between, so that its own thread reads, late.
func TestHandOverReadLateIsNoOverlap(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a, b := newNode(t, "a"), newNode(t, "b")
		j := start(t, Config{Strict: true}, a, b)
		load(t)
		const rounds = 1000
		for range rounds {
			a.add(vip)
			a.del(vip)
			b.add(vip)
			b.del(vip)
		}
		must(t, j.Verdict())
		if n := len(j.History()); vip.Is4() && n != 4*rounds {
			t.Errorf("%d changes heard, want %d", n, 4*rounds)
		}
	})
}

// Every planted overlap is found, whatever its length.
func TestOverlapIsRed(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		for _, planted := range []time.Duration{5 * time.Millisecond, time.Millisecond, 0} {
			t.Run(planted.String(), func(t *testing.T) {
				a, b := newNode(t, "a"), newNode(t, "b")
				j := start(t, Config{}, a, b)
				load(t)
				const rounds = 50
				var off []time.Duration // how far the length is outside of what the calls bound it by
				for range rounds {
					a.add(vip)
					must(t, j.WaitHolders(soon(t), vip, "a"))
					outer := sinceBoot()
					b.add(vip)
					if vip.Is6() { // the call returns before the address works
						must(t, j.WaitHolders(soon(t), vip, "a", "b"))
					}
					inner := sinceBoot()
					time.Sleep(planted)
					least := sinceBoot() - inner
					a.del(vip)
					most := sinceBoot() - outer
					b.del(vip)
					all := j.Overlaps()
					off = append(off, max(0, least-all[len(all)-1].For, all[len(all)-1].For-most))
				}
				slices.Sort(off)
				t.Logf("length off by: median %v, worst %v", off[len(off)/2], off[len(off)-1])
				if n := len(j.Overlaps()); n != rounds {
					t.Errorf("%d overlaps, planted %d", n, rounds)
				}
				if err := j.Verdict(); !errors.Is(err, ErrTwoHolders) || errors.Is(err, ErrBlind) {
					t.Errorf("verdict %v", err)
				}
				select {
				case <-j.Failed():
				default:
					t.Error("not failed")
				}
			})
		}
	})
}

func TestFastModeForgivesACut(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	a.add(vip4)
	var log strings.Builder
	j := start(t, Config{Log: &log}, a, b)
	j.SetConnected("a", false)
	b.add(vip4)
	must(t, j.Verdict())
	j.SetConnected("a", true)
	a.del(vip4)
	must(t, j.Verdict())
	all := j.Overlaps()
	if len(all) != 1 || all[0].Kind != Healing || all[0].Together <= 0 || all[0].Together >= all[0].For || all[0].Ongoing {
		t.Errorf("overlaps %v", all)
	}
	a.add(vip4)
	if err := j.Verdict(); !errors.Is(err, ErrTwoHolders) {
		t.Errorf("verdict %v after an overlap of connected machines", err)
	}
	a.del(vip4)
	if err := j.Close(); !errors.Is(err, ErrTwoHolders) {
		t.Errorf("last verdict %v", err)
	}
	for _, line := range []string{"machine a has 1 addresses", "+ 10.99.0.1 a", "machine a connected false", "overlap: 10.99.0.1 up on a and b", "- 10.99.0.1 a"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no %q in the log:\n%s", line, log.String())
		}
	}
}

func TestStrictModeForgivesNothing(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	j := start(t, Config{Strict: true}, a, b)
	j.SetConnected("a", false)
	a.add(vip4)
	must(t, j.Verdict())
	b.add(vip4)
	if err := j.Verdict(); !errors.Is(err, ErrTwoHolders) {
		t.Errorf("verdict %v", err)
	}
}

// Whether ports are connected counts for what comes after, and no overlap that the kernel has already announced is forgiven.
func TestSetConnectedComesAfterWhatIsQueued(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	a.add(vip4)
	j := start(t, Config{}, a, b)
	for range 100 {
		j.mu.Lock() // keeps the reader out
		b.add(vip4)
		j.mu.Unlock()
		j.SetConnected("a", false)
		b.del(vip4)
		j.SetConnected("a", true)
	}
	all := j.Overlaps()
	if len(all) != 100 {
		t.Fatalf("%d overlaps", len(all))
	}
	for _, o := range all {
		if o.Kind != Connected {
			t.Fatal(o)
		}
	}
}

// A judge that starts amid hand-overs sees no overlap that was not there, and no verdict finds anything amiss.
func TestStartAmidHandOvers(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	a.add(vip4)
	stop := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		for n := 0; ; n++ {
			from, to := a, b
			if n%2 == 1 {
				from, to = b, a
			}
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
			if err := errors.Join(from.h.AddrDel(lo, entry(vip4)), to.h.AddrAdd(lo, entry(vip4))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer working.Wait()
	defer close(stop)
	load(t)
	for range 500 {
		j, err := Start(Config{Strict: true, Machines: []Machine{a.Machine, b.Machine}})
		must(t, err)
		must(t, j.Verdict())
		must(t, j.Close())
	}
}

func TestWaitEnds(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{}, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.WaitHolders(ctx, vip4, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
	result := make(chan error)
	go func() { result <- j.WaitHolders(context.Background(), vip4, "a") }()
	must(t, j.Close())
	if err := <-result; err == nil {
		t.Error("waited for a closed judge, and got what it wanted")
	}
}
