package importer

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"viplease/config"
)

var update = flag.Bool("update", false, "write what the importer says today into testdata")

// host is where the printed configurations are checked.
var host = config.Env{Hostname: "node-1"}

// importers by the file that they import.
var importers = map[string]func(string, []byte, Options) (Result, error){
	"wackamole.conf":  Wackamole,
	"keepalived.conf": Keepalived,
}

// TestGolden imports whole files. NAME.wackamole.conf and
// NAME.keepalived.conf yield NAME.*.toml and NAME.*.notes; a name that ends
// in "_on_a_node" is imported for the node proxy-001.
func TestGolden(t *testing.T) {
	seen := 0
	for program, imports := range importers {
		files, err := filepath.Glob("testdata/*." + program)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			seen++
			t.Run(filepath.Base(file), func(t *testing.T) {
				opts := Options{}
				if strings.HasSuffix(file, "_on_a_node."+program) {
					opts.Node = "proxy-001"
				}
				r, err := imports(program, []byte(read(t, file)), opts)
				if err != nil {
					t.Fatal(err)
				}
				base := strings.TrimSuffix(file, ".conf")
				golden(t, base+".toml", r.TOML)
				golden(t, base+".notes", notes(r))
				checkTOML(t, r)
			})
		}
	}
	if seen < 7 {
		t.Errorf("only %d files were found", seen)
	}
}

func notes(r Result) string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}

// checkTOML says what "viplease check" would say.
func checkTOML(t *testing.T, r Result) config.Config {
	t.Helper()
	c, err := config.Parse("viplease.toml", []byte(r.TOML), host)
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, r.TOML)
	}
	return c
}

// TestMistakes: testdata/mistakes.txt holds wrong files, each with every line
// that it must be answered with.
//
// A case is a line "== keepalived: name" or "== wackamole: name", the file,
// and the answers after "=>".
func TestMistakes(t *testing.T) {
	const path = "testdata/mistakes.txt"
	cases := strings.Split("\n"+read(t, path), "\n== ")
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
		program, _, _ := strings.Cut(name, ":")
		imports := importers[program+".conf"]
		if imports == nil {
			t.Fatalf("%s: which program?", name)
		}
		_, err := imports("f.conf", []byte(doc.String()), Options{})
		if err == nil {
			t.Errorf("%s: is taken for right", name)
			continue
		}
		if problems := (Problems)(nil); !errors.As(err, &problems) {
			t.Errorf("%s: %#v is no list of problems", name, err)
		}
		if got, want := err.Error(), strings.TrimSpace(want.String()); got != want && !*update {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want)
		}
		out += "\n== " + name + "\n" + doc.String() + "=> " + strings.ReplaceAll(err.Error(), "\n", "\n=> ") + "\n"
	}
	if len(cases) < 50 {
		t.Errorf("only %d cases were read", len(cases))
	}
	if *update {
		write(t, path, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		write(t, path, got)
		return
	}
	if want := read(t, path); got != want {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", path, got, want)
	}
}
