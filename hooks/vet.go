package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostLinks is how many symbolic links are followed on the way to a program, as in the kernel (MAXSYMLINKS, include/linux/namei.h).
const mostLinks = 40

// ErrMissing says that a program is not there.
var ErrMissing = errors.New("does not exist")

// Vet refuses a program as [New] does, for who runs others with the same privileges. The error, which says what to do, matches [ErrMissing] if the program is
// not there.
func Vet(program string) error { return vet(program) }

// vet refuses a program that cannot be run, or that somebody other than root and the user of this process could replace.
func vet(program string) error {
	if !filepath.IsAbs(program) {
		return fmt.Errorf("%q is not an absolute path; write where the program is, such as /etc/viplease/hooks/acquired", program)
	}
	var (
		at    = "/"
		rest  = elements(program)
		links int
	)
	if err := vetDirectory(at); err != nil {
		return err
	}
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s %w", next, ErrMissing)
		}
		if err != nil {
			return err
		}
		if err := vetOwner(next, info); err != nil {
			return err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(next)
			if err != nil {
				return err
			}
			if links++; links > mostLinks {
				return fmt.Errorf("%s leads through too many symbolic links", program)
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(elements(target), rest...)
		case len(rest) == 0:
			return vetFile(next, info)
		default:
			if err := vetDirectory(next); err != nil {
				return err
			}
			at = next
		}
	}
	return fmt.Errorf("%s is a directory; write a program in it", program)
}

// elements are the parts of a path; ".." is one of them, since what it means depends on links before it.
func elements(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

func vetDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("the directory %s is writable by others; run: chmod o-w %s", path, path)
	}
	return nil
}

func vetFile(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return fmt.Errorf("%s is a directory; write a program in it", path)
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s is writable by its group or by others (%v); run: chmod go-w %s", path, mode.Perm(), path)
	case unix.Access(path, unix.X_OK) != nil:
		return fmt.Errorf("%s is not executable (%v); run: chmod +x %s", path, mode.Perm(), path)
	}
	return nil
}

// vetOwner refuses what belongs to somebody who could change it, or change its mode.
func vetOwner(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner == 0 || owner == uint32(os.Geteuid()) || owner == nobody && !namesEveryone() {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d, who is neither root nor the daemon's; run: chown %d %s", path, owner, os.Geteuid(), path)
}

// nobody is the owner that a user namespace shows for those outside it (overflowuid, Documentation/admin-guide/sysctl/kernel.rst).
const nobody = 65534

// namesEveryone says that this user namespace has all users, as the first one does. See user_namespaces(7).
func namesEveryone() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
}
