package importer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"viplease/config"
)

// Bounds of viplease's timers, as package config has them.
const (
	maxMature   = 5 * time.Minute
	minInterval = 1200 * time.Millisecond // with the default check_timeout
	minArpCache = time.Second
	maxTimer    = time.Hour
)

// Wackamole imports a wackamole.conf; name is its file name in messages. The
// error, if any, is a [Problems].
func Wackamole(name string, data []byte, opts Options) (Result, error) {
	w := &wackamole{units: newUnits(name), set: map[string]int{}, heads: map[netip.Addr]int{}}
	if w.tooLarge(data) {
		return w.result(w.doc)
	}
	w.doc = newDocument("Wackamole", name, opts)
	statements := w.parse(string(data))
	for _, s := range statements {
		w.translate(s)
	}
	w.prefer(statements)
	w.finish(statements)
	return w.result(w.doc)
}

// wackamole translates the statements of one file.
type wackamole struct {
	*units
	doc   document
	set   map[string]int     // on which line each setting stands, the last one
	heads map[netip.Addr]int // by its first address, as Wackamole knew it: index of the unit
	nets  []token            // addresses with a network
	all   bool               // AcquisitionsPerRound was all once
}

// translate takes one statement into the document.
func (w *wackamole) translate(s statement) {
	switch s.name {
	case "Prefer": // when all VIPs are known
		return
	case "VirtualInterfaces":
		w.interfaces(s)
		return
	case "Notify":
		w.notify(s)
		return
	case "RunDynamic":
		w.runDynamic(s)
		return
	case "PerlUse", "PerlUseLib":
		w.note(s.line, s.name, "is gone: viplease runs programs, in any language, and loads none into itself")
		return
	}
	if line, twice := w.set[s.name]; twice && !(w.all && s.name == "AcquisitionsPerRound") {
		w.note(s.line, s.name, "stands also at line %d; this later one holds, as in Wackamole", line)
	}
	w.set[s.name] = s.line
	switch s.name {
	case "Spread":
		w.note(s.line, s.name, "is gone: the nodes meet in etcd")
	case "SpreadRetryInterval":
		w.note(s.line, s.name, "is gone: etcd is asked again by itself, and addresses stay up for lease.hold meanwhile; Wackamole dropped them at once")
	case "Group":
		w.group(s)
	case "Control":
		w.note(s.line, s.name, "is left out: the socket is /run/viplease/<group>.sock, or control.socket; for wackatrl -l, -f and -s there are viplease status, drain and undrain")
	case "LogFacility":
		w.note(s.line, s.name, "is gone, and Wackamole ignored it: viplease logs to stderr, which systemd keeps in its journal")
	case "ModuleDir":
		w.note(s.line, s.name, "is gone: hooks are programs with absolute paths")
	case "Mature":
		w.doc.mature = w.time(s, 0, maxMature)
		w.note(s.line, s.name, "is now how long any node must be healthy before it is given VIPs; Wackamole gave a node VIPs at once if there was a mature one")
	case "Arp-Cache":
		w.doc.arpCache = w.time(s, minArpCache, maxTimer)
		w.note(s.line, s.name, "is an interval now; Wackamole shared its table at the start, once after that time, and when nodes came and went")
	case "Interval":
		w.doc.interval = w.time(s, minInterval, maxTimer)
	case "AcquisitionsPerRound":
		w.moves(s)
	}
}

// time writes the interval of a setting, within viplease's bounds.
func (w *wackamole) time(s statement, least, most time.Duration) string {
	t := s.value
	if t.hours {
		w.note(s.line, s.name, "%s was %s to Wackamole, which did not multiply hours, and is written so; write the hours into the TOML if they were meant", t.raw, config.Short(t.took))
	}
	fit := min(max(t.took, least), most)
	if fit != t.took {
		w.note(s.line, s.name, "%s is written as %s: viplease takes %s to %s", t.raw, config.Short(fit), config.Short(least), config.Short(most))
	}
	return config.Short(fit)
}

