package lab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests here look at the lab from outside: they run this test binary once more, whose Main then makes a world inside this one.
const inhabitEnv = "VIPLEASE_LAB_TEST_INHABIT"

// inhabit builds a whole lab, says so and stays until it is ended.
func inhabit() {
	l := New(Program{}, Options{Nodes: 2, Etcd: 1})
	l.Nodes[0].StartCommand("sh", "-c", "trap '' TERM INT HUP; sleep 1000 & setsid sleep 1000 & while :; do wait; done")
	l.Nodes[0].LAN.Cut()
	fmt.Println(inhabitEnv)
	switch os.Getenv(inhabitEnv) {
	case "return":
		os.Exit(0)
	case "exit":
		os.Exit(7)
	case "panic":
		panic("as asked")
	}
	time.Sleep(time.Hour)
}

// remains is everything that a lab could leave behind on the machine: processes, their namespaces, mounts, files.
func remains(t *testing.T) []string {
	t.Helper()
	var all []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if text, err := os.ReadFile(dir + "/stat"); err == nil && !strings.Contains(string(text), ") Z ") {
			all = append(all, "process "+filepath.Base(dir))
		}
		for _, kind := range []string{"net", "mnt", "uts", "pid", "user"} {
			if link, err := os.Readlink(dir + "/ns/" + kind); err == nil {
				all = append(all, "namespace "+link)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, strings.Split(string(mounts), "\n")...)
	for _, pattern := range []string{home + "/*", "/run/*", "/tmp/lan-*", "/tmp/viplease*"} {
		files, _ := filepath.Glob(pattern)
		all = append(all, files...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func TestNothingIsLeftBehind(t *testing.T) {
	Require(t)
	for _, c := range []struct {
		how    string
		signal syscall.Signal
		status int
	}{
		{"return", 0, 0},
		{"exit", 0, 7},
		{"panic", 0, 2},
		{"interrupt", syscall.SIGINT, 128 + 2},
		{"terminate", syscall.SIGTERM, 128 + 15},
		{"kill", syscall.SIGKILL, -1},
	} {
		t.Run(c.how, func(t *testing.T) {
			before := remains(t)
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), inhabitEnv+"="+c.how)
			cmd.Stderr = nil
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != inhabitEnv {
				t.Fatalf("the lab said %q, %v", line, err)
			}
			if c.signal != 0 {
				if during := difference(remains(t), before); len(during) < 15 {
					t.Errorf("a running lab shows only %q", during)
				}
				cmd.Process.Signal(c.signal)
			}
			late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
			cmd.Wait()
			late.Stop()
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
			if err := await(patience, func() error {
				if left := difference(remains(t), before); len(left) > 0 {
					return fmt.Errorf("left behind: %q", left)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCloseLeavesNothing holds the same for a lab that goes before its program does.
func TestCloseLeavesNothing(t *testing.T) {
	Require(t)
	fds := func() []string {
		var open []string
		files, _ := filepath.Glob("/proc/self/fd/*")
		for _, f := range files {
			if target, err := os.Readlink(f); err == nil {
				open = append(open, f+" "+target)
			}
		}
		return open
	}
	New(t, Options{Nodes: 2, Etcd: 1}).Close() // what the runtime opens once
	before, open := remains(t), fds()
	l := New(t, Options{Nodes: 2, Etcd: 1})
	startScript(t, l.Nodes[0])
	l.Nodes[1].Die()
	l.Close()
	if err := await(patience, func() error {
		if left := append(difference(remains(t), before), difference(fds(), open)...); len(left) > 0 {
			return fmt.Errorf("left behind: %q", left)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// failedTest is a T whose test has failed.
type failedTest struct {
	*testing.T
	printed strings.Builder
}

func (f *failedTest) Failed() bool                    { return true }
func (f *failedTest) Logf(format string, args ...any) { fmt.Fprintf(&f.printed, format+"\n", args...) }

func TestLogsOfAFailedTest(t *testing.T) {
	kept := t.TempDir()
	t.Setenv(logsEnv, kept)
	f := &failedTest{T: t}
	l := New(f, Options{Nodes: 2})
	n := l.Nodes[0]
	n.StartCommand("sh", "-c", "for i in $(seq 100); do echo line $i.; done")
	<-n.Done()
	l.Close()
	got := f.printed.String()
	if !strings.Contains(got, "--- node1\n(60 lines more)\nline 61.\n") || !strings.Contains(got, "line 100.\n") || strings.Contains(got, "line 60.") {
		t.Errorf("printed: %s", got)
	}
	files, _ := filepath.Glob(kept + "/lan-*-node1.log")
	if len(files) != 1 {
		t.Fatalf("kept: %q", files)
	}
	if text, err := os.ReadFile(files[0]); err != nil || strings.Count(string(text), "\n") != 100 {
		t.Errorf("kept %q, %v", text, err)
	}
}

func TestWatchdogEndsTheLab(t *testing.T) {
	Require(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), inhabitEnv+"=stay", limitEnv+"=2s")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 0 || !strings.Contains(string(out), "ended by its watchdog after 2s") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestOrdinaryUser runs the tests of this package again as nobody.
func TestOrdinaryUser(t *testing.T) {
	Require(t)
	if testing.Short() {
		t.Skip("short")
	}
	if !realRoot() {
		t.Skip("this is an ordinary user already")
	}
	dir := t.TempDir()
	for name, from := range map[string]string{"lab.test": "/proc/self/exe", "etcd": etcdFolder() + "/etcd", "etcdctl": etcdctl()} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	cmd := exec.Command(filepath.Join(dir, "lab.test"), "-test.v", "-test.short", "-test.timeout=2m", "-test.skip=ThreeEtcds|BackInTime|NothingIsLeft/(return|exit|panic)")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), etcdEnv+"="+dir, "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDieAndReturn") {
		t.Errorf("%v\n%s", err, out)
	}
}

// realRoot reports whether user ids here are the machine's own, so that another user can be become.
func realRoot() bool {
	text, _ := os.ReadFile("/proc/self/uid_map")
	return strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295"
}
