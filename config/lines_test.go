package config

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// everyShape has each construct of TOML that could lead a scanner astray.
// A value that ends in "@N" stands on line N.
const everyShape = `# [not.a.table] = "@0"
first = "@2" # "not a string
"quoted.key" = '@3'
'a # b' = "@4"
"un\u0069code" = "@5"
dotted.key . "with spaces" = "@6"
brackets = "]]} # = [[x]] @7"
escaped = "\" # \\@8"
multi = """
[lease]
hold = "2s" \
""\" quotes inside
"""
quotes = """"two""" # """
five = """""five"""""
literal = '''
'two' ''quotes''
# no comment
'''''
after = "@20"
list = [ # a comment ]
  "@22", "@22",

  '@24', # "x"
  [ "@25",
    ["@26"] ],
  { a = "@27", b.c = ["@27"] },
]
numbers = [1, -2_000, 0x1F, 1e5, inf, true]
date = 1979-05-27 07:32:00Z # a blank inside
times = [07:32:00, 1979-05-27]
inline = { x = "@32", "y z" = { w = "@32" } }
empty = []
none = {}

[table] # @
key = "@37"
[ table . "sub.table" ]
key = "@39"
[[vip]]
name = "@41"
addresses = [
	"@43",
	"@44"]
[vip.inner]
key = "@46"
[[vip.list]]
key = "@48"
[[vip.list]]
key = "@50"
[[vip]]
name = "@52"
  [[vip.list]]
  key = "@54"
[[pool]]
[[pool]]
name = "@57"
[x.y.z]
key = "@59"`

func TestKeyLines(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		doc := strings.ReplaceAll(everyShape, "\n", end)
		var root map[string]any
		if _, err := toml.Decode(doc, &root); err != nil {
			t.Fatal(err)
		}
		lines := keyLines(doc)
		found := 0
		walk("", root, func(path string, v any) {
			line, ok := lines[path]
			if !ok {
				t.Errorf("%s has no line", path)
			}
			s, _ := v.(string)
			if i := strings.LastIndex(s, "@"); i >= 0 {
				found++
				if s[i+1:] != element("", line)[1:len(element("", line))-1] {
					t.Errorf("%s = %q is found on line %d", path, s, line)
				}
			}
		})
		if found != strings.Count(everyShape, "@")-2 { // two are in comments
			t.Errorf("%d of the marked values were visited", found)
		}
		for path, want := range map[string]int{
			"table": 36, `table."sub.table"`: 38, "vip[0]": 40, "vip[1]": 51, "vip[0].list[1]": 49,
			"vip[1].list[0]": 53, "pool[0]": 55, "pool[1]": 56, "x.y": 58, "list[3]": 25, "list[3][1][0]": 26,
			"multi": 9, "literal": 16, "date": 30, "none": 34,
		} {
			if lines[path] != want {
				t.Errorf("%s is found on line %d, want %d", path, lines[path], want)
			}
		}
	}
}

// FuzzKeyLines: on every document that the library accepts, the scanner and
// the library agree on which keys and list elements there are.
func FuzzKeyLines(f *testing.F) {
	f.Add(everyShape)
	f.Add(sample)
	f.Add("\xfe\xff")
	f.Add("[[tab.arr]]\n[tab]\narr.val = 1") // taken by the library alone
	f.Add("a = [[], [{}], {b = [{c = 1}]}]\n[d]\n[d.e]\n[[d.f]]\n[d.f.g]")
	f.Fuzz(func(t *testing.T, doc string) {
		lines := keyLines(doc) // returns, whatever it is given
		var root map[string]any
		if _, err := toml.Decode(doc, &root); err != nil {
			return
		}
		var want []string
		last := 1 + strings.Count(doc, "\n")
		walk("", root, func(path string, _ any) {
			want = append(want, path)
			if lines[path] < 1 || lines[path] > last {
				t.Errorf("%s is found on line %d of %d", path, lines[path], last)
			}
		})
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(lines)); !slices.Equal(got, want) {
			t.Errorf("the scanner found %q\nthe library found %q", got, want)
		}
	})
}

// walk visits every key and list element of a decoded document.
func walk(path string, v any, visit func(path string, v any)) {
	if path != "" {
		visit(path, v)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			walk(child(path, k), e, visit)
		}
	case []any:
		for i, e := range v {
			walk(element(path, i), e, visit)
		}
	case []map[string]any:
		for i, e := range v {
			walk(element(path, i), e, visit)
		}
	}
}
