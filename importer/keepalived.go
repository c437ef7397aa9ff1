package importer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Keepalived imports the VRRP part of a keepalived.conf: each vrrp_instance
// becomes a VIP, those of a vrrp_sync_group together one. name is its file
// name in messages. The error, if any, is a [Problems].
func Keepalived(name string, data []byte, opts Options) (Result, error) {
	k := &keepalived{units: newUnits(name), doc: newDocument("keepalived", name, opts), names: map[string]int{}}
	if k.tooLarge(data) {
		return k.result(k.doc)
	}
	lines := k.lines(string(data))
	for _, l := range lines {
		k.top(l)
	}
	if len(k.problems) == 0 && len(k.instances) == 0 {
		k.problem(0, "vrrp_instance", "is missing, so there is no VIP; write vrrp_instance NAME { ... virtual_ipaddress { ... } }")
	}
	k.sync()
	for i := range k.instances {
		k.add("virtual_ipaddress", k.instances[i].unit())
	}
	k.finish()
	return k.result(k.doc)
}

// keepalived translates one file.
type keepalived struct {
	*units
	doc       document
	instances []instance
	groups    []line
	names     map[string]int // of VIPs: how often each was asked for
	ignored   []string       // VRRP's own, that nothing here needs
	ignoredAt int
}

// instance is one vrrp_instance.
type instance struct {
	at        int
	written   string // its name in the file
	name      string
	dev       string
	master    bool
	stays     bool // nopreempt
	addresses []address
}

func (i instance) unit() unit {
	return unit{name: i.name, addresses: i.addresses, prefers: i.master, line: i.at}
}

// top takes one line of the highest level.
func (k *keepalived) top(l line) {
	switch name := l.name(); {
	case strings.HasPrefix(name, "@") || strings.HasPrefix(name, "$"):
		k.notExpanded(l)
	case strings.HasPrefix(name, "include"):
		k.note(l.at, name, "the file is not read; import it by itself, and put the results together")
	case name == "vrrp_instance":
		k.instance(l)
	case name == "vrrp_sync_group":
		k.groups = append(k.groups, l)
	case name == "global_defs":
		k.note(l.at, name, "is left out: mail, SNMP, router ids and VRRP's defaults have no equivalent")
	case name == "vrrp_script" || name == "vrrp_track_process" || name == "vrrp_track_file" || name == "track_file":
		k.note(l.at, name, "%s is left out; a [[check]] with a command is what comes near it", quote(l.word(1)))
	case strings.HasPrefix(name, "virtual_server") || name == "SSL":
		k.note(l.at, name, "is left out: viplease does no load balancing by the kernel (LVS); keepalived can go on doing it, without its vrrp_instance blocks")
	default:
		k.note(l.at, name, "is left out: it has no equivalent")
	}
}

// notExpanded tells about what keepalived works out before it reads a line.
func (k *keepalived) notExpanded(l line) {
	if strings.HasPrefix(l.name(), "@") {
		k.note(l.at, l.name(), "the line is left out: it holds on some hosts alone; write what it says into the TOML")
		return
	}
	k.problem(l.at, l.name(), "definitions are not expanded; write the values in their places")
}

// instance reads one vrrp_instance.
func (k *keepalived) instance(l line) {
	if l.word(1) == "" {
		k.problem(l.at, l.name(), "has no name; write vrrp_instance NAME { ... }")
		return
	}
	in := instance{at: l.at, written: l.word(1), name: k.unique(l.word(1), l.at)}
	for _, b := range l.block {
		if b.name() == "interface" || b.name() == "dev" {
			in.dev = b.word(1)
		}
	}
	blocks := 0
	for _, b := range l.block {
		if b.name() == "virtual_ipaddress" || b.name() == "virtual_ipaddress_excluded" {
			blocks++
			k.addresses(&in, b)
			continue
		}
		k.setting(&in, b)
	}
	if blocks == 0 {
		k.problem(l.at, l.name(), "%s has no addresses; write virtual_ipaddress { 192.0.2.10 }", quote(l.word(1)))
	}
	if len(in.addresses) > 0 {
		k.instances = append(k.instances, in)
	}
}

