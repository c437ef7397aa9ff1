package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/judge"
	"viplease/e2e/lab"
)

// The faults of daemons and their machines.

// patience is how long anything may take that a cluster at work does at once.
const patience = 15 * time.Second

// daemonOf is the fault's node, whose daemon must run: nobody but the fault itself may end it.
func (w *World) daemonOf(f Fault) (*lab.Node, broken, error) {
	n := w.Nodes[f.Node]
	b := broken{target: n.Name}
	if !w.Running(n) {
		return n, b, errors.New("the daemon had ended by itself")
	}
	return n, b, nil
}

func killed(_ context.Context, w *World, f Fault) (broken, error) {
	n, b, err := w.daemonOf(f)
	if err != nil {
		return b, err
	}
	w.locked(n.Kill)
	b.shows = func() error { return w.orphans(n, f.For) }
	b.mend = func() error { w.locked(func() { n.Restart() }); return nil }
	return b, nil
}

func paused(_ context.Context, w *World, f Fault) (broken, error) {
	n, b, err := w.daemonOf(f)
	if err != nil {
		return b, err
	}
	w.locked(n.Pause)
	b.shows = func() error {
		if state, err := processState(n.Pid()); err != nil || state != "T" {
			return noEffect(fmt.Sprintf("the process is in state %s (%v)", state, err))
		}
		return w.orphans(n, f.For)
	}
	b.mend = func() error { w.locked(n.Continue); return nil }
	return b, nil
}

// processState is the letter of proc(5)'s stat.
func processState(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state, nil
}

// orphans is an error when a daemon that has done nothing for this time has addresses up that the kernel should have ended. The kernel does that on a work
// queue, so a busy machine is given some time more.
func (w *World) orphans(n *lab.Node, silent time.Duration) error {
	const busy = 2 * time.Second
	if silent < cluster.Hold+cluster.Late+busy {
		return nil
	}
	if left := cluster.Loads(w.Judge.Holders())[n.Name]; left > 0 {
		return fmt.Errorf("%d addresses are still up on %s %v after its daemon's last moment", left, n.Name, silent)
	}
	return nil
}

func stopped(ctx context.Context, w *World, f Fault) (broken, error) {
	n, b, err := w.daemonOf(f)
	if err != nil {
		return b, err
	}
	w.locked(func() { n.Signal(syscall.SIGTERM) })
	select {
	case <-n.Done():
	case <-ctx.Done():
		return b, nil
	case <-time.After(patience):
		return b, fmt.Errorf("the daemon still runs %v after SIGTERM", patience)
	}
	b.mend = func() error { w.locked(func() { n.Restart() }); return nil }
	return b, nil
}

func reloaded(_ context.Context, w *World, f Fault) (broken, error) {
	n, b, err := w.daemonOf(f)
	if err != nil {
		return b, err
	}
	const says = "msg=re-executing"
	pid, said := n.Pid(), strings.Count(n.Logs(), says)
	w.locked(func() { n.Signal(syscall.SIGHUP) })
	b.shows = func() error {
		switch {
		case !w.Running(n) || n.Pid() != pid:
			return errors.New("the daemon has ended")
		case strings.Count(n.Logs(), says) == said:
			return noEffect("it has not re-executed itself yet")
		}
		return nil
	}
	return b, nil
}

func drained(ctx context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	b := broken{target: n.Name}
	asked := w.command(ctx, f, "drain", n.Name)
	b.shows = func() error {
		if there, err := w.get(ctx, f, "drains/"+n.Name); err != nil || len(there) == 0 {
			return noEffect(fmt.Sprintf("it is not drained: %v", errors.Join(asked, err)))
		}
		return nil
	}
	b.mend = func() (err error) {
		// The command that failed may have drained it all the same, and etcd may be away now.
		for range 60 {
			if err = w.command(ctx, f, "undrain", n.Name); err == nil || !lasts(ctx, time.Second) {
				return err
			}
			f.Node++
		}
		return err
	}
	return b, nil
}

// command runs viplease as an operator does: on this node, or on the next one that is not dead.
func (w *World) command(ctx context.Context, f Fault, args ...string) error {
	n := w.Nodes[f.Node%len(w.Nodes)]
	for n.Dead() { // one is whole
		f.Node++
		n = w.Nodes[f.Node%len(w.Nodes)]
	}
	done := make(chan error, 1)
	go func() {
		_, err := n.Viplease(args...)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func dead(_ context.Context, w *World, f Fault) (broken, error) {
	n, b, err := w.daemonOf(f)
	if err != nil {
		return b, err
	}
	silent, err := w.silence(w.Client.NetNS(), n.LAN.Addr4())
	if err != nil {
		return b, err
	}
	w.locked(func() { w.Die(n) })
	b.showed = silent
	b.mend = func() (err error) {
		w.locked(func() {
			// The judge follows the boot from the first address on.
			if err = w.Judge.RemoveMachine(n.Name); err == nil {
				n.Return()
				err = w.Judge.AddMachine(judge.Machine{Name: n.Name, NS: n.NetNS()})
			}
			if err == nil {
				<-n.Done() // the daemon was killed
				n.Restart()
			}
		})
		return err
	}
	return b, nil
}
