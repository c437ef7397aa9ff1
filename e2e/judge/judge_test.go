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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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

func TestKernelExpiryIsADeletion(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{}, a)
	for _, vip := range []netip.Addr{vip4, vip6} {
		e := entry(vip)
		e.ValidLft = 1
		must(t, a.h.AddrAdd(lo, e))
	}
	must(t, j.WaitHolders(soon(t), vip4, "a"))
	must(t, j.WaitHolders(soon(t), vip6, "a"))
	must(t, j.WaitHolders(soon(t), vip4))
	must(t, j.WaitHolders(soon(t), vip6))
	for _, c := range j.History() {
		t.Log(c)
	}
	must(t, j.Verdict())
}

func TestRefreshIsNoChange(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{}, a)
		a.add(vip)
		must(t, j.WaitHolders(soon(t), vip, "a"))
		for range 10 {
			e := entry(vip)
			e.ValidLft = 60
			must(t, a.h.AddrReplace(lo, e))
		}
		must(t, j.Verdict())
		if h := j.History(); len(h) != 1 {
			t.Errorf("history %v", h)
		}
	})
}

// The reader stands still while 1,000 addresses of each family come and go, and nothing is lost.
func TestBurstDoesNotBlind(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{}, a)
	const count = 1000
	vip := func(base netip.Addr, n int) netip.Addr {
		b := base.AsSlice()
		b[len(b)-2], b[len(b)-1] = byte(n>>8), byte(n)
		v, _ := netip.AddrFromSlice(b)
		return v
	}
	j.mu.Lock()
	for n := range count {
		a.add(vip(vip4, n))
		a.add(vip(vip6, n+1))
	}
	j.mu.Unlock()
	must(t, j.Wait(soon(t), func(h map[netip.Addr][]string) bool { return len(h) == 2*count }))
	j.mu.Lock()
	for n := range count {
		a.del(vip(vip4, n))
		a.del(vip(vip6, n+1))
	}
	j.mu.Unlock()
	must(t, j.Verdict())
	if up, n := len(j.Holders()), len(j.History()); up != 0 || n != 4*count {
		t.Errorf("%d up, %d changes, want %d", up, n, 4*count)
	}
}

func TestOverflowIsBlindIsRed(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{receiveBuffer: 4096}, a)
	j.mu.Lock()
	for range 100 {
		a.add(vip4)
		a.del(vip4)
	}
	j.mu.Unlock()
	for range 2 { // for good
		if err := j.Verdict(); !errors.Is(err, ErrBlind) || !errors.Is(err, unix.ENOBUFS) || errors.Is(err, ErrTwoHolders) {
			t.Errorf("verdict %v", err)
		}
	}
	if err := j.WaitHolders(soon(t), vip4, "a"); !errors.Is(err, ErrBlind) {
		t.Errorf("wait: %v", err)
	}
	<-j.Failed()
}

// A change whose message never came is found by the comparison that comes with a verdict.
func TestUnheardChangeIsBlind(t *testing.T) {
	for _, change := range []string{"add", "del"} {
		t.Run(change, func(t *testing.T) {
			a := newNode(t, "a")
			if change == "del" {
				a.add(vip4)
			}
			j := start(t, Config{}, a)
			must(t, j.Verdict())
			j.mu.Lock()
			m := j.named("a")
			delete(j.machines, m.nsid)
			if change == "add" {
				a.add(vip4)
			} else {
				a.del(vip4)
			}
			j.drain()
			j.machines[m.nsid] = m
			j.mu.Unlock()
			if err := j.Verdict(); !errors.Is(err, ErrBlind) {
				t.Errorf("verdict %v", err)
			}
		})
	}
}

// A machine that the judge cannot hear is refused.
func TestDeafToAMachine(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{})
	m, err := openMachine(a.Machine, 4711) // not the id that marks its messages
	must(t, err)
	defer m.close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.machines[m.nsid] = m
	defer delete(j.machines, m.nsid)
	if _, err := j.meet(m); err == nil || !strings.Contains(err.Error(), "not heard") {
		t.Errorf("met a machine that is not heard: %v", err)
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

// On a point-to-point address the machine's own end counts, not the peer's.
func TestPeer(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{}, a)
		e := entry(vip)
		e.Peer = netlink.NewIPNet(vip.Next().AsSlice())
		must(t, a.h.AddrAdd(lo, e))
		must(t, j.WaitHolders(soon(t), vip, "a"))
		must(t, j.Verdict())
		if h := j.Holders(); len(h) != 1 {
			t.Errorf("holders %v", h)
		}
	})
}

func TestOnlyTheseAddresses(t *testing.T) {
	a := newNode(t, "a")
	wide := netip.MustParseAddr("10.98.0.1")
	a.add(vip4)
	must(t, a.h.AddrAdd(lo, mustEntry(t, wide.String()+"/24")))
	hosts, chosen := start(t, Config{}, a), start(t, Config{VIPs: []netip.Addr{wide}}, a)
	a.add(vip6)
	must(t, hosts.WaitHolders(soon(t), vip6, "a"))
	if h := hosts.Holders(); len(h) != 2 || h[vip4] == nil || h[vip6] == nil {
		t.Errorf("host addresses %v", h)
	}
	if h := chosen.Holders(); len(h) != 1 || h[wide] == nil {
		t.Errorf("chosen addresses %v", h)
	}
	must(t, hosts.Verdict())
	must(t, chosen.Verdict())
}

