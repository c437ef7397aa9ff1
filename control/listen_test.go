package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }

	t.Run("mode", func(t *testing.T) {
		old := unix.Umask(0)
		defer unix.Umask(old)
		for _, mode := range []fs.FileMode{0, 0o600, 0o666} {
			ln, err := Listen(path("mode"), mode, NoGroup)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path("mode"))
			if err != nil {
				t.Fatal(err)
			}
			want := mode
			if want == 0 {
				want = 0o660
			}
			if info.Mode().Perm() != want {
				t.Errorf("mode %o, want %o", info.Mode().Perm(), want)
			}
			ln.Close()
		}
	})
	t.Run("group", func(t *testing.T) {
		gid := 4321 // root may give it to any
		if os.Getuid() != 0 {
			gid = os.Getgid()
			if _, err := Listen(path("foreign"), 0, 0); err == nil || !strings.Contains(err.Error(), "is not in group 0") {
				t.Errorf("given to a group that the user is not in: %v", err)
			}
			if _, err := os.Stat(path("foreign")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a socket is left: %v", err)
			}
		}
		ln, err := Listen(path("group"), 0, gid)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		var info unix.Stat_t
		if err := unix.Stat(path("group"), &info); err != nil || int(info.Gid) != gid || info.Mode&0o777 != 0o660 {
			t.Errorf("group %d, mode %o, %v", info.Gid, info.Mode&0o777, err)
		}
	})
	t.Run("two", func(t *testing.T) {
		first, err := Listen(path("two"), 0, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if _, err := Listen(path("two"), 0, NoGroup); !errors.Is(err, ErrInUse) {
			t.Errorf("second: %v", err)
		}
		if _, err := net.Dial("unix", path("two")); err != nil {
			t.Errorf("the first is gone: %v", err)
		}
	})
	t.Run("another is about to", func(t *testing.T) { // it has the lock, but no socket yet
		lock, err := lockSocket(path("soon"))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if _, err := Listen(path("soon"), 0, NoGroup); !errors.Is(err, ErrInUse) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a child still has the lock open", func(t *testing.T) { // between its fork and its exec
		first, err := Listen(path("child"), 0, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		child, err := unix.Dup(int(first.lock.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(child)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second, err := Listen(path("child"), 0, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		second.Close()
	})
	t.Run("live without lock", func(t *testing.T) {
		ln, err := net.Listen("unix", path("live"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if _, err := Listen(path("live"), 0, NoGroup); !errors.Is(err, ErrInUse) {
			t.Errorf("%v", err)
		}
	})
	t.Run("stale", func(t *testing.T) {
		if err := errors.Join(leaveStale(path("stale")), leaveStale(path("stale.new"))); err != nil {
			t.Fatal(err)
		}
		ln, err := Listen(path("stale"), 0, NoGroup)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if _, err := net.Dial("unix", path("stale")); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		if err := os.WriteFile(path("file"), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Listen(path("file"), 0, NoGroup)
		if err == nil || !strings.Contains(err.Error(), "a file that is no socket is there") {
			t.Errorf("%v", err)
		}
		if text, err := os.ReadFile(path("file")); string(text) != "precious" {
			t.Errorf("the file now holds %q (%v)", text, err)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		if _, err := Listen(path("none/s"), 0, NoGroup); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
	t.Run("too long", func(t *testing.T) {
		_, err := Listen(path(strings.Repeat("x", 120)), 0, NoGroup)
		if err == nil || !strings.Contains(err.Error(), "at most 103 are possible") {
			t.Errorf("%v", err)
		}
	})
}

// Of many daemons that start at once over a stale socket, exactly one gets it.
func TestListenRace(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := leaveStale(socket); err != nil {
		t.Fatal(err)
	}
	const daemons = 20
	won := make(chan *Listener, daemons)
	var wg sync.WaitGroup
	for range daemons {
		wg.Go(func() {
			ln, err := Listen(socket, 0, NoGroup)
			if err == nil {
				won <- ln
			} else if !errors.Is(err, ErrInUse) {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d daemons have the socket", len(won))
	}
	for range len(won) {
		(<-won).Close()
	}
}
