package main

import (
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowed says what each package may import of ours; see ARCHITECTURE.md.
var allowed = map[string][]string{
	"config": {}, "leases": {}, "netif": {}, "arpnotify": {}, "runstate": {},
	"coordinator/placement": {},
	"coordinator/plan":      {"coordinator/placement", "sentinel"},
	"coordinator/sim":       {"coordinator/placement", "coordinator/plan", "sentinel"},
	"coordinator":           {"coordinator/placement", "coordinator/plan", "sentinel"},
	"sentinel":              {},
	"control":               {"coordinator"},
	"metrics":               {"coordinator"},
	"health":                {}, "hooks": {}, "sockets": {}, "nstest": {},
	"importer": {"config"},
	"manual":   {"config"},
}

// pure packages do no I/O, ask no clock and start nothing.
var pure = []string{"coordinator/plan", "coordinator/placement", "sentinel"}

var impure = []string{"context", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "sync", "sync/atomic", "syscall", "golang.org/x/sys/unix"}

func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(dir string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && dir != "." || strings.HasPrefix(dir, ".git") {
			return filepath.SkipDir
		}
		p, err := build.Default.ImportDir(dir, 0)
		if _, none := err.(*build.NoGoError); none || dir == "." {
			return nil
		}
		if err != nil {
			return err
		}
		seen++
		checkImports(t, filepath.ToSlash(dir), p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < len(allowed) {
		t.Errorf("found %d packages, the table has %d", seen, len(allowed))
	}
}

func checkImports(t *testing.T, dir string, p *build.Package) {
	t.Helper()
	may, known := allowed[dir]
	if !known {
		t.Errorf("package %s is not in the table of this test", dir)
	}
	if p.Doc == "" {
		t.Errorf("package %s has no package comment", dir)
	}
	for _, path := range p.Imports {
		if ours, ok := strings.CutPrefix(path, "viplease/"); ok && !slices.Contains(may, ours) {
			t.Errorf("%s imports %s", dir, ours)
		}
		if slices.Contains(pure, dir) && slices.Contains(impure, path) {
			t.Errorf("%s is pure and imports %s", dir, path)
		}
	}
}