// group takes the name of the Spread group, as far as it is a name here.
func (w *wackamole) group(s statement) {
	w.doc.group = toName(s.value.text)
	if w.doc.group == "" {
		w.doc.group = defaultGroup
	}
	if w.doc.group != s.value.text {
		w.note(s.line, s.name, "%s is written as %q: a name has at most %d letters, digits and . _ : -", quote(s.value.text), w.doc.group, maxName)
	}
}

// defaultGroup is the name of a group that has none.
const defaultGroup = "wackamole"

// moves takes AcquisitionsPerRound. "all", once said, stayed.
func (w *wackamole) moves(s statement) {
	switch {
	case s.value.kind == keyword:
		w.all = true
		w.doc.moves = "all"
		w.note(s.line, s.name, "all now goes on until the load is even; Wackamole made one pass after each change of the membership, ignored Interval, and could stay uneven")
	case w.all:
		w.note(s.line, s.name, "%d has no effect after all, as in Wackamole; it is left out", s.value.n)
	case s.value.n == 0:
		w.doc.moves = "0"
		w.note(s.line, s.name, "0 still means that nothing is moved for balance; VIPs that nobody holds are claimed anyway")
	default:
		w.doc.moves = fmt.Sprint(s.value.n)
		w.note(s.line, s.name, "%d is still the limit of a round for the whole cluster, but no longer cut to half of the VIPs, and preferred VIPs no longer stop a round", s.value.n)
	}
}

// runDynamic leaves the function as a comment.
func (w *wackamole) runDynamic(s statement) {
	key, when := "acquired", "after a VIP has come up"
	if strings.HasSuffix(s.event, "down") {
		key, when = "released", "after a VIP has gone down"
	}
	was := "" // what "on up" did not do needs no word
	switch s.event {
	case "on down":
		was = "; Wackamole ran it once for each address, and at start and stop for VIPs that were not up"
	case "post up":
		was = "; Wackamole ran it once per balance round, and never after a failover"
	case "post down":
		was = "; Wackamole ran it once per round, and not when it stopped"
	}
	w.doc.hooks = append(w.doc.hooks, hook{key, fmt.Sprintf("RunDynamic %s %s", quote(s.value.text), s.event), s.line})
	w.note(s.line, s.name, "%s must be rewritten as a program, for hooks.%s runs one %s, with a timeout, beside the protocol%s",
		quote(s.value.text), key, when, was)
}

// finish adds what is told about the file as a whole.
func (w *wackamole) finish(statements []statement) {
	if !slices.ContainsFunc(statements, func(s statement) bool { return s.name == "VirtualInterfaces" }) {
		w.problem(0, "VirtualInterfaces", "is missing, so there is no VIP; write VirtualInterfaces { eth0:192.0.2.10/32 }")
	}
	w.note(0, "etcd.endpoints", "%q is a placeholder; write the members of your etcd", placeholder)
	if w.doc.group == "" {
		w.doc.group = defaultGroup
		w.note(0, "Group", "is missing, without which Wackamole could not join; it is written as %q, for you to choose", defaultGroup)
	}
	w.absent("Mature", "waited 5m (its manual says 5s); viplease waits 5s")
	w.absent("AcquisitionsPerRound", "moved 1 VIP in a round; viplease moves all")
	if !w.all { // which ignored it
		w.absent("Interval", "had rounds of 5m (its manual says 4s); viplease has rounds of 4s")
	}
	w.absent("Arp-Cache", "shared its table after 60s; viplease does so every 90s")
	w.noteFile()
	w.noteLengths("VirtualInterfaces")
	w.noteNets()
	w.doc.sections = w.sections()
}

// absent tells about a default that differs.
func (w *wackamole) absent(name, differs string) {
	if w.set[name] == 0 {
		w.note(0, name, "is not set: Wackamole %s", differs)
	}
}
