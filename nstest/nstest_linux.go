package nstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// inside is set in the environment of the test binary that runs in namespaces of its own.
const inside = "VIPLEASE_TEST_INSIDE"

// Main runs the tests in a new user and a new network namespace, which takes no privilege, and ends the program with their exit status, or with 1 if they leave
// goroutines behind. Where there can be no namespaces it says so, and runs them here: those that call [Need] skip. TestMain calls it.
func Main(m *testing.M) {
	if os.Getenv(inside) != "" {
		goleak.VerifyTestMain(m)
		return
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts it
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	default:
		fmt.Fprintln(os.Stderr, "no namespaces here, tests that need them are skipped:", err)
		goleak.VerifyTestMain(m)
	}
}

// Need skips a test that needs namespaces where there are none; see [Lacking].
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(inside) == "" {
		Lacking(t, "no user and network namespaces")
	}
}

// Lacking skips a test that needs what is not here. Where CI is set it fails: there nothing may be skipped unseen.
func Lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// New makes one more network namespace, which ends with the test, and leaves the calling thread where it is.
func New(t testing.TB) netns.NsHandle {
	t.Helper()
	Need(t)
	var ns netns.NsHandle
	Apart(t, func() (err error) {
		ns, err = netns.New()
		return err
	})
	t.Cleanup(func() { ns.Close() })
	return ns
}

// Do runs f in a network namespace, as [Apart] does.
func Do(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	Apart(t, func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

// Apart runs f on a thread that is thrown away, so that f may change what a thread has, and ends the test if f fails. f must not end it itself.
func Apart(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
