package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the messages of today into testdata/mistakes.txt")

// TestMistakes: testdata/mistakes.txt holds wrong configurations, each with
// every line that it must be answered with.
//
// A case is a "== name" line, the file, and the answers after "=>". The
// lines of minimal come first in each file, so that a case shows only its
// mistake, unless its name ends in "(whole file)".
func TestMistakes(t *testing.T) {
	const path = "testdata/mistakes.txt"
	cases := strings.Split("\n"+readTestdata(t, "mistakes.txt"), "\n== ")
	out := cases[0][1:]
	seen := map[string]bool{}
	for _, c := range cases[1:] {
		name, body, _ := strings.Cut(c, "\n")
		var doc, want strings.Builder
		for line := range strings.Lines(body) {
			if answer, ok := strings.CutPrefix(line, "=> "); ok {
				want.WriteString(answer)
			} else if strings.TrimSpace(line) != "" {
				doc.WriteString(strings.TrimSuffix(line, "\n") + "\n")
			}
		}
		if seen[name] {
			t.Errorf("%s: the name is used twice", name)
		}
		seen[name] = true
		whole := doc.String()
		if !strings.HasSuffix(name, "(whole file)") {
			whole = minimal + whole
		}
		_, err := Parse("f.toml", []byte(whole), host)
		if err == nil {
			t.Errorf("%s: is taken for right", name)
			continue
		}
		if got, want := err.Error(), strings.TrimSpace(want.String()); got != want && !*update {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want)
		}
		out += "\n== " + name + "\n" + doc.String() + "=> " + strings.ReplaceAll(err.Error(), "\n", "\n=> ") + "\n"
	}
	if len(cases) < 100 {
		t.Errorf("only %d cases were read", len(cases))
	}
	if *update {
		if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
