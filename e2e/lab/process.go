package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long the lab waits for anything that a healthy machine does at once.
const patience = 15 * time.Second

// process is one that the lab started and waits for.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// start runs cmd on the host, in a process group of its own. Its output goes to the host's log unless cmd says otherwise.
func (h *Host) start(cmd *exec.Cmd) (*process, error) {
	if cmd.Stdout == nil {
		cmd.Stdout = h.log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = h.log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A child is born in the namespaces of the thread that makes it.
	h.mu.RLock()
	defer h.mu.RUnlock()
	err := onThread(func() error {
		if err := h.ns.enter(); err != nil {
			return err
		}
		if err := h.dropCapabilities(); err != nil {
			return err
		}
		return cmd.Start()
	})
	if err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", filepath.Base(cmd.Path), h.Name, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends to the process alone, not to its children.
func (p *process) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// pause stops the process in its tracks and waits until it has stopped: each of its threads stops by itself, and until then it goes on, which may take
// milliseconds on a busy machine.
func (p *process) pause() error {
	p.signal(syscall.SIGSTOP)
	return await(patience, func() error {
		if !p.running() {
			return nil
		}
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			stat, err := os.ReadFile(task)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // the thread has ended
			}
			if err != nil {
				return err
			}
			// "pid (name) state ...": the name may hold anything (proc_pid_stat(5)).
			if _, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(" ")); !bytes.HasPrefix(state, []byte("T")) {
				return fmt.Errorf("%s is in state %.1s", task, state)
			}
		}
		return nil
	})
}

// kill ends the process and its group, and waits.
func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Run runs a command on the host to its end, at most 30 s, and returns its standard output. The error holds its exit status (an
// *exec.ExitError) and what it wrote to standard error. Safe for concurrent use.
func (h *Host) Run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // a grandchild that keeps the pipes open must not keep us
	p, err := h.start(cmd)
	if err != nil {
		return "", err
	}
	<-p.done
	if p.err != nil {
		return out.String(), fmt.Errorf("%s on %s: %w: %s", filepath.Base(name), h.Name, p.err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// pids are the processes on the host now: those in its network namespace.
func (h *Host) pids() []int {
	if h.netns == nil {
		return nil
	}
	own, err := h.netns.Stat()
	if err != nil {
		return nil
	}
	var found []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if info, err := os.Stat(dir + "/ns/net"); err == nil && os.SameFile(info, own) {
			var pid int
			fmt.Sscanf(filepath.Base(dir), "%d", &pid)
			found = append(found, pid)
		}
	}
	return found
}

// signalAll sends to every process on the host until none is left that has not had it: a process may be forking.
func (h *Host) signalAll(s syscall.Signal) {
	sent := map[int]bool{}
	for news := true; news; {
		news = false
		for _, pid := range h.pids() {
			if !sent[pid] {
				sent[pid], news = true, true
				syscall.Kill(pid, s)
			}
		}
	}
}

// killAll ends every process on the host and waits until they are gone.
func (h *Host) killAll() {
	h.signalAll(syscall.SIGKILL)
	err := await(patience, func() error {
		if left := h.pids(); len(left) > 0 {
			return fmt.Errorf("processes %v are still there", left)
		}
		return nil
	})
	if err != nil {
		h.lab.t.Logf("lab: end all of %s: %v", h.Name, err)
	}
}

// Freeze stops every process on the host, as a hypervisor's pause does, except that the kernel goes on: it answers ARP, and
// addresses with a lifetime run out.
func (h *Host) Freeze() { h.signalAll(syscall.SIGSTOP) }

// Thaw lets them go on.
func (h *Host) Thaw() { h.signalAll(syscall.SIGCONT) }

// Logs is everything that processes on the host wrote so far.
func (h *Host) Logs() string {
	text, err := os.ReadFile(h.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail is the last lines of the host's log under a heading, or nothing when it is empty.
func (h *Host) tail(lines int) string {
	all := strings.Split(strings.TrimRight(h.Logs(), "\n"), "\n")
	if len(all) == 1 && all[0] == "" {
		return h.Name + ": no log"
	}
	if skipped := len(all) - lines; skipped > 0 {
		all = append([]string{fmt.Sprintf("(%d lines more)", skipped)}, all[skipped:]...)
	}
	return "--- " + h.Name + "\n" + strings.Join(all, "\n")
}

var errLate = errors.New("gave up waiting")

// await asks again every few milliseconds until try succeeds, and returns its last error when it has not after limit.
func await(limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w after %v: %w", errLate, limit, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
