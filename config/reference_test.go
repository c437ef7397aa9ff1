package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReferenceIsComplete: what the documentation is made from names each key
// that the reader asks for and no other, with a type and an explanation.
func TestReferenceIsComplete(t *testing.T) {
	r, err := read("sample.toml", []byte(complete(filled(t, Sample()))))
	if err != nil {
		t.Fatal(err)
	}
	readAll(r, host)
	shown := map[string]bool{}
	for _, section := range Reference() {
		shown[section.Name] = true
		for _, group := range section.Groups {
			for _, key := range group.Keys {
				if shown[key.Name] {
					t.Errorf("%s is explained twice", key.Name)
				}
				shown[key.Name] = true
				if !asked(r, key.Name) {
					t.Errorf("%s is in the sample, and no reader asks for it", key.Name)
				}
				if key.Kind == "" || key.Value == "" || group.Text == "" && key.Comment == "" {
					t.Errorf("%s is not explained: %+v; see the other keys in sample.toml", key.Name, key)
				}
			}
		}
	}
	for section, keys := range r.known {
		for _, key := range keys {
			name := child(section, key)
			if !shown[name] {
				t.Errorf("the reader asks for %s, and sample.toml does not explain it", name)
			}
		}
	}
}

func asked(r *reader, name string) bool {
	section, key := "", name
	if i := strings.LastIndex(name, "."); i >= 0 {
		section, key = name[:i], name[i+1:]
	}
	return slices.Contains(r.known[section], key)
}

// TestReference: the four forms that a key is written in.
func TestReference(t *testing.T) {
	keys := map[string]Key{}
	text := map[string]string{}
	for _, section := range Reference() {
		text[section.Name] = section.Text
		for _, group := range section.Groups {
			for _, key := range group.Keys {
				keys[key.Name] = key
				text[key.Name] = group.Text
			}
		}
	}
	for _, want := range []Key{
		{Name: "lease.ttl", Value: `"3s"`, Kind: "duration, whole seconds", Bounds: "2s to 1h"},
		{Name: "takeover.misses", Value: "4", Kind: "whole number", Bounds: "1 to 100"},
		{Name: "etcd.endpoints", Value: "[]", Kind: "list of strings"},
		{Name: "vip.prefer", Value: `["node-1", "node-2"]`, Kind: "list of strings", Comment: "the best first; default: no preference"},
		{Name: "vip.spread", Value: `"web"`, Kind: "string", Comment: "VIPs that share it are put on different nodes; default: the subnet"},
	} {
		if keys[want.Name] != want {
			t.Errorf("got  %+v\nwant %+v", keys[want.Name], want)
		}
	}
	for name, words := range map[string]string{
		"lease.ttl":           `^How soon etcd gives`,
		"lease.check_timeout": `^How often a node asks`, // its neighbour's text is about both
		"pool":                `^One \[\[pool\]\] is many units`,
		"vip":                 `(?s)^The VIPs\. One \[\[vip\]\].*\n\nWithout "dev"`,
		"":                    `the same file on every node`,
	} {
		if !regexp.MustCompile(words).MatchString(text[name]) {
			t.Errorf("the text of %q is %q", name, text[name])
		}
	}
}
