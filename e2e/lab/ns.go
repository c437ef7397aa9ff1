package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs fn on a thread of its own inside the network namespace ns: sockets that fn opens belong there for ever, whoever uses them
// later. Goroutines that fn starts do not run there. It returns what fn returns.
func Do(ns *os.File, fn func() error) error {
	runtime.LockOSThread()
	back, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	defer back.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", ns.Name(), err)
	}
	defer func() {
		if err := unix.Setns(int(back.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("lab: this thread cannot leave its network namespace: %v", err))
		}
		runtime.UnlockOSThread()
	}()
	return fn()
}

// namespaces are those of one host. Open descriptors alone keep them alive; a nil one is shared with the lab.
type namespaces struct {
	net, mnt, uts *os.File
}

// onThread runs fn on a thread that ends with it, so that fn may change the namespaces of its thread and leave them so.
func onThread(fn func() error) error {
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		failed <- fn()
	}()
	return <-failed
}

// unshare moves the calling thread into new namespaces of the given kinds (CLONE_NEW*) and returns descriptors of them.
func unshare(kinds int) (ns namespaces, err error) {
	if err := unix.Unshare(kinds); err != nil {
		return ns, fmt.Errorf("make namespaces: %w", err)
	}
	for _, n := range []struct {
		kind int
		name string
		file **os.File
	}{{unix.CLONE_NEWNET, "net", &ns.net}, {unix.CLONE_NEWNS, "mnt", &ns.mnt}, {unix.CLONE_NEWUTS, "uts", &ns.uts}} {
		if kinds&n.kind == 0 {
			continue
		}
		if *n.file, err = os.Open("/proc/thread-self/ns/" + n.name); err != nil {
			return ns, fmt.Errorf("hold a namespace: %w", err)
		}
	}
	return ns, nil
}

// enter moves the calling thread into the namespaces. The thread must end afterwards (onThread).
func (ns namespaces) enter() error {
	// A mount namespace can be entered only by a thread that shares its root and working directory with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter a host: %w", err)
	}
	for _, n := range []struct {
		file *os.File
		kind int
	}{{ns.mnt, unix.CLONE_NEWNS}, {ns.uts, unix.CLONE_NEWUTS}, {ns.net, unix.CLONE_NEWNET}} {
		if n.file == nil {
			continue
		}
		if err := unix.Setns(int(n.file.Fd()), n.kind); err != nil {
			return fmt.Errorf("enter a host: %w", err)
		}
	}
	return nil
}

func (ns namespaces) close() {
	for _, f := range []*os.File{ns.net, ns.mnt, ns.uts} {
		if f != nil {
			f.Close()
		}
	}
}
