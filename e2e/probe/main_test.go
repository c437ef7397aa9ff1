package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"viplease/e2e/lab"
)

const (
	spinEnv   = "PROBE_TEST_SPIN"   // set in copies of this binary that only burn a CPU
	pausedEnv = "PROBE_TEST_PAUSED" // set in the copy that is stopped and continued: the address it probes
)

// TestMain runs the tests in a world of their own.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(spinEnv) != "":
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		}
		os.Exit(0)
	case os.Getenv(pausedEnv) != "":
		os.Exit(probeWhilePaused(netip.MustParseAddr(os.Getenv(pausedEnv))))
	}
	lab.Main()
	goleak.VerifyTestMain(m)
}

// A wire is a client and a server with a veth pair between them.
type wire struct {
	t              *testing.T
	client, server *end
}

type end struct {
	ns   *os.File
	h    *netlink.Handle
	link netlink.Link
}

func newWire(t *testing.T) *wire {
	t.Helper()
	lab.Require(t)
	w := &wire{t: t, client: newEnd(t), server: newEnd(t)}
	must(t, w.client.h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(w.server.ns.Fd()),
	}))
	for _, e := range []*end{w.server, w.client} {
		var err error
		e.link, err = e.h.LinkByName("eth0")
		must(t, err)
		must(t, e.h.LinkSetUp(e.link))
	}
	for n, e := range []*end{w.server, w.client} {
		e.waitUp(t)
		must(t, e.h.AddrAdd(e.link, entry(t, fmt.Sprintf("10.77.0.%d/16", n+1))))
		must(t, e.h.AddrAdd(e.link, entry(t, fmt.Sprintf("fd77::%d/64", n+1))))
	}
	return w
}

func newEnd(t *testing.T) *end {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(home))
	e := &end{ns: os.NewFile(uintptr(there), "netns")}
	e.h, err = netlink.NewHandleAt(there, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(func() { e.h.Close(); e.ns.Close() })
	return e
}

// waitUp waits until the interface sends. That can be a second after it was set up (net/core/link_watch.c), and until then the packets
// given to it are dropped.
func (e *end) waitUp(t *testing.T) {
	t.Helper()
	for deadline := sinceBoot() + 10*time.Second; ; time.Sleep(time.Millisecond) {
		link, err := e.h.LinkByIndex(e.link.Attrs().Index)
		must(t, err)
		if link.Attrs().OperState == netlink.OperUp {
			return
		}
		if sinceBoot() > deadline {
			t.Fatal("the interface does not come up")
		}
	}
}

var (
	vip4 = netip.MustParseAddr("10.77.1.1")
	vip6 = netip.MustParseAddr("fd77::1:1")
)

func entry(t *testing.T, prefix string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(prefix)
	must(t, err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func host(t *testing.T, vip netip.Addr) *netlink.Addr {
	t.Helper()
	return entry(t, netip.PrefixFrom(vip, vip.BitLen()).String())
}

// add raises an address at the server and returns when it works there. For IPv6 that is after the call, when a work item has put in its
// local route.
func (w *wire) add(vip netip.Addr) {
	w.t.Helper()
	must(w.t, w.server.h.AddrAdd(w.server.link, host(w.t, vip)))
	for deadline := sinceBoot() + 10*time.Second; !w.local(vip); {
		if sinceBoot() > deadline {
			w.t.Fatalf("%s has no local route", vip)
		}
	}
}

func (w *wire) local(vip netip.Addr) bool {
	w.t.Helper()
	routes, err := w.server.h.RouteGet(vip.AsSlice())
	must(w.t, err)
	return len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
}

func (w *wire) del(vip netip.Addr) {
	w.t.Helper()
	must(w.t, w.server.h.AddrDel(w.server.link, host(w.t, vip)))
}

func (w *wire) start(cfg Config) *Probe {
	w.t.Helper()
	cfg.NS = w.client.ns
	p, err := Start(cfg)
	must(w.t, err)
	w.t.Cleanup(func() { _ = p.Close() }) // tests that care look at Err themselves
	return p
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// load burns as many CPUs as there are until the test ends.
func load(t *testing.T) {
	t.Helper()
	for range runtime.NumCPU() {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), spinEnv+"=1", "GOMAXPROCS=1")
		must(t, cmd.Start())
		t.Cleanup(func() {
			must(t, cmd.Process.Kill())
			_ = cmd.Wait() // it was killed
		})
	}
}

// probeWhilePaused is the process that TestPausedProcess stops and continues. It probes from the namespace it is told by file descriptor 3.
func probeWhilePaused(vip netip.Addr) int {
	ns := os.NewFile(3, "netns")
	p, err := Start(Config{NS: ns, Targets: []netip.Addr{vip}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.WaitAll(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	mark := p.Mark()
	fmt.Println("alive")
	bufio.NewScanner(os.Stdin).Scan()
	if err := errors.Join(p.WaitAll(ctx), p.Settle(ctx), p.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(len(p.Outages(mark)), p.Resolution(mark).Milliseconds())
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
