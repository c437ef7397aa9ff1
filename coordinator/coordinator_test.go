package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
)

// boot is the fake boot time: the bubble's clock, from some moment on.
func boot() time.Duration { return time.Since(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)) }

// node is one coordinator in a bubble, over fakes.
type node struct {
	*Coordinator
	etcd   *fakeEtcd
	kernel *fakeKernel
	voice  *fakeAnnouncer
	memory *fakeMemory
	stop   context.CancelFunc
	ended  chan error

	stopSpeaking chan<- error
}

func config() plan.Config {
	cfg := plan.Config{
		Group: "g", Node: "a", Machine: "m", Boot: "b", Seed: "seed", TTL: 3 * time.Second, Hold: 3 * time.Second,
		CheckInterval: 300 * time.Millisecond, CheckTimeout: 300 * time.Millisecond, Wait: 4610 * time.Millisecond, Mature: 5 * time.Second,
		Failback: true, MovesPerRound: -1, Weight: 1, MaxWrites: 50,
	}
	for i, name := range []string{"dns", "web"} {
		cfg.VIPs = append(cfg.VIPs, plan.VIP{Name: name, Prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 32)}})
	}
	return cfg
}

// inBubble runs a node in fake time, from a cold start to holding both VIPs, and then f.
func inBubble(t *testing.T, f func(t *testing.T, n *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(newFakeEtcd(), newFakeKernel(config().VIPs))
		n.start(plan.Remembered{})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := n.kernel.count(); got != 2 {
			t.Fatalf("%d addresses are up after a cold start, not 2; it did %v", got, n.kernel.steps)
		}
		f(t, n)
	})
}

func newNode(etcd *fakeEtcd, kernel *fakeKernel) *node {
	n := &node{etcd: etcd, kernel: kernel, memory: &fakeMemory{}, voice: &fakeAnnouncer{kernel: kernel}, ended: make(chan error, 1)}
	n.Coordinator = New(Config{Plan: config(), Leave: 5 * time.Second, Log: slog.New(slog.DiscardHandler)}, Ports{
		Now: func() plan.Now { return plan.Now{Boot: boot(), Wall: time.Now()} }, Registry: etcd, Claims: etcd, Feed: etcd,
		Kernel: kernel, Events: kernel, Announcer: n.voice, Ears: fakeEars{}, Memory: n.memory, Connections: fakeConnections{kernel},
	})
	return n
}

func (n *node) start(r plan.Remembered) {
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	go func() { n.ended <- n.Run(ctx, r) }()
}

// over waits for the end of Run and holds that no address is up.
func (n *node) over(t *testing.T, within time.Duration) error {
	t.Helper()
	select {
	case err := <-n.ended:
		if n.kernel.count() != 0 {
			t.Errorf("Run returned %v with addresses up", err)
		}
		return err
	case <-time.After(within):
		t.Fatalf("Run has not returned after %v", within)
		return nil
	}
}

func TestLeavingGivesEverythingBackInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.kernel.steps = nil
		n.stop()
		if err := n.over(t, time.Second); err != nil {
			t.Fatal(err)
		}
		for _, vip := range config().VIPs {
			addr := vip.Prefixes[0].Addr().String()
			if s, d := slices.Index(n.kernel.steps, "stop "+addr), slices.Index(n.kernel.steps, "del "+addr); s < 0 || d < s {
				t.Errorf("%s: not stopped before deleted: %v", addr, n.kernel.steps)
			}
			if e, _ := n.etcd.get("claims/" + vip.Name); !strings.Contains(string(e.Value), `"node":""`) {
				t.Errorf("the claim of %s is not released: %s", vip.Name, e.Value)
			}
		}
		if _, ok := n.etcd.get("members/a"); ok {
			t.Error("the registration stands")
		}
	})
}

func TestLeavingWithoutEtcdTakesTheAddressesDownAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.etcd.setHook(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(time.Second)
		n.stop()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n.kernel.count() != 0 {
			t.Error("addresses are up 0.1 s after the order to leave, without etcd")
		}
		n.over(t, 10*time.Second)
	})
}

func TestSilentEtcdEndsAuthorityAtHold(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.etcd.setHook(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(2600 * time.Millisecond) // the last good check was up to 0.3 s ago
		synctest.Wait()
		if n.kernel.count() != 2 {
			t.Fatal("addresses went before hold was over")
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if n.kernel.count() != 0 {
			t.Fatal("addresses are up after hold")
		}
		n.etcd.setHook(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n.kernel.count() != 2 {
			t.Fatal("etcd is back, the claims are this node's, and the addresses stay down")
		}
		n.stop()
		n.over(t, time.Second)
	})
}

func TestHandoffLeavesTheAddressesForTheNextProcess(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.Handoff()
		if err := <-n.ended; !errors.Is(err, ErrHandoff) {
			t.Fatal(err)
		}
		if n.kernel.count() != 2 {
			t.Fatal("addresses went")
		}
		next := newNode(n.etcd, n.kernel)
		n.kernel.steps = nil
		next.start(n.memory.last)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := strings.Join(n.kernel.steps, ", "); strings.Contains(got, "add") || strings.Contains(got, "del") {
			t.Errorf("the next process did %s", got)
		}
		if e, _ := n.etcd.get("claims/web"); e.Version != 3 {
			t.Errorf("the claim was written %d times: the next process has to write it once, and only once", e.Version)
		}
		next.stop()
		next.over(t, time.Second)
	})
}

