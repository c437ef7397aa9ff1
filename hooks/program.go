package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// outputBytes is how much of a program's output is logged.
	outputBytes = 4 << 10
	// outputGrace is how long output is read after the program has exited; all that itself wrote is in the pipe by then.
	outputGrace = 100 * time.Millisecond
	// killGrace is how long a killed program has to be gone. One that hangs in the kernel, say on a dead file server, may never be.
	killGrace = time.Second
)

// run runs the program for one event and logs how it ended.
func (r *Runner) run(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.Timeout, fmt.Errorf("killed after %v", r.config.Timeout))
	defer cancel()
	began := time.Now()
	res := run(ctx, r.argv(e.Kind), r.environment(e))
	log := r.log(e).With("took", time.Since(began).Round(time.Millisecond))
	if len(res.output) > 0 {
		log = log.With("output", strings.ToValidUTF8(string(res.output), "\uFFFD"))
	}
	if res.dropped > 0 {
		log = log.With("dropped_bytes", res.dropped)
	}
	if res.left {
		log.Warn("hook left processes behind, they were killed")
	}
	if res.err != nil {
		log.Error("hook failed", "err", res.err)
		return
	}
	log.Info("hook done")
}

// environment is all that a program gets to know.
func (r *Runner) environment(e Event) []string {
	addresses, interfaces := make([]string, len(e.Addresses)), make([]string, len(e.Addresses))
	for i, a := range e.Addresses {
		addresses[i], interfaces[i], _ = strings.Cut(a, " dev ")
	}
	return []string{
		"VIPLEASE_EVENT=" + string(e.Kind),
		"VIPLEASE_VIP=" + e.VIP,
		"VIPLEASE_ADDRESSES=" + strings.Join(addresses, " "),
		"VIPLEASE_INTERFACES=" + strings.Join(interfaces, " "),
		"VIPLEASE_OLD_NODE=" + e.OldNode,
		"VIPLEASE_NEW_NODE=" + e.NewNode,
		"VIPLEASE_NODE=" + r.config.Node,
		"VIPLEASE_WHY=" + e.Why,
		"PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
	}
}

// result is how a program ended.
type result struct {
	err     error
	output  []byte // the first of it
	dropped int64  // bytes of output beyond that
	left    bool   // processes of its group were still there
}

// run runs a program until it exits, or kills it when ctx ends, whose cause is the error then. When it returns, no process of the
// program's group is left, except where the error says so.
func run(ctx context.Context, argv, environment []string) result {
	if err := vet(argv[0]); err != nil {
		return result{err: err}
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return result{err: fmt.Errorf("make a pipe: %w", err)}
	}
	defer ours.Close()
	cmd := exec.Cmd{
		Path:   argv[0],
		Args:   argv,
		Env:    environment,
		Dir:    "/",
		Stdout: theirs,
		Stderr: theirs,
		// A group of its own, so that all of it can be killed.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return result{err: explain(err, argv[0])}
	}
	said := make(chan result, 1)
	go func() { said <- read(ours) }()
	err, left := await(ctx, &cmd)
	_ = ours.SetReadDeadline(time.Now().Add(outputGrace)) // a process in a group of its own may hold the other end
	res := <-said
	res.err, res.left = err, left
	return res
}

// explain says what to do about a program that the kernel does not start.
func explain(err error, program string) error {
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("start: %w; a script must begin with a line such as #!/bin/sh", err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("start: %w; see whether the interpreter that the first line of %s names is there", err, program)
	}
	return fmt.Errorf("start: %w", err)
}

// read reads until the end of the output, or the deadline, and keeps the first of it.
func read(from io.Reader) (res result) {
	res.output, _ = io.ReadAll(io.LimitReader(from, outputBytes)) // it has no error but the deadline
	res.dropped, _ = io.Copy(io.Discard, from)
	return res
}

// await waits until the program has exited or ctx ends, kills what is left of its group, and says whether that was anything
// besides the program.
func await(ctx context.Context, cmd *exec.Cmd) (err error, left bool) {
	pid := cmd.Process.Pid
	exited := make(chan struct{})
	go func() {
		waitExited(pid)
		close(exited)
	}()
	select {
	case <-exited:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	// The program has not been reaped, so its number, which is that of its group, cannot be another's.
	_ = unix.Kill(-pid, unix.SIGKILL)
	timer := time.NewTimer(killGrace)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
		// Not reaped by this process; its goroutine ends when the kernel lets the program go.
		return fmt.Errorf("%w, but process %d does not end", err, pid), false
	}
	status := cmd.Wait()
	if err != nil {
		return err, false // the timeout was for all of them
	}
	// What was killed takes longer to be gone than this takes to ask. Were it not so, only the warning would be missed.
	return status, !errors.Is(unix.Kill(-pid, 0), unix.ESRCH)
}

// waitExited returns when a child has exited, and leaves it to be reaped.
func waitExited(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
