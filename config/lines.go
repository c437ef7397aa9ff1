package config

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// keyLines says on which line each key and each list element of a TOML
// document stands. Paths are dotted, with the index of a list element in
// brackets: "lease.hold", "vip[1].addresses[0]"; see child and element.
//
// The TOML library tells lines only for errors of syntax, so this walks the
// text once more. The document must have been accepted by the library: this
// is not a parser, it only has to know where strings, comments and brackets
// end. On anything else it returns without a promise, but it does return.
func keyLines(doc string) map[string]int {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\xef\xbb\xbf"} {
		if rest, ok := strings.CutPrefix(doc, mark); ok {
			doc = rest // a byte order mark, which the library skips
			break
		}
	}
	s := &lineScanner{rest: doc, line: 1, lines: map[string]int{}, elements: map[string]int{}}
	table := ""
	for s.blank(); s.rest != ""; s.blank() {
		switch {
		case s.accept("[["):
			table = s.header(true)
		case s.accept("["):
			table = s.header(false)
		default:
			s.pair(table)
		}
	}
	return s.lines
}

// child is the path of a key in the table at path, "" being the top.
func child(path, key string) string {
	key = toml.Key{key}.String()
	if path == "" {
		return key
	}
	return path + "." + key
}

// element is the path of the list element i at path.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

type lineScanner struct {
	rest     string         // what is still to be read
	line     int            // of the first byte of rest
	lines    map[string]int // path: line
	elements map[string]int // path of an array of tables: elements so far
}

// take returns the next n bytes and moves past them.
func (s *lineScanner) take(n int) string {
	n = min(n, len(s.rest))
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	s.line += strings.Count(taken, "\n")
	return taken
}

// until takes everything before the first of the bytes in stop.
func (s *lineScanner) until(stop string) string {
	if i := strings.IndexAny(s.rest, stop); i >= 0 {
		return s.take(i)
	}
	return s.take(len(s.rest))
}

func (s *lineScanner) accept(prefix string) bool {
	if !strings.HasPrefix(s.rest, prefix) {
		return false
	}
	s.take(len(prefix))
	return true
}

// space moves past blanks within a line.
func (s *lineScanner) space() {
	s.take(len(s.rest) - len(strings.TrimLeft(s.rest, " \t")))
}

// blank moves past blanks, ends of lines and comments.
func (s *lineScanner) blank() {
	for {
		s.take(len(s.rest) - len(strings.TrimLeft(s.rest, " \t\r\n")))
		if !strings.HasPrefix(s.rest, "#") {
			return
		}
		s.until("\n")
	}
}

// note remembers where a path was first seen.
func (s *lineScanner) note(path string) {
	if _, ok := s.lines[path]; !ok {
		s.lines[path] = s.line
	}
}

// header reads the rest of "[a.b]", or of "[[a.b]]" when array is set, and
// returns the path of the table that it opens. A name on the way that is an
// array of tables means its latest element.
func (s *lineScanner) header(array bool) string {
	keys, path := s.key(), ""
	for i, key := range keys {
		path = child(path, key)
		s.note(path)
		n := s.elements[path]
		switch {
		case array && i == len(keys)-1:
			s.elements[path]++
			path = element(path, n)
			s.note(path)
		case n > 0:
			path = element(path, n-1)
		}
	}
	s.take(1)
	if array {
		s.take(1)
	}
	return path
}

// pair reads "key = value" in the table at path.
func (s *lineScanner) pair(path string) {
	keys := s.key()
	for i, key := range keys {
		path = child(path, key)
		s.note(path)
		// Not TOML, and yet the library takes "vip.name = ..." under [[vip]].
		if n := s.elements[path]; n > 0 && i < len(keys)-1 {
			path = element(path, n-1)
		}
	}
	s.take(1) // the equals sign
	s.space()
	s.value(path)
}

// key reads a dotted key and the blanks after it.
func (s *lineScanner) key() []string {
	var keys []string
	for {
		s.space()
		if strings.HasPrefix(s.rest, `"`) || strings.HasPrefix(s.rest, `'`) {
			keys = append(keys, unquote(s.quoted()))
		} else {
			keys = append(keys, s.until(".=] \t\r\n"))
		}
		s.space()
		if !s.accept(".") {
			return keys
		}
	}
}

// unquote lets the library decode a quoted key.
func unquote(quoted string) string {
	var v struct{ K string }
	if _, err := toml.Decode("K = "+quoted, &v); err != nil {
		return quoted
	}
	return v.K
}

// value reads one value, and notes what is inside it.
func (s *lineScanner) value(path string) {
	switch {
	case s.rest == "":
	case s.rest[0] == '"' || s.rest[0] == '\'':
		s.quoted()
	case s.accept("["):
		for i := 0; s.inside("]"); i++ {
			s.note(element(path, i))
			s.value(element(path, i))
		}
	case s.accept("{"):
		for s.inside("}") {
			s.pair(path)
		}
	default: // a number, a date, true or false
		if s.until(",]}#\r\n") == "" {
			s.take(1)
		}
	}
}

// inside moves to the next element of a list or inline table. It returns
// false, past the closing bracket, when there is none.
func (s *lineScanner) inside(closing string) bool {
	s.blank()
	for s.accept(",") {
		s.blank()
	}
	return !s.accept(closing) && s.rest != ""
}

// quoted takes a string of any of the four kinds, with its quotes.
func (s *lineScanner) quoted() string {
	quote := s.rest[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s.rest, triple) {
		quote = triple
	}
	end := len(quote)
	for end < len(s.rest) && !strings.HasPrefix(s.rest[end:], quote) {
		if s.rest[end] == '\\' && quote[0] == '"' {
			end++
		}
		end++
	}
	end += len(quote)
	if len(quote) == 3 {
		// One or two more quotes belong to the text of a long string.
		for extra := 0; extra < 2 && end < len(s.rest) && s.rest[end] == quote[0]; extra++ {
			end++
		}
	}
	return s.take(end)
}