// Whatever breaks, and in whichever goroutine, the addresses come down first, and Run says why.
func TestNoPanicLeavesAnAddressUp(t *testing.T) {
	boom := func() { panic("boom") }
	faults := map[string]func(n *node){
		"a check": func(n *node) {
			n.etcd.setHook(func(_ context.Context, call string) error { explode(call, "check"); return nil })
		},
		"a renewal": func(n *node) {
			n.etcd.setHook(func(_ context.Context, call string) error { explode(call, "renew"); return nil })
		},
		"the loop":   func(n *node) { go n.ask(context.Background(), func(*plan.View, plan.Now) { boom() }) },
		"the kernel": func(n *node) { n.kernel.hook = func(s string) { explode(s, "stop 192.0.2.1") }; n.forget("dns") },
		"the watch": func(n *node) {
			n.etcd.setHook(func(_ context.Context, call string) error { explode(call, "read"); return nil })
			n.reread <- struct{}{}
		},
		"the memory":  func(n *node) { n.memory.err = errors.New("boom"); n.etcd.loseMember() },
		"the speaker": func(n *node) { n.stopSpeaking <- errors.New("boom") },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(newFakeEtcd(), newFakeKernel(config().VIPs))
				speaking := make(chan error, 1)
				n.stopSpeaking = speaking
				n.voice.run = func(ctx context.Context) error {
					select {
					case err := <-speaking:
						return err
					case <-ctx.Done():
						return nil
					}
				}
				n.start(plan.Remembered{})
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if n.kernel.count() != 2 {
					t.Fatal("no cold start")
				}
				fault(n)
				err := n.over(t, 5*time.Second)
				if err == nil || !strings.Contains(err.Error(), "boom") {
					t.Fatalf("Run returned %v", err)
				}
			})
		})
	}
}

func explode(call, when string) {
	if call == when {
		panic("boom in " + call)
	}
}

// forget gives the claim of a VIP to somebody else, so that this node takes it down.
func (n *node) forget(vip string) {
	n.etcd.mu.Lock()
	defer n.etcd.mu.Unlock()
	old := n.etcd.entries["claims/"+vip]
	n.etcd.write(map[string][]byte{"claims/" + vip: plan.Encode(plan.Claim{V: 1, VIP: vip, Node: "z", Reg: "z", MemberRev: 1, Writes: old.Version + 1})})
}

// loseMember ends the registration, so that the node registers anew.
func (e *fakeEtcd) loseMember() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.write(map[string][]byte{"members/a": nil, "states/a": nil})
}

func TestSnapshotSaysWhenTheLoopDoesNotTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		if s := n.Snapshot(); !s.Self.Answers || !s.AllHeld() || s.Etcd.AuthorityMS == 0 {
			t.Errorf("a healthy node says %+v", s)
		}
		release := make(chan struct{})
		go n.ask(context.Background(), func(*plan.View, plan.Now) { <-release })
		synctest.Wait()
		if s := n.Snapshot(); s.Self.Answers || s.Self.Trouble == "" {
			t.Errorf("a node whose loop hangs says %+v", s.Self)
		}
		close(release)
		n.stop()
		n.over(t, time.Second)
	})
}

// A loop that hangs must not keep the lease: renewals and checks end with it.
func TestLoopThatHangsStopsRenewing(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		calls := map[string]int{}
		n.etcd.setHook(func(_ context.Context, call string) error { calls[call]++; return nil })
		release := make(chan struct{})
		go n.ask(context.Background(), func(*plan.View, plan.Now) { <-release })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if calls["renew"] > 1 || calls["check"] > 1 {
			t.Errorf("a loop that hangs made %v", fmt.Sprint(calls))
		}
		close(release)
		n.stop()
		n.over(t, 2*time.Second)
	})
}

// An address that something else removes is not announced any more, whoever takes the VIP then.
func TestNothingIsAnnouncedThatSomethingElseTookDown(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.kernel.mu.Lock()
		n.kernel.up, n.kernel.steps = map[plan.Address]bool{}, nil
		n.kernel.mu.Unlock()
		n.post(context.Background(), plan.AddressChanged{})
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if got := n.kernel.steps; len(got) < 2 || !strings.HasPrefix(got[0], "stop ") || !strings.HasPrefix(got[1], "stop ") {
			t.Errorf("after both addresses were removed by hand it did %v", got)
		}
		n.stop()
		n.over(t, time.Second)
	})
}

// A group of which a part cannot be raised any more is rolled back, and none of it is announced after that: another node takes it at once.
func TestNothingIsAnnouncedThatWasRolledBack(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.kernel.mu.Lock()
		n.kernel.refuse, n.kernel.steps = map[string]error{"web": errors.New("IPv6 is disabled")}, nil
		n.kernel.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := n.kernel.steps; len(got) == 0 || got[0] != "stop 192.0.2.2" {
			t.Errorf("after a refresh of web had failed it did %v", got)
		}
		n.stop()
		n.over(t, 6*time.Second)
	})
}
