package importer

import (
	"os"
	"strings"
	"testing"
)

func seed(f *testing.F, name string) string {
	f.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
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
