package judge

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const (
	insideEnv = "JUDGE_TEST_INSIDE" // set in the copy of this binary that runs in namespaces of its own
	spinEnv   = "JUDGE_TEST_SPIN"   // set in copies that only burn a CPU
)

// TestMain runs the tests in new network and mount namespaces, and in a new user namespace unless root.
func TestMain(m *testing.M) {
	if os.Getenv(spinEnv) != "" {
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		}
		os.Exit(0)
	}
	if os.Getenv(insideEnv) == "" {
		if code, ok := runInside(); ok {
			os.Exit(code)
		}
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runInside() (code int, ok bool) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	runtime.LockOSThread() // Pdeathsig follows the thread
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "no namespaces:", err)
		return 0, false
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return cmd.ProcessState.ExitCode(), true
}

// needNamespaces skips a test that cannot make any, or fails it under CI.
func needNamespaces(t *testing.T) {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("network namespaces cannot be made here")
	}
	t.Skip("network namespaces cannot be made here")
}

// A node is a network namespace whose loopback interface is up and carries the addresses.
type node struct {
	Machine
	t *testing.T
	h *netlink.Handle
}

func newNode(t *testing.T, name string) *node {
	t.Helper()
	needNamespaces(t)
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
