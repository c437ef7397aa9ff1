package importer

import (
	"slices"
	"strings"

	"viplease/config"
)

// statement is a directive with what follows it. Those in a Balance block
// stand for themselves.
type statement struct {
	line  int
	name  string  // as in keywords
	value token   // after "=", or the argument
	event string  // of RunDynamic
	list  []entry // of Prefer, Notify and VirtualInterfaces
}

// entry is one element of a list. Of a group of VirtualInterfaces it has all
// the addresses, else one; arp-cache in a Notify has none.
type entry struct {
	line      int
	addresses []token
	throttle  token // of kind end: none
	ping      bool
}

// directives are the names, for hints.
var directives = []string{"Spread", "SpreadRetryInterval", "Group", "Control", "LogFacility", "ModuleDir", "Mature", "Arp-Cache", "Balance",
	"Prefer", "Notify", "VirtualInterfaces", "VIFS", "VIPS", "RunDynamic", "PerlUse", "PerlUseLib"}

// directive says whether a token can begin a statement.
func (t token) directive() bool { return t.kind == keyword && slices.Contains(directives, t.text) }

// grammar reads statements. After a mistake it goes on where a line begins
// with a directive, so that all mistakes are found.
type grammar struct {
	*report
	tokens     []token
	at         int
	statements []statement
}

// parse returns the statements of a file.
func (r *report) parse(src string) []statement {
	g := &grammar{report: r, tokens: tokens(src)}
	for {
		t := g.take()
		if t.kind == end {
			return g.statements
		}
		if !t.directive() {
			g.stranger(t)
			g.skip()
			continue
		}
		switch t.text {
		case "Balance":
			g.balance(t)
		case "Prefer":
			g.prefer(t)
		case "Notify":
			g.notify(t)
		case "VirtualInterfaces":
			g.interfaces(t)
		case "RunDynamic":
			g.runDynamic(t)
		case "PerlUse", "PerlUseLib":
			g.argument(t)
		default:
			g.setting(t, false)
		}
	}
}

func (g *grammar) peek() token { return g.tokens[g.at] }

func (g *grammar) take() token {
	t := g.tokens[g.at]
	if t.kind != end {
		g.at++
	}
	return t
}

// accept takes the next token if it is that keyword.
func (g *grammar) accept(word string) bool {
	if g.peek().is(word) {
		g.at++
		return true
	}
	return false
}

// begins says whether a directive begins a line here, or the file ends.
// arp-cache is also an element of Notify.
func (g *grammar) begins() bool {
	t := g.peek()
	if t.kind == end {
		return true
	}
	return t.first && t.directive() && (t.text != "Arp-Cache" || g.tokens[g.at+1].kind == equals)
}

// skip leaves what cannot be understood: the rest of the line, with a block
// that begins on it.
func (g *grammar) skip() {
	for g.skipLine(true); g.peek().kind == opening; g.skipLine(true) {
		g.take()
		g.skipBlock()
	}
}

// skipLine leaves the rest of a line up to a brace; inBlock: a } that stands
// there is of that block.
func (g *grammar) skipLine(inBlock bool) {
	for t := g.peek(); t.kind != end && !t.first && t.kind != opening; t = g.peek() {
		if inBlock && t.kind == closing {
			return
		}
		g.at++
	}
}

// skipBlock leaves a block whose { was taken.
func (g *grammar) skipBlock() {
	for depth := 1; depth > 0 && !g.begins(); {
		switch g.take().kind {
		case opening:
			depth++
		case closing:
			depth--
		}
	}
}

func (g *grammar) add(s statement) { g.statements = append(g.statements, s) }

// stranger tells about a token where a directive should be.
func (g *grammar) stranger(t token) {
	name, value, glued := strings.Cut(t.raw, "=")
	canonical, known := keywords[strings.ToLower(name)]
	switch {
	case t.kind == closing:
		g.problem(t.line, "", "there is no { for this }; remove it")
	case t.kind == opening:
		g.problem(t.line, "", "there is no directive before this {; write one, such as VirtualInterfaces {")
		g.skipBlock()
	case glued && known:
		g.glued(t, canonical, name, value)
	case t.is("Interval") || t.is("AcquisitionsPerRound"):
		g.problem(t.line, t.text, "stands outside of its block; write Balance { %s = %s }", t.raw, example(t.text))
	default:
		hint := "; remove it"
		if slices.Contains(keepalivedWords, t.raw) {
			hint = ", but of keepalived; import the file as keepalived's"
		}
		if near := config.Nearest(name, directives); near != "" {
			hint = "; did you mean " + near + "?"
		}
		g.problem(t.line, "", "%s is no directive of Wackamole%s", quote(t.raw), hint)
	}
}

