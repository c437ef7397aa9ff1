package hooks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVet(t *testing.T) {
	d := dir(t)
	sub := func(name string, mode os.FileMode) string {
		t.Helper()
		p := filepath.Join(d, name)
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	file := func(dir, name string, mode os.FileMode) string {
		t.Helper()
		p := script(t, dir, name, "")
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	link := func(target, dir, name string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.Symlink(target, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	safe, open, sticky := sub("safe", 0o755), sub("open", 0o777), sub("sticky", 0o777|os.ModeSticky)
	good := file(safe, "good", 0o755)
	bad := file(safe, "others", 0o757)
	group := file(safe, "group", 0o775)
	plain := file(safe, "plain", 0o644)
	inOpen := file(open, "good", 0o755)
	link("loop", safe, "loop")

	for name, c := range map[string]struct{ path, err string }{
		"good":                         {good, ""},
		"for the daemon alone":         {file(safe, "private", 0o500), ""},
		"in a sticky directory":        {file(sticky, "good", 0o755), ""},
		"link":                         {link(good, safe, "link"), ""},
		"relative link":                {link("../safe/./good", sticky, "relative"), ""},
		"link to a directory":          {filepath.Join(link("safe", d, "linked"), "good"), ""},
		"no path":                      {"true", `"true" is not an absolute path`},
		"empty":                        {"", "is not an absolute path"},
		"root":                         {"/", "is a directory"},
		"missing":                      {filepath.Join(safe, "missing"), filepath.Join(safe, "missing") + " does not exist"},
		"dangling link":                {link("nothing", safe, "dangling"), filepath.Join(safe, "nothing") + " does not exist"},
		"links in a circle":            {filepath.Join(safe, "loop"), "too many symbolic links"},
		"directory":                    {safe, "is a directory"},
		"below a file":                 {filepath.Join(good, "x"), "is not a directory"},
		"device":                       {"/dev/null", "/dev/null is not a file"},
		"not executable":               {plain, "run: chmod +x " + plain},
		"writable by others":           {bad, "run: chmod go-w " + bad},
		"writable by its group":        {group, "run: chmod go-w " + group},
		"link to a writable one":       {link(bad, safe, "tobad"), "run: chmod go-w " + bad},
		"in a writable directory":      {inOpen, "run: chmod o-w " + open},
		"below a writable directory":   {file(sub("open/deep", 0o755), "good", 0o755), "run: chmod o-w " + open},
		"link in a writable directory": {link(good, open, "link"), "run: chmod o-w " + open},
		"through a writable directory": {link(filepath.Join(open, "link"), safe, "through"), "run: chmod o-w " + open},
		"up from a writable directory": {open + "/../safe/good", "run: chmod o-w " + open},
	} {
		t.Run(name, func(t *testing.T) {
			err := vet(c.path)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%s: error %v, want %q", c.path, err, c.err)
			}
		})
	}
}

func TestVetOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file somebody else's")
	}
	const other = 12345
	d := dir(t)
	file, sub := script(t, d, "hook", ""), filepath.Join(d, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	deep := script(t, sub, "hook", "")
	link := filepath.Join(d, "link")
	if err := os.Symlink(deep, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{file, sub} {
		if err := vet(deep); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(p, other, -1); err != nil {
			t.Skipf("cannot give a file away here: %v", err)
		}
	}
	for _, c := range []struct{ path, culprit string }{{file, file}, {deep, sub}, {link, sub}} {
		if err := vet(c.path); err == nil || !strings.Contains(err.Error(), c.culprit+" belongs to user 12345") {
			t.Errorf("%s: error %v, want that %s belongs to another user", c.path, err, c.culprit)
		}
	}
}

func TestNewNamesEveryProgramThatIsRefused(t *testing.T) {
	d := dir(t)
	_, err := New(Config{
		Acquired: []string{script(t, d, "good", "")},
		Released: []string{filepath.Join(d, "missing"), "x"},
		Fault:    []string{"relative"},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"hook released: " + d + "/missing does not exist", `hook fault: "relative" is not an absolute path`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hook acquired") {
		t.Errorf("error %q names the good one", err)
	}
	if _, err := New(Config{}); err != nil {
		t.Errorf("no programs at all: %v", err)
	}
	if _, err := New(Config{Timeout: -1}); err == nil {
		t.Error("a negative timeout is taken")
	}
}

// The permissions are looked at before each run, not at the start alone.
func TestVetAtEachRun(t *testing.T) {
	b := newBench(t, "", nil).start(t)
	b.Fire(event("1"))
	b.log.next(t, "hook done")
	if err := os.Chmod(b.config.Acquired[0], 0o757); err != nil {
		t.Fatal(err)
	}
	b.Fire(event("2"))
	if err := b.log.next(t, "hook failed")["err"].(string); !strings.Contains(err, "run: chmod go-w") {
		t.Errorf("error %q", err)
	}
	if err := os.Chmod(b.config.Acquired[0], 0o755); err != nil {
		t.Fatal(err)
	}
	b.Fire(event("3"))
	b.log.next(t, "hook done")
}
