package importer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"viplease/config"
)

func seed(f *testing.F, name string) string {
	f.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

// TestUnbuilt: what the table says is refused by package config is refused
// there, and nothing else, so that a row is deleted when its thing is built.
func TestUnbuilt(t *testing.T) {
	const minimal = "group = \"g\"\netcd.endpoints = [\"http://192.0.2.1:2379\"]\nvip = [{addresses = [\"192.0.2.10\"]}]\n"
	for f, section := range map[feature]string{
		hooks:  "[hooks]\nacquired = [\"/bin/true\"]",
		checks: "[[check]]\nname = \"x\"\ntcp = \"127.0.0.1:80\"",
	} {
		_, err := config.Parse("f", []byte(minimal+section), host)
		refused := strings.Contains(fmt.Sprint(err), "not in this version")
		if _, row := unbuilt[f]; row != refused || !refused && err != nil {
			t.Errorf("%s: a row is there: %v, but package config says: %v", f, row, err)
		}
	}
}

// TestBuilt: without its row a thing is printed as a section, of which package
// config refuses nothing but that it is not built.
func TestBuilt(t *testing.T) {
	rows := unbuilt
	defer func() { unbuilt = rows }()
	unbuilt = nil
	for _, name := range []string{"tutorial", "kitchen_sink", "pool"} {
		r, err := Wackamole("w.conf", []byte(read(t, "testdata/"+name+".wackamole.conf")), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.TOML+notes(r), "version of viplease") {
			t.Errorf("%s: speaks of what is lacking:\n%s%s", name, r.TOML, notes(r))
		}
		if !strings.Contains(r.TOML, "\n[[announce.notify]]\n") {
			t.Errorf("%s: no notices in\n%s", name, r.TOML)
		}
		_, err = config.Parse("f", []byte(r.TOML), host)
		for l := range strings.Lines(fmt.Sprint(err)) {
			if err != nil && !strings.Contains(l, "not in this version") {
				t.Errorf("%s: %s", name, l)
			}
		}
	}
}

// TestImport: each program's files are known by themselves.
func TestImport(t *testing.T) {
	for name, program := range map[string]string{
		"tutorial.wackamole.conf":               "Wackamole",
		"kitchen_sink.wackamole.conf":           "Wackamole",
		"two.keepalived.conf":                   "keepalived",
		"sync_on_a_node.keepalived.conf":        "keepalived",
		"kitchen_sink_on_a_node.wackamole.conf": "Wackamole",
	} {
		r, err := Import(name, []byte(read(t, "testdata/"+name)), Options{})
		if err != nil || !strings.Contains(r.TOML, "a configuration of "+program+".\n") {
			t.Errorf("%s: %v\n%s", name, err, r.TOML)
		}
	}
}
