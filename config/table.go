package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// reader is the raw configuration: the decoded document, where its keys
// stand, what was asked of it, and what was wrong so far.
//
// The document is decoded into plain maps and read by key instead of into
// tagged structs, because the library stops at the first value of a wrong
// type and takes "Hold" for "hold"; here every mistake is found, and a key is
// known by having been asked for, so that no list of keys can go stale.
type reader struct {
	file     string
	root     map[string]any
	lines    map[string]int      // path in the document: line
	known    map[string][]string // key of a table, without indexes: its keys
	wanted   map[string]wanted   // full key, without indexes: what was asked for
	problems Problems
}

// table is one table of the document. A table that the file does not have
// yields the defaults.
type table struct {
	r      *reader
	path   string // "vip[2]"; "" at the top
	key    string // "vip": as messages name it
	values map[string]any
}

// item is one element of a list of strings.
type item struct {
	text string
	line int
}

// maxFile bounds the work on a file that is not a configuration at all. The
// largest sensible one, maxVIPs sections of 250 bytes, is a quarter of it.
const maxFile = 4 << 20

// read decodes the document. An error of syntax is the only problem then,
// since nothing after it can be trusted.
func read(file string, data []byte) (*reader, error) {
	if len(data) > maxFile {
		return nil, Problems{{File: file, Text: fmt.Sprintf("is larger than %d MiB; this is no configuration of viplease", maxFile>>20)}}
	}
	doc := string(data)
	r := &reader{file: file, root: map[string]any{}, known: map[string][]string{}, wanted: map[string]wanted{}}
	if _, err := toml.Decode(doc, &r.root); err != nil {
		return nil, Problems{syntaxProblem(file, doc, err)}
	}
	r.lines = keyLines(doc)
	return r, nil
}

// unquoted is a line that gives a key some text without quotes.
var unquoted = regexp.MustCompile(`^\s*([A-Za-z0-9_.-]+)\s*=\s*([A-Za-z0-9/][^"'#\[\]{}]*?)\s*(#.*)?$`)