// unique makes a name of a VIP.
func (k *keepalived) unique(written string, at int) string {
	base := toName(written)
	if base == "" {
		base = "vip"
	}
	name := base
	for k.names[name] > 0 {
		k.names[base]++
		name = fmt.Sprintf("%s-%d", base, k.names[base])
	}
	k.names[name] = 1
	if name != written && written != "" {
		k.note(at, "vrrp_instance", "%s is written as %q, for names are of letters, digits and . _ : - and stand once", quote(written), name)
	}
	return name
}

// setting takes one line of a vrrp_instance.
func (k *keepalived) setting(in *instance, l line) {
	switch name := l.name(); {
	case strings.HasPrefix(name, "@") || strings.HasPrefix(name, "$"):
		k.notExpanded(l)
	case name == "interface" || name == "dev":
	case name == "state":
		in.master = strings.EqualFold(l.word(1), "MASTER")
		if in.master {
			k.preferred(l)
		}
	case name == "priority":
		k.note(l.at, name, "%s is gone, for there are no priorities: in prefer stand the nodes, the best first", quote(l.word(1)))
	case name == "nopreempt":
		in.stays = true
	case name == "preempt_delay":
		k.note(l.at, name, "is gone: mature is how long a node must be healthy before it is given VIPs")
	case strings.HasPrefix(name, "notify") || name == "smtp_alert":
		k.hook(l)
	case strings.HasPrefix(name, "track_"):
		what := "a [[check]] is what comes near it"
		if name == "track_interface" {
			what = "an interface that lost its carrier is given no VIPs anyway"
		}
		k.note(l.at, name, "is left out; %s", what)
	case name == "virtual_routes" || name == "virtual_rules":
		k.note(l.at, name, "is left out: viplease moves addresses, no routes or rules; set them on every node, or from a hook")
	case name == "use_vmac" || name == "use_ipvlan" || name == "vmac_xmit_base":
		k.note(l.at, name, "is gone: a VIP has the MAC of the interface that it is on, and neighbours are told by ARP and ND")
	default:
		if len(k.ignored) == 0 {
			k.ignoredAt = l.at
		}
		if !slices.Contains(k.ignored, name) && len(k.ignored) < 30 {
			k.ignored = append(k.ignored, name)
		}
	}
}

func (k *keepalived) preferred(l line) {
	who := "THIS-NODE in the comment is this node, for you to name"
	if k.doc.node != "" {
		who = "prefer = [" + toml(k.doc.node) + "] says so"
	}
	k.note(l.at, l.name(), "MASTER: the VIP prefers this node; %s; add the other nodes, the best first", who)
}

// hook leaves a script as a comment.
func (k *keepalived) hook(l line) {
	key := ""
	switch l.name() {
	case "notify", "notify_master":
		key = "acquired"
	case "notify_backup", "notify_fault", "notify_stop":
		key = "released"
	}
	if key == "" {
		k.note(l.at, l.name(), "is left out: it has no equivalent")
		return
	}
	k.doc.hooks = append(k.doc.hooks, hook{key, quote(strings.Join(l.words, " ")), l.at})
	k.note(l.at, l.name(), "hooks.%s is what comes near it: a program that is run for each VIP, in order and with a timeout", key)
}

// addresses takes a virtual_ipaddress block.
func (k *keepalived) addresses(in *instance, l line) {
	if len(l.words) > 1 || len(l.block) == 0 {
		k.problem(l.at, l.name(), "there is no address in it; write %s { 192.0.2.10 }", l.name())
		return
	}
	for _, b := range l.block {
		if strings.HasPrefix(b.name(), "@") {
			k.notExpanded(b)
			continue
		}
		if a, ok := k.address(in, b, l.name()); ok {
			in.addresses = append(in.addresses, a)
		}
	}
}

