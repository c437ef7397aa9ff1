package plan

import (
	"strings"
	"time"
)

// scanner reads values as this package writes them: JSON in one line without spaces, the fields in the order of the type, plain ASCII. It takes a seventh of
// the time of encoding/json and hardly allocates; a large cluster starts with thousands of values. It gives up on whatever looks different, which is then
// for encoding/json, so what it accepts has to mean the same there: FuzzScan holds it to that.
type scanner struct {
	text  string // strings that were read are parts of it
	at    int
	later bool // a field of the object has been read
	bad   bool
}

// scan has fields read all of the value, and tells whether they could.
func scan(value []byte, fields func(*scanner)) bool {
	s := scanner{text: string(value)}
	s.object(fields)
	return !s.bad && s.at == len(s.text)
}

// object reads the fields of an object, each at most once.
func (s *scanner) object(fields func(*scanner)) {
	s.expect('{')
	s.later = false
	fields(s)
	s.expect('}')
	s.later = true
}

func (s *scanner) expect(b byte) {
	if s.peek() != b {
		s.bad = true
		return
	}
	s.at++
}

// peek is the next byte; 0: the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// field tells whether the next field has this name, and goes on to its value.
func (s *scanner) field(name string) bool {
	rest := s.text[s.at:]
	if s.later {
		if !strings.HasPrefix(rest, ",") {
			return false
		}
		rest = rest[1:]
	}
	n := len(name) + len(`"":`)
	if s.bad || len(rest) < n || rest[0] != '"' || rest[1:1+len(name)] != name || rest[n-2:n] != `":` {
		return false
	}
	s.at, s.later = len(s.text)-len(rest)+n, true
	return true
}

// text reads a string, if there is one in the field.
func (s *scanner) string(name string, into *string) {
	if s.field(name) {
		*into = s.quoted()
	}
}

func (s *scanner) quoted() string {
	s.expect('"')
	for i := s.at; i < len(s.text) && !s.bad; i++ {
		switch b := s.text[i]; {
		case b == '"':
			text := s.text[s.at:i]
			s.at = i + 1
			return text
		case b < ' ' || b > '~' || b == '\\':
			s.bad = true
		}
	}
	s.bad = true
	return ""
}

// strings reads a list of strings.
func (s *scanner) strings(name string, into *[]string) {
	if !s.field(name) {
		return
	}
	s.expect('[')
	rest := s.text[s.at:]
	list := make([]string, 0, 1+strings.Count(rest[:max(strings.IndexByte(rest, ']'), 0)], ","))
	for !s.bad && s.peek() != ']' {
		if len(list) > 0 {
			s.expect(',')
		}
		list = append(list, s.quoted())
	}
	s.expect(']')
	*into = list
}

func (s *scanner) bool(name string, into *bool) {
	if !s.field(name) {
		return
	}
	switch rest := s.text[s.at:]; {
	case strings.HasPrefix(rest, "true"):
		*into = true
		s.at += len("true")
	case strings.HasPrefix(rest, "false"):
		*into = false
		s.at += len("false")
	default:
		s.bad = true
	}
}

// number reads a number of up to 18 digits, without fraction and exponent.
func (s *scanner) number(name string, into *int64) {
	if !s.field(name) {
		return
	}
	from, n := s.at, int64(0)
	if s.peek() == '-' {
		s.at++
		from++
	}
	for ; s.peek() >= '0' && s.peek() <= '9'; s.at++ {
		if s.at-from < 18 {
			n = 10*n + int64(s.peek()-'0')
		}
	}
	if digits := s.at - from; digits == 0 || digits > 18 || digits > 1 && s.text[from] == '0' {
		s.bad = true
	}
	if from > 0 && s.text[from-1] == '-' {
		n = -n
	}
	*into = n
}

func (s *scanner) int(name string, into *int) {
	n := int64(*into)
	s.number(name, &n)
	*into = int(n)
}

func (s *scanner) time(name string, into *time.Time) {
	if !s.field(name) {
		return
	}
	from := s.at
	s.quoted()
	if s.bad || into.UnmarshalJSON([]byte(s.text[from:s.at])) != nil {
		s.bad = true
	}
}

func (c *Claim) scan(s *scanner) {
	s.int("v", &c.V)
	s.string("vip", &c.VIP)
	s.string("node", &c.Node)
	s.bool("empty", &c.Empty)
	s.string("reg", &c.Reg)
	s.number("member_rev", &c.MemberRev)
	s.bool("contested", &c.Contested)
	s.number("wait_ms", &c.WaitMS)
	if s.field("fast") {
		s.object(c.Fast.scan)
	}
	s.string("to", &c.To)
	s.number("accept", &c.Accept)
	s.number("moved", &c.Moved)
	s.bool("stay", &c.Stay)
	s.strings("addresses", &c.Addresses)
	s.time("since", &c.Since)
	s.string("why", &c.Why)
	s.string("try", &c.Try)
	s.number("writes", &c.Writes)
}

func (t *Terms) scan(s *scanner) {
	s.number("grace_ms", &t.GraceMS)
	s.number("silence_ms", &t.SilenceMS)
}

func (st *State) scan(s *scanner) { // checks are not for the scanner
	s.int("v", &st.V)
	s.string("state", &st.State)
	s.string("why", &st.Why)
	s.time("since", &st.Since)
	s.int("weight", &st.Weight)
	s.string("digest", &st.Digest)
	s.int("planner", &st.Planner)
	s.number("wait_ms", &st.WaitMS)
	s.bool("fast", &st.Fast)
	s.strings("cannot", &st.Cannot)
	s.strings("only", &st.Only)
	s.strings("because", &st.Because)
	s.strings("recovers", &st.Recovers)
}
