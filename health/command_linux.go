package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// unkillable is how long a process may take to end after SIGKILL. It takes milliseconds, unless the process waits in the kernel.
	unkillable = time.Second

	// lastWords is how long output is still read after the program has ended. What it wrote itself is in the pipe by then; only a process that it
	// forked can keep the pipe open.
	lastWords = 100 * time.Millisecond
)

// environment is all that a program gets. NOTIFY_SOCKET and the like are between the service manager and this process.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}

// commandProbe runs one program at a time.
type commandProbe struct {
	argv []string
	left *process // did not end after SIGKILL; nil: none

	kill       func(leader int) // endSession, unless a test wants a process to survive
	unkillable time.Duration    // the constant, unless a test cannot wait so long
}

func newCommandProbe(argv []string) *commandProbe {
	return &commandProbe{argv: argv, kill: endSession, unkillable: unkillable}
}

func (c *commandProbe) try(ctx context.Context) error {
	if err := c.close(); err != nil {
		return err
	}
	p := &process{over: make(chan struct{})}
	go p.live(ctx, c.argv, c.kill)
	select {
	case <-p.over:
		return p.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(c.unkillable)
	defer timer.Stop()
	select {
	case <-p.over:
		return p.err
	case <-timer.C:
		c.left = p
		return c.close()
	}
}

// close tells whether a process of an earlier try is still there, without waiting for it.
func (c *commandProbe) close() error {
	if c.left == nil {
		return nil
	}
	select {
	case <-c.left.over:
		c.left = nil
		return nil
	default:
	}
	if pid := c.left.pid.Load(); pid != 0 {
		return fmt.Errorf("process %d does not end after SIGKILL", pid)
	}
	return fmt.Errorf("%s can be neither started nor stopped", c.argv[0]) // its file is where the kernel waits
}

// process is one run of a program.
type process struct {
	pid  atomic.Int64  // 0: not started
	over chan struct{} // closed when it is reaped and nothing of it runs any more
	err  error         // why it failed; to be read when over is closed
}

// live starts the program, kills it when ctx ends, waits for it, and kills what it has left running.
func (p *process) live(ctx context.Context, argv []string, kill func(leader int)) {
	defer close(p.over)
	runtime.LockOSThread() // Pdeathsig comes when the thread ends that has forked, and any other goroutine might end it
	defer runtime.UnlockOSThread()
	cmd := &exec.Cmd{
		Path: argv[0], Args: argv, Env: environment, Dir: "/",
		SysProcAttr: &unix.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL},
	}
	out, err := start(cmd)
	if err != nil {
		p.err = err
		return
	}
	pid := cmd.Process.Pid
	p.pid.Store(int64(pid))
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		kill(pid)
	})
	awaitEnd(pid)
	// From here to Wait it is a zombie, so that its number cannot belong to anybody else: that is what makes it safe to kill by that number.
	onTime := stop()
	if !onTime {
		<-killed
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	if held := out.finish(); held {
		kill(pid)
	}
	err = cmd.Wait()
	switch {
	case !onTime:
		p.err = fmt.Errorf("%w%s", context.Cause(ctx), firstLine(out.kept))
	case err != nil:
		p.err = fmt.Errorf("%w%s", err, firstLine(out.kept))
	}
}

// start starts cmd with its output in a pipe.
func start(cmd *exec.Cmd) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	_ = w.Close() // the program has its own
	if err != nil {
		_ = r.Close()
		return nil, explain(cmd.Path, err)
	}
	out := &output{pipe: r, done: make(chan struct{})}
	go out.read()
	return out, nil
}

// explain says what is wrong with a program that the kernel does not start; see execve(2).
func explain(path string, err error) error {
	_, missing := os.Stat(path)
	switch {
	case errors.Is(missing, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", path)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s cannot start: the interpreter in its first line does not exist", path)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s may not be executed: permission denied", path)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%s is neither a program nor a script with #! at its beginning", path)
	}
	return fmt.Errorf("start: %w", err)
}

// awaitEnd waits until the process has ended, and does not reap it.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// output is what a program writes.
type output struct {
	pipe *os.File
	done chan struct{} // closed when nothing is read any more
	kept []byte        // the first maxBody bytes; to be read when done is closed
	err  error         // likewise: why reading ended
}

// read reads to the end, so that the program never waits, and keeps the beginning.
func (o *output) read() {
	defer close(o.done)
	buf := make([]byte, 32<<10)
	for {
		n, err := o.pipe.Read(buf)
		o.kept = append(o.kept, buf[:min(n, maxBody-len(o.kept))]...)
		if err != nil {
			o.err = err
			return
		}
	}
}

// finish is called when the program has ended. It tells whether somebody still holds the pipe.
func (o *output) finish() (held bool) {
	_ = o.pipe.SetReadDeadline(time.Now().Add(lastWords))
	<-o.done
	_ = o.pipe.Close()
	return errors.Is(o.err, os.ErrDeadlineExceeded)
}