// glued tells about a setting that the lexer takes for one word.
func (g *grammar) glued(t token, directive, name, value string) {
	if value == "" {
		value = example(directive)
	}
	g.problem(t.line, directive, `%s is one word to Wackamole; write blanks around "=": %s = %s`, quote(t.raw), name, shown(value))
}

// setting reads "= VALUE"; inBlock: a } may follow.
func (g *grammar) setting(d token, inBlock bool) {
	if g.peek().kind != equals {
		g.problem(d.line, d.text, `there is no "=" after it; write %s = %s`, d.raw, example(d.text))
		g.skipLine(inBlock)
		return
	}
	g.take()
	if g.begins() || inBlock && g.peek().kind == closing {
		g.problem(d.line, d.text, "has no value; write %s = %s", d.raw, example(d.text))
		return
	}
	v := g.take()
	if why := misfit(d.text, v); why != "" {
		g.problem(v.line, d.text, "%s", why)
		switch v.kind {
		case opening:
			g.skipBlock()
		case equals:
			g.skipLine(inBlock)
		}
		return
	}
	g.add(statement{line: d.line, name: d.text, value: v})
}

// example is a value of a directive.
func example(directive string) string {
	switch directive {
	case "Spread":
		return "4803"
	case "Group":
		return "www"
	case "AcquisitionsPerRound":
		return "all"
	case "SpreadRetryInterval", "Mature", "Interval":
		return "5s"
	case "Arp-Cache":
		return "60s"
	case "RunDynamic":
		return "module:function on up"
	case "PerlUse":
		return "Module"
	case "Control":
		return "/var/run/wack.it"
	case "LogFacility":
		return "daemon"
	}
	return "/opt/wackamole" // ModuleDir, PerlUseLib
}

// misfit says why a value is none of its directive, and what to write.
func misfit(directive string, v token) string {
	switch directive {
	case "SpreadRetryInterval", "Mature", "Arp-Cache", "Interval":
		switch {
		case v.kind == number:
			return quote(v.raw) + " has no unit, which Wackamole refused; write " + v.raw + "s"
		case v.kind != interval:
			return quote(v.raw) + " is no time; write digits and a unit, such as " + example(directive)
		case v.took < 0:
			return quote(v.raw) + " is longer than Wackamole could count; write a shorter time"
		}
		return ""
	case "AcquisitionsPerRound":
		switch {
		case v.kind != number && !v.is("all"):
			return quote(v.raw) + " is no number; write one, or all"
		case v.n < 0:
			return quote(v.raw) + " is more than Wackamole could count; write a smaller number, or all"
		}
		return ""
	case "Spread":
		if v.kind == number {
			return ""
		}
	}
	return notText(v)
}

// notText says why a token is no string.
func notText(v token) string {
	switch {
	case v.kind == text && strings.Contains(v.raw, "\n"):
		return quote(v.raw) + " has a quote that is closed on another line only; close it on this one"
	case v.kind == text && v.raw == v.text && strings.ContainsAny(v.raw[:1], `"'`):
		return quote(v.raw) + " begins with a quote that is never closed, and was taken as it stands; close it, or remove it"
	case v.kind == text:
		return ""
	case v.kind == opening || v.kind == closing || v.kind == equals:
		return quote(v.raw) + " is no value; write a word, or a string in quotes"
	}
	return quote(v.raw) + ` is another thing than a string to Wackamole; write it in quotes: "` + shown(v.raw) + `"`
}

// argument reads a string without "=".
func (g *grammar) argument(d token) {
	if g.begins() {
		g.problem(d.line, d.text, "has no argument; write %s %s", d.raw, example(d.text))
		return
	}
	v := g.take()
	if v.kind == equals {
		g.problem(d.line, d.text, `takes no "="; write %s %s`, d.raw, example(d.text))
		g.skip()
		return
	}
	if why := notText(v); why != "" {
		g.problem(v.line, d.text, "%s", why)
		return
	}
	g.add(statement{line: d.line, name: d.text, value: v})
}

// runDynamic reads "FUNCTION EVENT".
func (g *grammar) runDynamic(d token) {
	before := len(g.statements)
	g.argument(d)
	if len(g.statements) == before {
		g.skip()
		return
	}
	s := &g.statements[before]
	if g.peek().kind == event {
		s.event = g.take().text
		return
	}
	g.statements = g.statements[:before]
	found := "nothing"
	if !g.begins() {
		found = quote(g.peek().raw)
	}
	g.problem(d.line, d.text, "%s follows where the event should be; write on up, on down, post up or post down, with one blank in it", found)
	g.skip()
}
