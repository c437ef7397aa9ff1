package lab

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCapabilities takes what Host.Without says from the calling thread's bounding set, and so from all that it starts. The thread must end afterwards
// (onThread).
func (h *Host) dropCapabilities() error {
	for _, c := range h.Without {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// MountTmpfs puts an empty file system of the given size, in bytes, over a folder of the host's /run, which is made where it is missing. The next boot
// is without it.
func (h *Host) MountTmpfs(path string, size int) {
	h.lab.t.Helper()
	h.lab.check(errors.Join(os.MkdirAll(h.Path(path), 0o755), h.mounting(func() error {
		return unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", size))
	})), "mount a file system on "+path)
}

// Remount makes what MountTmpfs mounted read-only, or writable again.
func (h *Host) Remount(path string, readOnly bool) {
	h.lab.t.Helper()
	flags := uintptr(unix.MS_REMOUNT)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	h.lab.check(h.mounting(func() error { return unix.Mount("", path, "", flags, "") }), "remount "+path)
}

// mounting runs fn in the host's mount namespace.
func (h *Host) mounting(fn func() error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return onThread(func() error {
		if err := h.ns.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// ExitStatus is how the daemon that was started last ended, as a shell writes it; 0 also while it runs.
func (n *Node) ExitStatus() int {
	if n.daemon == nil || n.Running() {
		return 0
	}
	return exitStatus(n.daemon.cmd.ProcessState.Sys().(syscall.WaitStatus))
}