func syntaxProblem(file, doc string, err error) Problem {
	parse, ok := err.(toml.ParseError)
	if !ok {
		return Problem{File: file, Text: oneLine(err.Error())}
	}
	line := max(parse.Position.Line, 1)
	text := strings.TrimSuffix(oneLine(parse.Message), ".")
	if parse.Position.Col > 0 {
		text = fmt.Sprintf("column %d: %s", parse.Position.Col, text)
	}
	if lines := strings.Split(doc, "\n"); line <= len(lines) {
		if m := unquoted.FindStringSubmatch(lines[line-1]); m != nil && !strings.Contains(text, "already") {
			text += fmt.Sprintf("; text needs quotes: %s = %s", m[1], quote(m[2]))
		}
	}
	return Problem{File: file, Line: line, Text: text}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (r *reader) problem(line int, key, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// top is the table outside of any section.
func (r *reader) top() table { return table{r: r, values: r.root} }

// name is the full key as messages name it.
func (t table) name(key string) string { return child(t.key, key) }

// line is where the key stands, or else the section, or else 0.
func (t table) line(key string) int {
	if line, ok := t.r.lines[child(t.path, key)]; ok {
		return line
	}
	return t.r.lines[t.path]
}

func (t table) problem(key, format string, args ...any) {
	t.r.problem(t.line(key), t.name(key), format, args...)
}

// value returns what the file says, and that the key is known from now on.
func (t table) value(key string) (any, bool) {
	if !slices.Contains(t.r.known[t.key], key) {
		t.r.known[t.key] = append(t.r.known[t.key], key)
	}
	v, ok := t.values[key]
	return v, ok
}

// wrongType tells that the value is of another type than wanted.
func (t table) wrongType(key string, v any, write string) {
	t.problem(key, "%s; write %s", whatItIs(v), write)
}

// wrongChoice tells that the value is none of those that there are.
func (t table) wrongChoice(key string, v any, write string) {
	if s, ok := v.(string); ok {
		t.problem(key, "%s is not known; write %s", quote(s), write)
		return
	}
	t.wrongType(key, v, write)
}

// text reads a string; an empty one counts as absent.
func (t table) text(key, absent string) string {
	t.want(key, "string", "", "")
	switch v, _ := t.value(key); v := v.(type) {
	case nil:
	case string:
		if v != "" {
			return v
		}
	default:
		t.wrongType(key, v, "a string in quotes")
	}
	return absent
}

// texts reads a list of strings.
func (t table) texts(key string) []item {
	t.want(key, "list of strings", "", "")
	v, ok := t.value(key)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		t.wrongType(key, v, fmt.Sprintf(`a list: %s = ["...", "..."]`, key))
		return nil
	}
	items := make([]item, 0, len(list))
	for i, e := range list {
		line := t.r.lines[element(child(t.path, key), i)]
		s, ok := e.(string)
		if !ok {
			t.r.problem(line, t.name(key), "%s; write strings in quotes", whatItIs(e))
			continue
		}
		items = append(items, item{s, line})
	}
	return items
}

// flag reads true or false.
func (t table) flag(key string, absent bool) bool {
	t.want(key, "true or false", "", "")
	v, ok := t.value(key)
	if !ok {
		return absent
	}
	b, ok := v.(bool)
	if !ok {
		t.wrongType(key, v, "true or false")
		return absent
	}
	return b
}

// number reads a whole number within bounds.
func (t table) number(key string, absent, least, most int) int {
	t.wantNumber(key, least, most)
	v, ok := t.value(key)
	if !ok {
		return absent
	}
	n, ok := v.(int64)
	switch {
	case !ok:
		t.wrongType(key, v, fmt.Sprintf("a whole number such as %d", absent))
	case n < int64(least):
		t.problem(key, "%d is under %d; write at least %d", n, least, least)
	case n > int64(most):
		t.problem(key, "%d is over %d; write at most %d", n, most, most)
	default:
		return int(n)
	}
	return absent
}

// duration reads a Go duration within bounds.
func (t table) duration(key string, absent, least, most time.Duration) time.Duration {
	t.wantDuration(key, "duration", least, most)
	v, ok := t.value(key)
	if !ok {
		return absent
	}
	s, ok := v.(string)
	if !ok {
		t.wrongType(key, v, fmt.Sprintf("a string with a unit such as %q", Short(absent)))
		return absent
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		t.problem(key, "%s is not a duration; write a number with a unit (ms, s, m, h) such as %q", quote(s), Short(absent))
	case d < least:
		t.problem(key, "%s is under %s; write at least %q", quote(s), Short(least), Short(least))
	case d > most:
		t.problem(key, "%s is over %s; write at most %q", quote(s), Short(most), Short(most))
	default:
		return d
	}
	return absent
}

// seconds reads a duration that must be whole seconds.
func (t table) seconds(key string, absent, least, most time.Duration) time.Duration {
	d := t.duration(key, absent, least, most)
	t.wantDuration(key, "duration, whole seconds", least, most)
	if whole := roundUp(d, time.Second); whole != d {
		t.problem(key, "%s is not whole seconds; write %q", t.written(key), Short(whole))
		return absent
	}
	return d
}

// written is a string as the file has it, in quotes.
func (t table) written(key string) string {
	s, _ := t.values[key].(string)
	return quote(s)
}

// table reads a section.
func (t table) table(key string) table {
	section := table{r: t.r, path: child(t.path, key), key: t.name(key)}
	v, ok := t.value(key)
	if !ok {
		return section
	}
	if section.values, ok = v.(map[string]any); !ok {
		t.wrongType(key, v, "one section: ["+section.key+"]")
	}
	return section
}

// tables reads a section that may stand any number of times.
func (t table) tables(key string) []table {
	v, ok := t.value(key)
	if !ok {
		return nil
	}
	list, ok := sections(v)
	if !ok {
		t.wrongType(key, v, "sections: [["+t.name(key)+"]]")
		return nil
	}
	all := make([]table, len(list))
	for i, values := range list {
		all[i] = table{r: t.r, path: element(child(t.path, key), i), key: t.name(key), values: values}
	}
	return all
}

// sections returns the tables of [[name]], or of name = [{...}, {...}].
func sections(v any) ([]map[string]any, bool) {
	switch list := v.(type) {
	case []map[string]any:
		return list, true
	case []any:
		all := make([]map[string]any, len(list))
		for i, e := range list {
			var ok bool
			if all[i], ok = e.(map[string]any); !ok {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}

// keys returns the known keys of every table, sorted, for the hints.
func (r *reader) keys() map[string][]string {
	for _, keys := range r.known {
		slices.Sort(keys)
	}
	return r.known
}

// refuseUnknown adds a problem for each key that nobody asked for. It comes
// last, when all has been asked.
func (r *reader) refuseUnknown() { r.unknownIn("", "", r.root) }

func (r *reader) unknownIn(path, key string, values map[string]any) {
	known := r.keys()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		at, name := child(path, k), child(key, k)
		if !slices.Contains(known[key], k) {
			what := "key"
			if _, one := values[k].(map[string]any); one {
				what = "section"
			} else if list, many := sections(values[k]); many && len(list) > 0 {
				what = "section"
			}
			r.problem(r.lines[at], name, "unknown %s%s", what, hint(key, k, known))
			continue
		}
		if known[name] == nil {
			continue // not a section
		}
		if section, ok := values[k].(map[string]any); ok {
			r.unknownIn(at, name, section)
		}
		if list, ok := sections(values[k]); ok {
			for i, section := range list {
				r.unknownIn(element(at, i), name, section)
			}
		}
	}
}

// whatItIs describes a value of a wrong type.
func whatItIs(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v) + " is a string"
	case bool:
		return strconv.FormatBool(v) + " is a boolean"
	case int64:
		return strconv.FormatInt(v, 10) + " is a number"
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64) + " is a number"
	case time.Time:
		return "this is a date"
	case map[string]any:
		return "this is a section"
	case []map[string]any:
		return "this is a list of sections"
	}
	return "this is a list"
}

// quote shows what was written, on one line and not endlessly.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.Quote(strings.ToValidUTF8(s[:most], "")) + "..."
	}
	return strconv.Quote(s)
}

// Short writes a duration as people do: "1m", not "1m0s".
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func roundUp(d, unit time.Duration) time.Duration { return (d + unit - 1) / unit * unit }
