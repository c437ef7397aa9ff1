package health

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sh is a check that runs a shell script, with arguments.
func sh(script string, args ...string) *commandProbe {
	return newCommandProbe(append([]string{"/bin/sh", "-c", script, "sh"}, args...))
}

// ended waits until a process runs no more. A zombie has ended, unless it is ours: then nobody waits for it.
func ended(t *testing.T, pid int) {
	t.Helper()
	eventually(t, func() bool {
		s := statOf(pid)
		return s.state == 0 || s.state == 'Z' && s.parent != os.Getpid()
	}, "process %d is still there", pid)
}

// eventually polls, up to 5 s.
func eventually(t *testing.T, holds func() bool, format string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf(format, args...)
		}
	}
}

// pidsIn reads the process ids that a check has written to a file, n of them.
func pidsIn(t *testing.T, file string, n int) (pids []int) {
	t.Helper()
	eventually(t, func() bool {
		text, _ := os.ReadFile(file)
		pids = nil
		for word := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil || pid < 2 {
				t.Fatalf("%q is no process id", word)
			}
			pids = append(pids, pid)
		}
		return len(pids) == n && strings.HasSuffix(string(text), "\n")
	}, "the check did not write %d process ids to %s", n, file)
	return pids
}

func TestCommandEnds(t *testing.T) {
	for _, tt := range []struct{ name, script, why string }{
		{"passes", "exit 0", ""},
		{"passes and talks", "echo all is well; echo really >&2", ""},
		{"fails", "exit 3", "exit status 3"},
		{"fails and says why", "echo; echo '  no disk  '; echo more; exit 1", "exit status 1: no disk"},
		{"says why on stderr", "echo no net >&2; exit 1", "exit status 1: no net"},
		{"kills itself", "kill -KILL $$", "signal: killed"},
		{"writes binary", `printf '\377\000\033[2J'; exit 1`, "exit status 1: \xff\x00\x1b[2J"}, // [printable] is for the verdict
		{"its input is empty", "read line && exit 1; exit 0", ""},
		{"its directory is the root", `test "$(pwd)" = / `, ""},
		{"it has no terminal", "true </dev/tty && exit 1; exit 0", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sh(tt.script)
			_, err := within(t, 10*time.Second, p)
			wants(t, err, tt.why)
			wants(t, p.close(), "")
		})
	}
}

// TestCommandInherits: neither the environment of this process nor its files.
func TestCommandInherits(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := sh(`env | grep -Ev '^(PATH|LC_ALL|PWD|SHLVL|_|OLDPWD)=' && exit 1; readlink /proc/$$/fd/$1 && exit 2; exit 0`, strconv.Itoa(int(file.Fd())))
	_, err = within(t, 10*time.Second, p)
	wants(t, err, "")
}

func TestCommandDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := file("plain", "#!/bin/sh\n", 0o644)
	lost := file("lost", "#!/no/such/shell\n", 0o755)
	text := file("text", "exit 0\n", 0o755)
	for _, tt := range []struct{ path, why string }{
		{"/no/such/check", "/no/such/check does not exist"},
		{plain + "/check", "start: fork/exec " + plain + "/check: not a directory"},
		{plain, plain + " may not be executed: permission denied"},
		{dir, dir + " may not be executed: permission denied"},
		{lost, lost + " cannot start: the interpreter in its first line does not exist"},
		{text, text + " is neither a program nor a script with #! at its beginning"},
		{"/bin/\x00sh", "start: fork/exec /bin/\x00sh: invalid argument"},
	} {
		_, err := within(t, 10*time.Second, newCommandProbe([]string{tt.path}))
		wants(t, err, tt.why)
	}
}

