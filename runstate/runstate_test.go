package runstate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func opened(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

var whole = State{
	Boot: "boot-1", Node: "a", Reg: "r-2", MemberRev: 12, Lease: 77, TTL: 3, Cluster: 1 << 63, Revision: 40,
	Known: []string{"r-1", "r-2"}, Addresses: []string{"192.0.2.1/32 dev net1"},
}

func TestStateIsWhatWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "www") // neither folder is there
	d := opened(t, path)
	if got, err := d.Load("boot-1", "a"); err != nil || !reflect.DeepEqual(got, State{}) {
		t.Errorf("before the first: %+v, %v", got, err)
	}
	if err := d.Save(whole); err != nil {
		t.Fatal(err)
	}
	d.Close()
	want := whole
	want.V = Format
	if got, err := opened(t, path).Load("boot-1", "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the next daemon finds %+v, %v", got, err)
	}
}

// What does not belong to this boot and node is nothing to continue; but addresses of another node name are still this host's to sweep.
func TestOnlyTheSameBootAndNodeIsContinued(t *testing.T) {
	d := opened(t, t.TempDir())
	if err := d.Save(whole); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, boot, node string
		want             State
	}{
		{"another boot", "boot-2", "a", State{}},
		{"another node", "boot-1", "b", State{Addresses: whole.Addresses}},
		{"both", "boot-2", "b", State{}},
	} {
		if got, err := d.Load(tt.boot, tt.node); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestDamagedStateIsNothingToContinue(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	if err := d.Save(whole); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, "state.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, damaged := range map[string]string{
		"empty":                "",
		"cut short":            text[:len(text)/2],
		"zeros, after a crash": strings.Repeat("\x00", len(text)),
		"not JSON":             "boot-1 a r-2\n",
		"another shape":        `["boot-1"]`,
		"a field's type":       strings.Replace(text, `"lease":77`, `"lease":"77"`, 1),
		"a newer version":      strings.Replace(text, `"v":1`, `"v":2`, 1),
		"no version":           strings.Replace(text, `"v":1,`, ``, 1),
	} {
		if damaged == text {
			t.Fatalf("%s: nothing was damaged", name)
		}
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Load("boot-1", "a"); err != nil || !reflect.DeepEqual(got, State{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err := d.Save(whole); err != nil {
			t.Errorf("%s: it cannot be replaced: %v", name, err)
		}
	}
}

func TestOneDaemonHasTheDirectory(t *testing.T) {
	path := t.TempDir()
	first := opened(t, path)
	if d, err := Open(path); !errors.Is(err, ErrLocked) || d != nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("the second: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, path) // a lock ends with its process; the file may stay
}

// A reader finds one state or another, never half of one, and what an attempt has left does not stand in the way of the next.
// A child that is being forked has the lock's file open until it executes its program.
func TestClosedDirectoryIsFreeWhateverAChildHasOpen(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	child, err := unix.Dup(int(d.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, path)
}

func TestStateIsReplacedAsAWhole(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	if err := os.WriteFile(filepath.Join(path, "state.json.new"), []byte(strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	long := whole
	long.Known = []string{strings.Repeat("r", 1<<16)}
	stop, written := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			if err = d.Save(long); err == nil {
				err = d.Save(whole)
			}
		}
		written <- err
	}()
	for n := 0; n < 300; {
		got, err := d.Load("boot-1", "a")
		if err != nil {
			t.Errorf("%v", err)
			break
		}
		if got.Reg == "" && n == 0 {
			continue // the first is still to come
		}
		n++
		if got.Reg != "r-2" || len(got.Known) != 1 && len(got.Known) != 2 {
			t.Errorf("half of a state: %+v", got)
			break
		}
	}
	close(stop)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(path, "state.json.new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left over: %v", err)
	}
}

// Leases in the state would let somebody else end the registration.
func TestStateIsForItsOwnerAlone(t *testing.T) {
	path := t.TempDir()
	if err := opened(t, path).Save(whole); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(path, "state.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state.json: %v, %v", info.Mode(), err)
	}
}

func TestErrorsSayWhatCannotBeDone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "www")); err == nil || !strings.Contains(err.Error(), "make the runtime directory") || !strings.Contains(err.Error(), file) {
		t.Errorf("no directory: %v", err)
	}
	path := t.TempDir()
	d := opened(t, path)
	if err := os.Mkdir(filepath.Join(path, "state.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load("boot-1", "a"); err == nil || !strings.Contains(err.Error(), "read the state") || !strings.Contains(err.Error(), path) {
		t.Errorf("a state that cannot be read: %v", err)
	}
	if err := d.Save(whole); err == nil || !strings.Contains(err.Error(), "write the state") || !strings.Contains(err.Error(), path) {
		t.Errorf("a state that cannot be replaced: %v", err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(whole); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "write the state") {
		t.Errorf("a directory that is gone: %v", err)
	}
}