// address reads "ADDRESS[/LENGTH] [OPTION VALUE]...".
func (k *keepalived) address(in *instance, l line, directive string) (address, bool) {
	written, length, hasLength := strings.Cut(l.name(), "/")
	addr, err := netip.ParseAddr(written)
	switch {
	case strings.Contains(l.name(), "$") || strings.HasPrefix(l.name(), "~"):
		k.problem(l.at, directive, "%s is not expanded; write the addresses", quote(l.name()))
		return address{}, false
	case err != nil || addr.Zone() != "" || addr.Is4In6():
		k.problem(l.at, directive, "%s is no IP address; write one such as 192.0.2.10 or 2001:db8::10", quote(l.name()))
		return address{}, false
	}
	a := address{prefix: netip.PrefixFrom(addr, addr.BitLen()), dev: in.dev, line: l.at}
	if hasLength {
		n := atoi(length)
		if n < 0 || n > addr.BitLen() {
			k.problem(l.at, directive, "%s is no prefix length of %s; write one up to /%d", quote("/"+length), addr, addr.BitLen())
			return address{}, false
		}
		a.prefix = netip.PrefixFrom(addr, n)
	}
	dropped := k.options(&a, l)
	if len(dropped) > 0 {
		k.note(l.at, directive, "%s: %s left out, which viplease does not set", addr, strings.Join(dropped, ", "))
	}
	if a.dev == "" && k.once("interface") {
		k.note(l.at, directive, "%s has no interface; viplease takes the one whose subnet holds it", addr)
	}
	return k.take(directive, a)
}

// options reads what follows an address; it returns what has no equivalent.
func (k *keepalived) options(a *address, l line) (dropped []string) {
	for i := 1; i < len(l.words); i++ {
		switch name := l.words[i]; name {
		case "dev":
			i++
			a.dev = l.word(i)
		case "brd", "broadcast", "scope", "label", "peer", "preferred_lft", "track_group":
			i++
			dropped = append(dropped, name)
		case "-nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin", "no_track":
			dropped = append(dropped, name)
		default:
			dropped = append(dropped, quote(name))
		}
	}
	return dropped
}

// sync joins the instances of each vrrp_sync_group, which fail over together.
func (k *keepalived) sync() {
	index := map[string]*instance{}
	for i := range k.instances {
		index[k.instances[i].written] = &k.instances[i]
	}
	for _, g := range k.groups {
		var first *instance
		for _, b := range g.block {
			if b.name() != "group" {
				continue
			}
			for _, member := range b.all() {
				first = k.join(g, first, index[member], member)
			}
		}
		if name := g.word(1); first != nil && name != "" && name != first.written {
			first.name = k.unique(name, g.at)
		}
	}
	k.instances = slices.DeleteFunc(k.instances, func(in instance) bool { return len(in.addresses) == 0 })
}

// join moves the addresses of a member to the first one of its group, which
// it returns.
func (k *keepalived) join(g line, first, member *instance, name string) *instance {
	switch {
	case member == nil || len(member.addresses) == 0:
		k.note(g.at, g.name(), "%s is left out: no vrrp_instance with addresses has this name, or another group took it", quote(name))
	case first == nil:
		return member
	case first != member:
		first.addresses = append(first.addresses, member.addresses...)
		first.master = first.master || member.master
		member.addresses = nil
	}
	return first
}

// finish adds what is told about the file as a whole.
func (k *keepalived) finish() {
	k.doc.group = "keepalived"
	k.note(0, "group", "keepalived has no name for its nodes together; it is written as %q, for you to choose", k.doc.group)
	k.note(0, "etcd.endpoints", "%q is a placeholder; write the members of your etcd", placeholder)
	if len(k.ignored) > 0 {
		k.note(k.ignoredAt, "", "from here on are left out, being VRRP's own or without an equivalent: %s", asciiList(k.ignored))
	}
	stay := 0
	for _, in := range k.instances {
		if in.stays {
			stay++
		}
	}
	switch {
	case stay > 0 && stay == len(k.instances):
		k.doc.failback = "never"
	case stay > 0:
		k.note(0, "nopreempt", "stands in %d of %d instances and is left out; balance.failback = \"never\" is for all VIPs", stay, len(k.instances))
	}
	k.note(0, "", "keepalived gives an instance to the node with the highest priority; viplease spreads the VIPs evenly over the nodes, after what they prefer")
	k.noteFile()
	k.noteLengths("virtual_ipaddress")
	k.doc.sections = k.sections()
}

// asciiList joins words that may be anything.
func asciiList(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = shown(w)
	}
	return strings.Join(list, ", ")
}
