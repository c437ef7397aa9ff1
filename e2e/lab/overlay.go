package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Overlay gives the host a folder of its own, such as /usr, that begins as the one it shares with the lab: what is written there is kept in the host's
// /run, so the next boot is without it. It skips the test where the kernel has no overlayfs for us.
func (h *Host) Overlay(path string) {
	h.lab.t.Helper()
	name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
	upper, work := "/run/overlay/"+name+"/upper", "/run/overlay/"+name+"/work"
	err := errors.Join(os.MkdirAll(h.Path(upper), 0o755), os.MkdirAll(h.Path(work), 0o755), h.mounting(func() error {
		return unix.Mount("overlay", path, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", path, upper, work))
	}))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		h.lab.t.Skipf("SKIPPED, MISSING: overlay file system on %s: %v", path, err)
	}
	h.lab.check(err, "overlay "+path)
}

// OwnFiles makes files of /etc, which the host shares with the lab, copies of its own. Those that are not there are left out.
func (h *Host) OwnFiles(paths ...string) {
	h.lab.t.Helper()
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		h.lab.check(err, "look at "+path)
		text, err := os.ReadFile(path)
		h.lab.check(errors.Join(err, os.Remove(h.Path(path)), os.WriteFile(h.Path(path), text, info.Mode().Perm())), "copy "+path)
	}
}
