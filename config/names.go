package config

import "fmt"

// maxName bounds a name, which becomes part of etcd keys, of lines in logs
// and of labels of metrics. A host name has at most 64 bytes on Linux.
const maxName = 128

// badName says why a name of a group, node, VIP, pool or tag is not one.
func badName(s string) string {
	if len(s) > maxName {
		return fmt.Sprintf("has %d bytes; write at most %d", len(s), maxName)
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == ':', c == '-':
		default:
			return "is no name; write letters, digits and . _ : - only"
		}
	}
	return ""
}

// label reads a name; an empty one counts as absent.
func (t table) label(key, absent string) string {
	s := t.text(key, absent)
	if why := badName(s); why != "" {
		t.problem(key, "%s %s", quote(s), why)
		return absent
	}
	return s
}

// labels reads a list of different names.
func (t table) labels(key string) []string {
	var names []string
	lines := map[string]int{}
	for _, it := range t.texts(key) {
		line, twice := lines[it.text]
		why := badName(it.text)
		switch {
		case it.text == "":
			t.r.problem(it.line, t.name(key), `"" is no name; remove it`)
		case why != "":
			t.r.problem(it.line, t.name(key), "%s %s", quote(it.text), why)
		case twice:
			t.r.problem(it.line, t.name(key), "%q is already at line %d; write it once", it.text, line)
		default:
			lines[it.text] = it.line
			names = append(names, it.text)
		}
	}
	return names
}
