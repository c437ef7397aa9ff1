package importer

import (
	"regexp"
	"strings"
)

// block reads "{ ... }", asking element for each token; it tells about a block
// that is not there, not closed or empty.
func (g *grammar) block(d token, what string, element func(t token)) {
	if g.peek().kind != opening {
		g.problem(d.line, d.text, "there is no block after it; write %s { %s }", d.raw, what)
		g.skip()
		return
	}
	g.take()
	for first := true; ; first = false {
		if g.begins() {
			g.problem(d.line, d.text, "the { is never closed; write } where the block ends")
			return
		}
		t := g.take()
		if t.kind != closing {
			element(t)
			continue
		}
		if first {
			g.problem(t.line, d.text, "the block is empty, which Wackamole refused; write { %s }, or remove it", what)
		}
		return
	}
}

func (g *grammar) balance(d token) {
	g.block(d, "AcquisitionsPerRound = all  Interval = 4s", func(t token) {
		name, value, glued := strings.Cut(t.raw, "=")
		canonical := keywords[strings.ToLower(name)]
		switch {
		case t.is("AcquisitionsPerRound") || t.is("Interval"):
			g.setting(t, true)
		case glued && (canonical == "AcquisitionsPerRound" || canonical == "Interval"):
			g.glued(t, canonical, name, value)
		default:
			g.problem(t.line, d.text, "%s is no part of a Balance block; write AcquisitionsPerRound = ... or Interval = ...", quote(t.raw))
			g.skipLine(true)
		}
	})
}

func (g *grammar) prefer(d token) {
	s := statement{line: d.line, name: d.text}
	switch t := g.peek(); {
	case t.kind == opening:
		g.block(d, "eth0:192.0.2.10/32", func(t token) {
			if g.address(d, t) {
				s.list = append(s.list, entry{line: t.line, addresses: []token{t}})
			}
		})
	case g.begins():
		g.problem(d.line, d.text, "has no argument; write Prefer None, or Prefer eth0:192.0.2.10/32")
		return
	case t.kind == text && !looksLikeAddress(t.raw) || t.is("None"):
		s.value = g.take()
	default:
		if g.take(); !g.address(d, t) {
			return
		}
		s.list = []entry{{line: t.line, addresses: []token{t}}}
	}
	g.add(s)
}

func (g *grammar) notify(d token) {
	s := statement{line: d.line, name: d.text}
	if g.accept("None") {
		return
	}
	if t := g.peek(); t.is("Arp-Cache") {
		g.take()
		g.add(statement{line: d.line, name: d.text, list: []entry{{line: t.line}}})
		return
	}
	g.block(d, "eth0:192.0.2.1/32  arp-cache", func(t token) {
		e := entry{line: t.line}
		switch {
		case t.is("Arp-Cache"):
		case t.is("throttle") || t.is("ping"):
			g.problem(t.line, d.text, "%s is in a wrong place; write eth0:192.0.2.1/32 throttle 8 ping, in this order", t.raw)
			if g.peek().kind == number {
				g.take()
			}
			return
		case !g.address(d, t):
			return
		default:
			e.addresses = []token{t}
		}
		if g.accept("throttle") {
			e.throttle = g.throttle(d, t)
		}
		e.ping = g.accept("ping")
		s.list = append(s.list, e)
	})
	g.add(s)
}

// throttle reads the number after "throttle".
func (g *grammar) throttle(d, of token) token {
	n := g.peek()
	if n.kind != number || n.n < 0 {
		g.problem(of.line, d.text, "throttle needs a number of hosts per second; write throttle 8")
		if n.kind == number {
			g.take()
		}
		return token{}
	}
	if g.take(); of.is("Arp-Cache") {
		g.problem(n.line, d.text, "arp-cache takes no throttle, which Wackamole refused; remove throttle %d", n.n)
	}
	return n
}

func (g *grammar) interfaces(d token) {
	s := statement{line: d.line, name: d.text}
	g.block(d, "eth0:192.0.2.10/32", func(t token) {
		if t.kind != opening {
			if g.address(d, t) {
				s.list = append(s.list, entry{line: t.line, addresses: []token{t}})
			}
			return
		}
		e := entry{line: t.line}
		g.at-- // the brace is of the group
		g.block(token{line: t.line, raw: d.raw + " {", text: d.text}, "eth0:192.0.2.10/32", func(t token) {
			if g.address(d, t) {
				e.addresses = append(e.addresses, t)
			}
		})
		s.list = append(s.list, e)
	})
	g.add(s)
}

// Addresses that Wackamole's lexer does not take for one.
var (
	noLength = regexp.MustCompile(`^([^ \t\r\n#{}:]+:)?[0-9]{1,3}(\.[0-9]{1,3}){3}$`)
	noIface  = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}n[0-9]{1,2}$`)
	anIPv6   = regexp.MustCompile(`[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:]*(/[0-9]+)?$`)
	anAlias  = regexp.MustCompile(`^([^:]+):[^:]*:([0-9]{1,3}(\.[0-9]{1,3}){3}/.*)$`)
)

func looksLikeAddress(s string) bool {
	return noLength.MatchString(s) || noIface.MatchString(s) || anAlias.MatchString(s) || anIPv6.MatchString(s)
}

// address says whether a token is a right address, and tells if not.
func (g *grammar) address(d, t token) bool {
	switch {
	case t.kind == ip && t.bad != "":
		g.problem(t.line, d.text, "%s %s; Wackamole took another address for it; write the right one", quote(t.raw), t.bad)
	case t.kind == ip:
		return true
	case t.kind == opening:
		g.problem(t.line, d.text, "a { cannot stand here; remove it, and its }")
		g.skipBlock()
	case noLength.MatchString(t.raw):
		g.problem(t.line, d.text, "%s has no prefix length, without which Wackamole refused it; write %s/32", quote(t.raw), shown(t.raw))
	case noIface.MatchString(t.raw):
		g.problem(t.line, d.text, "%s has a network but no interface, which Wackamole refused; write eth0:%s", quote(t.raw), t.raw)
	case anAlias.MatchString(t.raw):
		g.problem(t.line, d.text, "%s names an alias of an interface; write %s", quote(t.raw), shown(anAlias.ReplaceAllString(t.raw, "$1:$2")))
	case anIPv6.MatchString(t.raw):
		g.problem(t.line, d.text, "%s is IPv6, which Wackamole does not know; remove it here, and add it to the TOML", quote(t.raw))
	default:
		g.problem(t.line, d.text, "%s is no address; write one such as eth0:192.0.2.10/32", quote(t.raw))
	}
	return false
}
