package importer

import "strings"

// line is one line of a keepalived.conf with the block that follows it.
type line struct {
	at    int
	words []string
	block []line
}

// name is the keyword that the line begins with.
func (l line) name() string { return l.words[0] }

// word returns the word at i, or "".
func (l line) word(i int) string {
	if i < len(l.words) {
		return l.words[i]
	}
	return ""
}

// all returns the words of the line and of its block, which keepalived reads
// alike.
func (l line) all() []string {
	all := l.words[1:]
	for _, b := range l.block {
		all = append(all, b.words...)
	}
	return all
}

// maxNesting is more than keepalived has a use for.
const maxNesting = 16

// lines returns the lines of a keepalived.conf. Comments begin with # or !,
// anywhere but in quotes.
func (r *report) lines(src string) []line {
	top := &line{}
	open := []*line{top}
	fresh := false // the next word begins a line
	for at, text := range strings.Split(src, "\n") {
		fresh = true
		for _, word := range words(text) {
			in := open[len(open)-1]
			switch {
			case word == "}" && len(open) == 1:
				r.problem(at+1, "", "there is no { for this }; remove it")
			case word == "}":
				open, fresh = open[:len(open)-1], true
			case word == "{" && len(in.block) == 0:
				r.problem(at+1, "", "there is no keyword before this {; write one, such as vrrp_instance NAME {")
				return nil
			case word == "{" && len(open) > maxNesting:
				r.problem(at+1, "", "blocks are nested more than %d deep; keepalived has no such block", maxNesting)
				return nil
			case word == "{":
				open, fresh = append(open, &in.block[len(in.block)-1]), true
			case fresh:
				in.block, fresh = append(in.block, line{at: at + 1, words: []string{word}}), false
			default:
				last := &in.block[len(in.block)-1]
				last.words = append(last.words, word)
			}
		}
	}
	if len(open) > 1 {
		last := open[len(open)-1]
		r.problem(last.at, last.name(), "the { is never closed; write } where the block ends")
		return nil
	}
	return top.block
}

// words splits a line, without its comment. Braces are words of their own but
// in ${NAME}; quotes are taken off.
func words(s string) []string {
	var all []string
	for {
		s = strings.TrimLeft(s, " \t\r\v\f")
		if s == "" || s[0] == '#' || s[0] == '!' {
			return all
		}
		var word string
		word, s = word1(s)
		all = append(all, word)
	}
}

// word1 cuts the first word off.
func word1(s string) (word, rest string) {
	switch s[0] {
	case '{', '}':
		return s[:1], s[1:]
	case '"':
		if i := strings.IndexByte(s[1:], '"'); i >= 0 {
			return s[1 : 1+i], s[i+2:]
		}
		return s[1:], ""
	}
	variable := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '{' && i > 0 && s[i-1] == '$':
			variable = true
		case c == '}' && variable:
			variable = false
		case strings.IndexByte(" \t\r\v\f#!{}", c) >= 0:
			return s[:i], s[i:]
		}
	}
	return s, ""
}
