package main

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestDependencies: every direct dependency stands in ARCHITECTURE.md, with the reason for it.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	architecture, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, reasons, found := strings.Cut(string(architecture), "\n## Dependencies\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no section Dependencies")
	}
	reasons, _, _ = strings.Cut(reasons, "\n## ")
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1)
	for _, m := range direct {
		name := m[1]
		if base := path.Base(name); regexp.MustCompile(`^v\d+$`).MatchString(base) {
			name = path.Dir(name)
		}
		if !strings.Contains(reasons, path.Base(name)) {
			t.Errorf("ARCHITECTURE.md does not say why %s is needed", m[1])
		}
	}
	t.Logf("%d direct dependencies", len(direct))
}
