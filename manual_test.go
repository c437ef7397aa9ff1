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

// TestManualPages: groff, which man(1) uses, renders the pages without a complaint.
func TestManualPages(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("SKIPPED, MISSING: groff, to render the pages") // no CI machine has to have it
	}
	for page, words := range map[string][]string{
		"contrib/man/viplease.1":      {"viplease drain [NODE]", "--wait", "EXIT STATUS", "viplease.toml(5)"},
		"contrib/man/viplease.toml.5": {`hold = "3s"`, "duration, whole seconds, 3s to 1h", "[[pool]]"},
	} {
		cmd := exec.Command(groff, "-man", "-ww", "-Tascii", "-P-c", "-P-b", "-P-u", "-rLL=120n", page)
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
