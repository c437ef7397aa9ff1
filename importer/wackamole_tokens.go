package importer

import (
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// kind of a token of a wackamole.conf.
type kind int

const (
	end kind = iota
	opening
	closing
	equals
	keyword
	number
	interval
	ip
	event
	text
)

// token is one token, with what it means.
type token struct {
	kind  kind
	raw   string // as it stands in the file, quotes included
	text  string // the canonical keyword or event; the string without quotes
	line  int
	first bool // on its line

	n      int           // of a number; -1: too large
	took   time.Duration // what Wackamole made of an interval; -1: too large
	hours  bool          // an interval in hours, which it took for seconds
	iface  string        // of an address, and so on
	prefix netip.Prefix
	net    int    // the length after "n", -1: none
	bad    string // what is wrong with the address
}

// is says whether the token is that keyword.
func (t token) is(word string) bool { return t.kind == keyword && t.text == word }

// keywords of the lexer, in lower case, and how we write them.
var keywords = map[string]string{
	"none": "None", "all": "all", "ping": "ping", "throttle": "throttle",
	"spread": "Spread", "spreadretryinterval": "SpreadRetryInterval", "group": "Group", "control": "Control",
	"logfacility": "LogFacility", "mature": "Mature", "arp-cache": "Arp-Cache", "balance": "Balance",
	"acquisitionsperround": "AcquisitionsPerRound", "interval": "Interval", "prefer": "Prefer", "notify": "Notify",
	"virtualinterfaces": "VirtualInterfaces", "vifs": "VirtualInterfaces", "vips": "VirtualInterfaces",
	"rundynamic": "RunDynamic", "moduledir": "ModuleDir", "perluselib": "PerlUseLib", "perluse": "PerlUse",
}

// The lexer takes the longest match, and of two the rule that stands first.
// Everything but quoted strings and events is made of the characters of a
// word, so that a word is a number, an interval or an address only as a whole.
// "=" is such a character: "Group=www" is one word.
var (
	wordPattern     = regexp.MustCompile(`^[^ \t\r\n#{}]+`)
	quotedPattern   = regexp.MustCompile(`^(?:"[^"]*"|'[^']*')`)
	eventPattern    = regexp.MustCompile(`^(?i:on|post) (?i:up|down)`)
	numberPattern   = regexp.MustCompile(`^[0-9]+$`)
	intervalPattern = regexp.MustCompile(`^[0-9]+[sSmMhH]$`)
	addressPattern  = regexp.MustCompile(`^(?:([^ \t\r\n#{}:]+):)?([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})/([0-9]{1,2})(?:n([0-9]{1,2}))?$`)
)

// tokens returns the tokens of a file; the last one is of kind end.
func tokens(src string) []token {
	var all []token
	line, first := 1, true
	for {
		src = strings.TrimLeft(src, " \t\r")
		if src == "" {
			return append(all, token{kind: end, line: line})
		}
		switch src[0] {
		case '\n':
			src, line, first = src[1:], line+1, true
			continue
		case '#':
			src = src[len(src)-len(strings.TrimLeftFunc(src, func(r rune) bool { return r != '\n' })):]
			continue
		}
		t := next(src)
		t.line, t.first = line, first
		all = append(all, t)
		line, first = line+strings.Count(t.raw, "\n"), false
		src = src[len(t.raw):]
	}
}

// next reads the token that src begins with.
func next(src string) token {
	switch src[0] {
	case '{':
		return token{kind: opening, raw: "{"}
	case '}':
		return token{kind: closing, raw: "}"}
	}
	word := wordPattern.FindString(src)
	if e := eventPattern.FindString(src); len(e) > len(word) {
		return token{kind: event, raw: e, text: strings.ToLower(e)}
	}
	if q := quotedPattern.FindString(src); len(q) >= len(word) {
		return token{kind: text, raw: q, text: q[1 : len(q)-1]}
	}
	t := token{kind: text, raw: word, text: word}
	if word == "=" {
		t.kind = equals
		return t
	}
	if canonical, ok := keywords[strings.ToLower(word)]; ok {
		t.kind, t.text = keyword, canonical
		return t
	}
	switch {
	case numberPattern.MatchString(word):
		t.kind, t.n = number, atoi(word)
	case intervalPattern.MatchString(word):
		t.readInterval()
	default:
		if m := addressPattern.FindStringSubmatch(word); m != nil && (m[1] != "" || m[7] == "") {
			t.readAddress(m)
		}
	}
	return t
}

// atoi reads digits; -1: more than an int of C holds.
func atoi(digits string) int {
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return -1
	}
	return int(n)
}

// readInterval reads a time as Wackamole did: minutes are multiplied by 60,
// hours by nothing.
func (t *token) readInterval() {
	t.kind = interval
	digits, unit := t.raw[:len(t.raw)-1], t.raw[len(t.raw)-1]|0x20
	n := atoi(digits)
	if unit == 'm' {
		if n > math.MaxInt32/60 {
			n = -1
		}
		n *= 60
	}
	t.took = max(time.Duration(n)*time.Second, -1)
	t.hours = unit == 'h'
}

// readAddress reads the match of addressPattern.
func (t *token) readAddress(m []string) {
	t.kind, t.iface, t.net = ip, m[1], -1
	var octets [4]byte
	for i := range octets {
		n := atoi(m[2+i])
		if n > 255 {
			t.bad = "has " + m[2+i] + " where at most 255 is possible"
		}
		octets[i] = byte(n)
	}
	bits := atoi(m[6])
	if bits > 32 {
		t.bad = "has the prefix length " + m[6] + " where at most 32 is possible"
	}
	if m[7] != "" {
		if t.net = atoi(m[7]); t.net > 32 {
			t.bad = "has the network n" + m[7] + " where at most n32 is possible"
		}
	}
	if t.bad == "" {
		t.prefix = netip.PrefixFrom(netip.AddrFrom4(octets), bits)
	}
}
