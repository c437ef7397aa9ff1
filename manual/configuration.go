package manual

import (
	"fmt"
	"strings"

	"viplease/config"
)

// Configuration writes viplease.toml(5), in roff.
func Configuration(sections []config.Section) string {
	p := newPage("viplease.toml", "5", "configuration of viplease")
	p.heading("DESCRIPTION")
	for i, s := range sections {
		switch {
		case i == 0 && s.Text != "":
			p.text(s.Text)
			p.heading("BEFORE THE FIRST SECTION")
		case i > 0:
			p.heading(header(s))
			p.text(s.Text)
		}
		for _, g := range s.Groups {
			for _, k := range g.Keys {
				p.macro(".TP")
				p.macro(".B", short(k)+" = "+k.Value)
				p.line(strings.TrimSpace(facts(k)))
			}
			p.macro(".RS")
			p.text(g.Text)
			p.macro(".RE")
		}
	}
	p.heading("SEE ALSO")
	p.text("viplease(1)")
	return p.String()
}

// Markdown writes docs/configuration.md.
func Markdown(sections []config.Section) string {
	var b strings.Builder
	b.WriteString("# The configuration\n\nMade from config/sample.toml and the reader that enforces it; `go test . -run TestManual -update` writes it anew.\n")
	for i, s := range sections {
		if i > 0 {
			fmt.Fprintf(&b, "\n## %s\n", header(s))
		}
		if s.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", text(s.Text))
		}
		if s.List {
			b.WriteString("\nThe values are examples.\n")
		}
		for _, g := range s.Groups {
			b.WriteString("\n")
			for _, k := range g.Keys {
				fmt.Fprintf(&b, "- `%s = %s`", short(k), k.Value)
				if f := facts(k); f != "" {
					b.WriteString(": " + text(f))
				}
				b.WriteString("\n")
			}
			if g.Text != "" {
				fmt.Fprintf(&b, "\n  %s\n", text(g.Text))
			}
		}
	}
	return b.String()
}

// header is how the section stands in the file.
func header(s config.Section) string {
	if s.List {
		return "[[" + s.Name + "]]"
	}
	return "[" + s.Name + "]"
}

// short is the key without its section.
func short(k config.Key) string { return k.Name[strings.LastIndex(k.Name, ".")+1:] }

// facts are type, bounds and comment in one line.
func facts(k config.Key) string {
	s := k.Kind
	if k.Bounds != "" {
		s += ", " + k.Bounds
	}
	if k.Comment != "" {
		s += "; " + k.Comment
	}
	return s
}

// text keeps what Markdown would take for its own.
func text(s string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`).Replace(s)
}
