package main

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"viplease/config"
	"viplease/control"
	"viplease/manual"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// TestManual: the pages that are made from the program are those in the repository.
func TestManual(t *testing.T) {
	for file, now := range map[string]string{
		"contrib/man/viplease.1":      manual.Commands(control.Commands(control.Deps{Version: func() string { return "" }})),
		"contrib/man/viplease.toml.5": manual.Configuration(config.Reference()),
		"docs/configuration.md":       manual.Markdown(config.Reference()),
	} {
		if *update {
			if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		was, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(was) != now {
			t.Errorf("%s is out of date; run: go test . -run TestManual -update", file)
		}
	}
}

// TestManualPages: man(1) renders the pages without a complaint.
func TestManualPages(t *testing.T) {
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip("SKIPPED, MISSING: man, to render the pages") // no CI machine has to have it
	}
	for page, words := range map[string][]string{
		"contrib/man/viplease.1":      {"viplease drain [NODE]", "--wait", "EXIT STATUS", "viplease.toml(5)"},
		"contrib/man/viplease.toml.5": {`hold = "3s"`, "duration, whole seconds, 3s to 1h", "[[pool]]"},
	} {
		cmd := exec.Command(man, "--warnings=w", "-l", page)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=120", "MANPAGER=cat", "PAGER=cat")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Fatalf("%s: %v\n%s", page, err, complaints.String())
		}
		for _, w := range words {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s does not show %q:\n%s", page, w, out)
			}
		}
	}
}
