package manual

import (
	"fmt"
	"strings"
)

// page is a manual page in the macros of man(7).
type page struct{ strings.Builder }

func newPage(name, section, about string) *page {
	p := &page{}
	p.macro(".TH", strings.ToUpper(name), section, "", "viplease", "")
	p.heading("NAME")
	p.text(name + " - " + about)
	return p
}

// macro writes a request with its arguments, each in quotes.
func (p *page) macro(name string, args ...string) {
	p.WriteString(name)
	for _, a := range args {
		fmt.Fprintf(p, ` "%s"`, strings.ReplaceAll(escape(a), `"`, `\(dq`))
	}
	p.WriteString("\n")
}

func (p *page) heading(title string) { p.macro(".SH", title) }

func (p *page) subheading(title string) { p.macro(".SS", title) }

// text writes paragraphs that are separated by empty lines; the lines inside them are filled.
func (p *page) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			p.macro(".PP")
		}
		for line := range strings.Lines(paragraph) {
			p.line(strings.TrimSpace(line))
		}
	}
}

// item writes a term in bold and what it means, indented.
func (p *page) item(term, meaning string) {
	p.macro(".TP")
	p.macro(".B", term)
	p.text(meaning)
}

// verbatim writes lines as they are, indented.
func (p *page) verbatim(s string) {
	p.macro(".PP")
	p.WriteString(".in +4n\n")
	p.macro(".EX")
	for line := range strings.Lines(strings.Trim(s, "\n")) {
		p.line(strings.TrimSuffix(line, "\n"))
	}
	p.macro(".EE")
	p.WriteString(".in\n")
}

// line writes one line of text; a dot or an apostrophe at its start is no request (roff(7)).
func (p *page) line(s string) {
	s = escape(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	p.WriteString(s + "\n")
}

// escape keeps backslashes, and makes each hyphen one that can be pasted into a shell.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
}
