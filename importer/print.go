package importer

import (
	"fmt"
	"path/filepath"
	"strings"
)

// placeholder stands for the endpoints of etcd, which no other program knows.
const placeholder = "http://127.0.0.1:2379"

// document is a configuration of viplease. "" is what the imported file does
// not say.
type document struct {
	source   string // the program and its file
	group    string
	node     string // "": unknown, preferences are comments
	mature   string
	moves    string // a number, or "all"
	interval string
	failback string
	arpCache string
	notices  []notice
	hooks    []hook
	sections []section
}

// notice is hosts that are to be told where a VIP is now.
type notice struct {
	target   string
	throttle int // hosts per second; 0: viplease's default
}

// hook is what was run when a VIP came or went.
type hook struct {
	key  string // of section [hooks]
	what string // as the imported file has it
	line int
}

// newDocument is an empty document from a file of a program.
func newDocument(program, file string, opts Options) document {
	d := document{source: fmt.Sprintf("%s, a configuration of %s", quote(filepath.Base(file)), program)}
	if isName(opts.Node) {
		d.node = opts.Node
	}
	return d
}

// printer writes lines.
type printer struct{ strings.Builder }

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// print writes the document. Everything in it that is not of our making is
// quoted, also in comments.
func (d document) print() string {
	var p printer
	p.line("# Imported from %s.", d.source)
	p.line("# The same file on every node. Try it with \"viplease check -c FILE\".")
	p.line("")
	p.line("group = %s", toml(d.group))
	if d.mature != "" {
		p.line("mature = %s", toml(d.mature))
	}
	p.line("")
	p.line("[etcd]")
	p.line("# TO DO: the members of your etcd, such as [\"https://10.0.0.1:2379\", \"https://10.0.0.2:2379\"].")
	p.line("endpoints = [%s]", toml(placeholder))
	d.printBalance(&p)
	d.printAnnounce(&p)
	d.printHooks(&p)
	d.printSections(&p)
	return p.String()
}

func (d document) printBalance(p *printer) {
	if d.moves == "" && d.interval == "" && d.failback == "" {
		return
	}
	p.line("")
	p.line("[balance]")
	switch d.moves {
	case "":
	case "all":
		p.line("moves_per_round = %s", toml(d.moves))
	default:
		p.line("moves_per_round = %s", d.moves)
	}
	if d.interval != "" {
		p.line("interval = %s", toml(d.interval))
	}
	if d.failback != "" {
		p.line("failback = %s", toml(d.failback))
	}
}

func (d document) printAnnounce(p *printer) {
	if d.arpCache != "" {
		p.line("")
		p.line("[announce]")
		p.line("arp_cache = %s", toml(d.arpCache))
	}
	for _, n := range d.notices {
		p.line("")
		p.line("[[announce.notify]]")
		p.line("target = %s", toml(n.target))
		if n.throttle > 0 {
			p.line("throttle = %d", n.throttle)
		}
	}
}

// printHooks leaves a comment: the programs must be written first.
func (d document) printHooks(p *printer) {
	if len(d.hooks) == 0 {
		return
	}
	p.line("")
	p.line("# TO DO: hooks are programs here; write them anew.")
	for _, h := range d.hooks {
		p.line("# Line %d: %s", h.line, h.what)
	}
	p.line("# [hooks]")
	for _, key := range []string{"acquired", "released"} {
		for _, h := range d.hooks {
			if h.key == key {
				p.line("# %s = [%s]", key, toml("/etc/viplease/hooks/"+key))
				break
			}
		}
	}
}

// printSections names the pools after the group.
func (d document) printSections(p *printer) {
	pools := 0
	for _, s := range d.sections {
		p.line("")
		if !s.pool {
			p.line("[[vip]]")
			p.line("name = %s", toml(s.units[0].label()))
		} else if pools++; pools == 1 {
			p.line("[[pool]]")
			p.line("name = %s", toml(d.group))
		} else {
			p.line("[[pool]]")
			p.line("name = %s", toml(fmt.Sprintf("%s-%d", d.group, pools)))
		}
		printList(p, "addresses", s.addresses)
		d.printPrefer(p, s.units[0])
	}
}

func (d document) printPrefer(p *printer, first unit) {
	switch {
	case first.prefers && d.node == "":
		p.line("# TO DO: the name of the node whose file this was.")
		p.line("# prefer = [\"THIS-NODE\"]")
	case first.prefers:
		p.line("prefer = [%s]", toml(d.node))
	}
}

// label is the name of a [[vip]].
func (u unit) label() string {
	if u.name != "" {
		return u.name
	}
	return u.addresses[0].prefix.Addr().String()
}

// printList writes a list, one element a line where one line would be long.
func printList(p *printer, key string, list []string) {
	const most = 3
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = toml(s)
	}
	if len(list) <= most {
		p.line("%s = [%s]", key, strings.Join(quoted, ", "))
		return
	}
	p.line("%s = [", key)
	for _, q := range quoted {
		p.line("    %s,", q)
	}
	p.line("]")
}

// toml writes a basic string. s has no control characters and is valid UTF-8.
func toml(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
