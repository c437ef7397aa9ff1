package judge

import (
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

const spinEnv = "JUDGE_TEST_SPIN" // set in copies of this binary that only burn a CPU

// TestMain runs the tests in a world of their own.
func TestMain(m *testing.M) {
	if os.Getenv(spinEnv) != "" {
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		}
		os.Exit(0)
	}
	lab.Main()
	goleak.VerifyTestMain(m)
}

// A node is a network namespace whose loopback interface is up and carries the addresses.
type node struct {
	Machine
	t *testing.T
	h *netlink.Handle
}

func newNode(t *testing.T, name string) *node {
	t.Helper()
	lab.Require(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(home))
	n := &node{Machine: Machine{Name: name, NS: os.NewFile(uintptr(there), name)}, t: t}
	n.h, err = netlink.NewHandleAt(there, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(func() { n.h.Close(); n.NS.Close() })
	must(t, n.h.LinkSetUp(lo))
	return n
}

var lo = &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: loopback}}

func entry(vip netip.Addr) *netlink.Addr {
	a := &netlink.Addr{IPNet: netlink.NewIPNet(vip.AsSlice())}
	if vip.Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func (n *node) add(vip netip.Addr) { n.t.Helper(); must(n.t, n.h.AddrAdd(lo, entry(vip))) }
func (n *node) del(vip netip.Addr) { n.t.Helper(); must(n.t, n.h.AddrDel(lo, entry(vip))) }

// load burns both CPUs, and more, until the test ends.
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openOwnNamespace() (*os.File, error) { return os.Open("/proc/self/ns/net") }
