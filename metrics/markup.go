package metrics

import (
	"fmt"
	"html"
	"strings"
)

// markup is HTML that may be sent as it is, for it is made by text and element alone, which escape: what the page shows comes from etcd, where anybody may
// have written. Not html/template, with which every exported method of every type would be linked in, 3 MB of them.
type markup string

// text is what a reader sees of it.
func text(format string, args ...any) markup {
	return markup(html.EscapeString(fmt.Sprintf(format, args...)))
}

// attrs are names and values in turn. Names are this program's own, and none of those used takes a script or an address from a value.
type attrs []string

// class is the attribute that most elements have.
func class(name string) attrs { return attrs{"class", name} }

// element has its children between its tags.
func element(name string, with attrs, children ...markup) markup {
	return tag(name, with) + join(children) + markup("</"+name+">")
}

// tag is an element that has no end: meta, link.
func tag(name string, with attrs) markup {
	var b strings.Builder
	b.WriteString("<" + name)
	for i := 0; i+1 < len(with); i += 2 {
		b.WriteString(" " + with[i] + `="` + html.EscapeString(with[i+1]) + `"`)
	}
	b.WriteString(">")
	return markup(b.String())
}

func join(list []markup) markup {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(string(m))
	}
	return markup(b.String())
}

// when is the markup if it is to be there.
func when(shown bool, m markup) markup {
	if !shown {
		return ""
	}
	return m
}

// each is the markup of every item of a list.
func each[T any](list []T, of func(T) markup) markup {
	all := make([]markup, len(list))
	for i, item := range list {
		all[i] = of(item)
	}
	return join(all)
}
