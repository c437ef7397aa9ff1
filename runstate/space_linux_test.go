package runstate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"viplease/nstest"
)

// inside is set in the environment of the test binary that runs in namespaces of its own.
const inside = "RUNSTATE_TEST_INSIDE"

// A full disk costs the new state, and says so; the old one stands, and the next can be saved when there is room.
func TestFullDisk(t *testing.T) {
	if os.Getenv(inside) == "" {
		if out, err := runInside(t.Name()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		} else if why, skipped := strings.CutPrefix(string(out), "cannot: "); skipped {
			nstest.Lacking(t, "%s", why)
		}
		return
	}
	path := t.TempDir()
	if err := unix.Mount("none", path, "tmpfs", 0, "size=16k"); err != nil {
		fmt.Print("cannot: mount a tmpfs: ", err)
		os.Exit(0)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	d := opened(t, path)
	old := State{Boot: "b", Node: "a", Reg: "one"}
	if err := d.Save(old); err != nil {
		t.Fatal(err)
	}
	big := State{Boot: "b", Node: "a", Reg: "two", Known: []string{strings.Repeat("x", 32<<10)}}
	switch err := d.Save(big); {
	case !errors.Is(err, unix.ENOSPC):
		t.Errorf("saving to a full disk: %v", err)
	case !strings.Contains(err.Error(), "write the state") || !strings.Contains(err.Error(), path):
		t.Errorf("the error does not say what was written, and where: %v", err)
	}
	if got, err := d.Load("b", "a"); err != nil || got.Reg != "one" {
		t.Errorf("after that the state is %+v, %v", got, err)
	}
	if err := d.Save(State{Boot: "b", Node: "a", Reg: "three"}); err != nil {
		t.Errorf("saving what has room: %v", err)
	}
	if got, _ := d.Load("b", "a"); got.Reg != "three" {
		t.Errorf("after that the state is %+v", got)
	}
}

// runInside runs one test of this binary in a user and a mount namespace of its own, which takes no privilege.
func runInside(test string) ([]byte, error) {
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	c := exec.Command("/proc/self/exe", "-test.run", "^"+test+"$")
	c.Env = append(os.Environ(), inside+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return []byte("cannot: make namespaces: " + err.Error()), nil
	}
	return out, err
}
