package config

import (
	"fmt"
	"io"
	"time"
)

// unbuilt is what the file format has and this version does not carry out.
// Silence would let an operator rely on it, so it is refused; to build a
// thing, delete its row.
var unbuilt = []struct{ section, key, title, text string }{
	{"", "hooks", "[hooks]", "hooks are not in this version of viplease; remove the section"},
}

// FastBuilt tells whether this version carries fast takeover out.
const FastBuilt = false

// describeUnbuilt tells what is accepted, since it is on by default, and yet
// not carried out.
func (c Config) describeUnbuilt(w io.Writer) {
	if c.Takeover.Fast && !FastBuilt {
		fmt.Fprintln(w, "note: takeover.fast is not in this version of viplease: every takeover waits W, as with fast = false")
	}
}

// refuseUnbuilt tells about each row once, where it first stands.
func (r *reader) refuseUnbuilt() {
	for _, row := range unbuilt {
		t := r.top()
		if row.section != "" {
			values, _ := r.root[row.section].(map[string]any)
			t = table{r: r, path: row.section, key: row.section, values: values}
		}
		if t.has(row.key) {
			r.problem(t.line(row.key), row.title, "%s", row.text)
		}
	}
}

// readHooks reads what [hooks] may say, for its mistakes.
func readHooks(t table) {
	t.texts("acquired")
	t.texts("released")
	t.duration("timeout", 10*time.Second, 0, maxTimer)
}