// TestCommandHangs: at the timeout everything in the session of the check is killed, whatever it does about signals and process groups.
func TestCommandHangs(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		pids         int
	}{
		{"itself", `echo $$ >$1; echo waiting; exec sleep 300`, 1},
		{"deaf to signals", `trap '' TERM INT HUP; echo $$ >$1; echo waiting; while :; do sleep 300; done`, 1},
		{"in a child", `sleep 300 & echo $$ $! >$1; echo waiting; wait`, 2},
		{"in a child of its own process group", `timeout 300 sh -c 'echo $PPID $$ >$1; echo waiting; sleep 300; :' sh $1; :`, 2},
		{"stopped", `echo $$ >$1; echo waiting; kill -STOP $$`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pids")
			p := sh(tt.script, file)
			files := len(openFiles(t))
			took, err := within(t, 300*time.Millisecond, p)
			wants(t, err, "not done within 300ms: waiting")
			if took > 3*time.Second {
				t.Errorf("took %s", took)
			}
			for _, pid := range pidsIn(t, file, tt.pids) {
				ended(t, pid)
			}
			if now := openFiles(t); len(now) > files {
				t.Errorf("%d open files before, now %v", files, now)
			}
			wants(t, p.close(), "")
		})
	}
}

// TestCommandForks: what is left in the background neither delays the check nor stays.
func TestCommandForks(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"holding its output", `sleep 300 & echo $! >$1`},
		{"silently", `sleep 300 >/dev/null 2>&1 & echo $! >$1`},
		{"in a process group of its own", `timeout 300 sh -c 'echo $$ >$1; sleep 300; :' sh $1 & until test -s $1; do sleep 0.01; done`},
		{"writing without end", `(while :; do echo more; done) & echo $! >$1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pids")
			took, err := within(t, 10*time.Second, sh(tt.script, file))
			wants(t, err, "")
			if took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			ended(t, pidsIn(t, file, 1)[0])
		})
	}
}

// TestCommandEscapes: a process in a session of its own stays, as documented, and delays nothing, though it holds the output.
func TestCommandEscapes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	took, err := within(t, 10*time.Second, sh(`setsid sh -c 'echo $$ >$1; exec sleep 300' sh $1 & until test -s $1; do sleep 0.01; done; exit 4`, file))
	wants(t, err, "exit status 4")
	if took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	pid := pidsIn(t, file, 1)[0]
	if statOf(pid).session != pid {
		t.Errorf("process %d did not escape", pid)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("kill %d: %v", pid, err)
	}
	ended(t, pid)
}

// TestCommandFloods: 100 MB are read, so that the check can end, and 4 KiB of them kept.
func TestCommandFloods(t *testing.T) {
	const flood = `echo first; head -c 100000000 /dev/zero; `
	_, err := within(t, 60*time.Second, sh(flood+"exit 0"))
	wants(t, err, "")
	_, err = within(t, 60*time.Second, sh(flood+"exit 5"))
	wants(t, err, "exit status 5: first")

	took, err := within(t, 300*time.Millisecond, newCommandProbe([]string{"/bin/sh", "-c", "echo first; exec cat /dev/zero"}))
	wants(t, err, "not done within 300ms: first")
	if took > 3*time.Second {
		t.Errorf("took %s", took)
	}

	cmd := exec.Command("/bin/sh", "-c", "head -c 1000000 /dev/zero")
	out, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer out.finish()
	if <-out.done; len(out.kept) != maxBody || cap(out.kept) > 4*maxBody {
		t.Errorf("kept %d bytes in %d, want %d", len(out.kept), cap(out.kept), maxBody)
	}
}

// TestCommandUnkillable: a process that SIGKILL does not end fails the check, is not started again meanwhile, and Run does not wait for it for ever.
func TestCommandUnkillable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	p := sh(`echo $$ >>$1; exec sleep 300`, file)
	p.kill = func(int) {} // as if it waited for a file server that is gone
	p.unkillable = 50 * time.Millisecond
	r := New([]Check{{Name: "nfs", Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Fall: 3}}, slog.New(slog.DiscardHandler))
	r.checks[0].probe = p
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []Verdict
	err := r.Run(ctx, func(v Verdict) { got = append(got, v); cancel() })
	pid := pidsIn(t, file, 1)[0] // one, after three tries
	stays := "process " + strconv.Itoa(pid) + " does not end after SIGKILL"
	wants(t, err, "check nfs: "+stays)
	if len(got) != 1 || got[0].Healthy || got[0].Why != stays {
		t.Errorf("got %v", got)
	}
	left := p.left
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-left.over
	ended(t, pid)
	p.argv = []string{"/bin/true"}
	_, err = within(t, 10*time.Second, p)
	wants(t, err, "") // and goes on when it is gone
}

// TestCommandThatHangsInStart: execve(2) of a file on a server that is gone does not return, and there is no process to name.
func TestCommandThatHangsInStart(t *testing.T) {
	p := newCommandProbe([]string{"/mnt/check"})
	p.left = &process{over: make(chan struct{})}
	_, err := within(t, 10*time.Second, p)
	wants(t, err, "/mnt/check can be neither started nor stopped")
	close(p.left.over)
	_, err = within(t, 10*time.Second, p)
	wants(t, err, "/mnt/check does not exist")
}

// TestRunKillsOnCancel: Run comes back soon, and nothing of the check is left.
func TestRunKillsOnCancel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	r := New([]Check{{
		Name: "slow", Interval: time.Millisecond, Timeout: time.Hour,
		Command: []string{"/bin/sh", "-c", `trap '' TERM; sleep 300 & echo $$ $! >$1; wait`, "sh", file},
	}}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx, func(v Verdict) { t.Errorf("got %v", v) }) }()
	pids := pidsIn(t, file, 2)
	cancel()
	select {
	case err := <-ran:
		wants(t, err, "")
	case <-time.After(5 * time.Second):
		t.Fatal("Run does not return")
	}
	if s := statOf(pids[0]); s.state != 0 {
		t.Errorf("the program is in state %c after Run", s.state)
	}
	ended(t, pids[1])
	if left := children(); len(left) > 0 {
		t.Errorf("children left: %v", left)
	}
}

// TestKilledProcessLeavesNoProgram: when the process that runs a check is killed, the kernel kills the program.
func TestKilledProcessLeavesNoProgram(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), runsCheck+"=echo $$ >'"+file+"'; exec sleep 300")
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := pidsIn(t, file, 1)[0]
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	ended(t, pid)
}

// TestRunCommand: fit, unfit and fit again, as a file comes and goes; and two hundred tries leave no child, no thread-bound goroutine and no open file.
func TestRunCommand(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	var tries atomic.Int32
	counting := sh(`test -e $1 || { echo no flag; exit 1; }`, flag)
	r := New([]Check{{Name: "flag", Interval: time.Millisecond, Timeout: 10 * time.Second}}, slog.New(slog.DiscardHandler))
	r.checks[0].probe = countingProbe{counting, &tries}
	files := len(openFiles(t))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var got []string
	err := r.Run(ctx, func(v Verdict) {
		got = append(got, strconv.FormatBool(v.Healthy)+" "+v.Why)
		switch len(got) {
		case 1, 3:
			if err := os.WriteFile(flag, nil, 0o600); err != nil {
				t.Error(err)
			}
		case 2:
			if err := os.Remove(flag); err != nil {
				t.Error(err)
			}
		case 4:
			cancel()
		}
	})
	wants(t, err, "")
	want := "false exit status 1: no flag; true ; false exit status 1: no flag; true "
	if strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	for tries.Load() < 200 {
		_ = countingProbe{counting, &tries}.try(t.Context())
	}
	if now := openFiles(t); len(now) > files {
		t.Errorf("%d open files before, now %v", files, now)
	}
	if left := children(); len(left) > 0 {
		t.Errorf("children left: %v", left)
	}
}

type countingProbe struct {
	probe
	n *atomic.Int32
}

func (c countingProbe) try(ctx context.Context) error {
	c.n.Add(1)
	return c.probe.try(ctx)
}

func openFiles(t *testing.T) (files []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		files = append(files, e.Name()+" "+to)
	}
	return files
}