func mustEntry(t *testing.T, s string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(s)
	must(t, err)
	return a
}

func TestMachineMadeAnew(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	a.add(vip4)
	j := start(t, Config{Strict: true}, a, b)
	must(t, j.RemoveMachine("a"))
	must(t, j.WaitHolders(soon(t), vip4))
	b.add(vip4)
	again := newNode(t, "a")
	must(t, j.AddMachine(again.Machine))
	must(t, j.Verdict())
	again.add(vip4)
	must(t, j.WaitHolders(soon(t), vip4, "a", "b"))
	if err := j.Verdict(); !errors.Is(err, ErrTwoHolders) {
		t.Errorf("verdict %v", err)
	}
}

func TestMachineRefused(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	j := start(t, Config{}, a)
	for want, m := range map[string]Machine{
		"there is one of this name": {Name: "a", NS: b.NS},
		"it is the namespace of a":  {Name: "b", NS: a.NS},
	} {
		if err := j.AddMachine(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("added %s: %v, want %q", m.Name, err, want)
		}
	}
	if j.RemoveMachine("b") == nil {
		t.Error("removed a machine that is not there")
	}
	must(t, j.AddMachine(b.Machine))
	must(t, j.Close())
	if j.AddMachine(newNode(t, "c").Machine) == nil {
		t.Error("added a machine to a closed judge")
	}
}

// The judge's own namespace can be a machine too.
func TestOwnNamespace(t *testing.T) {
	needNamespaces(t)
	own, err := openOwnNamespace()
	must(t, err)
	defer own.Close()
	h, err := netlink.NewHandle()
	must(t, err)
	defer h.Close()
	must(t, h.LinkSetUp(lo))
	n := &node{Machine: Machine{Name: "own", NS: own}, t: t, h: h}
	j := start(t, Config{}, n, newNode(t, "b"))
	n.add(vip4)
	defer n.del(vip4)
	must(t, j.WaitHolders(soon(t), vip4, "own"))
	must(t, j.Verdict())
}

// veth lays a pair between two nodes and returns the first one's end. Both ends are down.
func veth(t *testing.T, a, b *node) (port, peer netlink.Link) {
	t.Helper()
	must(t, a.h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer0", PeerNamespace: netlink.NsFd(b.NS.Fd())}))
	port, err := a.h.LinkByName("eth0")
	must(t, err)
	peer, err = b.h.LinkByName("peer0")
	must(t, err)
	return port, peer
}

// An address that is being tested for duplicates answers nobody.
func TestTentativeIsNotUp(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	port, peer := veth(t, a, b)
	must(t, a.h.LinkSetUp(port))
	must(t, b.h.LinkSetUp(peer))
	j := start(t, Config{}, a, b)
	before := sinceBoot()
	e := entry(vip6)
	e.Flags = 0
	must(t, a.h.AddrAdd(port, e))
	if h := j.Holders(); len(h) > 0 {
		t.Errorf("up while tentative: %v", h)
	}
	must(t, j.WaitHolders(soon(t), vip6, "a"))
	t.Logf("up after %v", sinceBoot()-before)
	must(t, j.Verdict())
}

// The judge follows addresses through whatever happens to their interface.
func TestLinkComesAndGoes(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a, b := newNode(t, "a"), newNode(t, "b")
		port, _ := veth(t, a, b)
		j := start(t, Config{Strict: true}, a, b)
		must(t, a.h.AddrAdd(port, entry(vip))) // the interface is down
		must(t, j.Verdict())
		must(t, a.h.LinkSetUp(port))
		must(t, j.WaitHolders(soon(t), vip, "a"))
		must(t, j.Verdict())
		must(t, a.h.LinkSetDown(port)) // IPv6 addresses go, IPv4 addresses stay
		must(t, j.Verdict())
		if up := len(j.Holders()) > 0; up != vip.Is4() {
			t.Errorf("with the interface down: %v", j.Holders())
		}
		must(t, a.h.LinkSetUp(port))
		must(t, a.h.AddrReplace(port, entry(vip)))
		must(t, j.WaitHolders(soon(t), vip, "a"))
		must(t, a.h.LinkDel(port))
		must(t, j.WaitHolders(soon(t), vip))
		must(t, j.Verdict())
	})
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

// How long after the call an address counts as up, and that a nodad IPv6 address takes no longer than its work item.
func TestPrompt(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{}, a)
		var took []time.Duration
		for range 200 {
			a.add(vip)
			after := sinceBoot()
			must(t, j.WaitHolders(soon(t), vip, "a"))
			took = append(took, sinceBoot()-after)
			a.del(vip)
			if h := j.Holders(); len(h) > 0 {
				t.Fatalf("up after the deletion: %v", h)
			}
		}
		slices.Sort(took)
		t.Logf("known after the call returned: median %v, worst %v", took[100], took[199])
	})
}

// A nodad IPv6 address is listed by the kernel before the message about it is sent. That is no reason to go blind.
func TestVerdictRightAfterAdding(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{Strict: true}, a)
		load(t)
		for range 500 {
			a.add(vip)
			must(t, j.Verdict())
			a.del(vip)
			must(t, j.Verdict())
		}
	})
}
