package importer

import (
	"fmt"

	"viplease/config"
)

// interfaces takes the VIPs of one VirtualInterfaces.
func (w *wackamole) interfaces(s statement) {
	for _, e := range s.list {
		u := unit{line: e.line}
		for _, t := range e.addresses {
			if a, ok := w.take(s.name, address{t.prefix, t.iface, t.line}); ok {
				u.addresses = append(u.addresses, a)
			}
			if t.iface == "" && w.once("interface") {
				w.note(t.line, s.name, "%s has no interface; viplease takes the one whose subnet holds it", t.prefix.Addr())
			}
			if t.net >= 0 {
				w.nets = append(w.nets, t)
			}
		}
		if len(e.addresses) == 0 {
			continue // told by the grammar
		}
		head := e.addresses[0].prefix.Addr()
		if _, twice := w.heads[head]; !twice && len(u.addresses) > 0 {
			w.heads[head] = len(w.list)
		}
		w.add(s.name, u)
	}
}

// noteNets tells once about the networks of addresses.
func (w *wackamole) noteNets() {
	if len(w.nets) > 0 {
		first := w.nets[0]
		w.note(first.line, "VirtualInterfaces", "the network after the length (n%d of %s is the first) is gone: it only said which hosts may be told; viplease sees the subnets of the interface",
			first.net, first.prefix.Addr())
	}
}

// prefer takes every Prefer, now that the VIPs are known.
func (w *wackamole) prefer(statements []statement) {
	first := 0
	for _, s := range statements {
		if s.name != "Prefer" {
			continue
		}
		switch {
		case s.value.is("None"):
			if first > 0 {
				w.note(s.line, s.name, "None does not undo line %d, here as in Wackamole", first)
			}
			continue
		case s.value.kind == text:
			w.note(s.line, s.name, "%s is left out: Wackamole did not look up names", quote(s.value.text))
			continue
		}
		for _, e := range s.list {
			if w.preferOne(e.addresses[0]) && first == 0 {
				first = s.line
			}
		}
	}
	if first > 0 {
		w.notePrefer(first)
	}
}

// preferOne takes one address of a Prefer; it says whether a VIP begins with
// it.
func (w *wackamole) preferOne(t token) bool {
	addr := t.prefix.Addr()
	if i, ok := w.heads[addr]; ok {
		w.list[i].prefers = true
		if !t.prefix.IsSingleIP() {
			w.note(t.line, "Prefer", "%s makes the VIP %s prefer this node now; Wackamole got lengths under /32 wrong, so that this mostly did nothing: remove prefer from the TOML if that was fine",
				t.prefix, addr)
		}
		return true
	}
	why := "no VIP has this address"
	if line, in := w.taken[place{addr: addr}]; in {
		why = fmt.Sprintf("it is not the first address of the VIP at line %d", line)
	}
	w.note(t.line, "Prefer", "%s is left out: %s, and Wackamole did nothing either", t.prefix, why)
	return false
}

func (w *wackamole) notePrefer(line int) {
	if w.doc.node == "" {
		w.note(line, "Prefer", `meant the node whose file this is: write its name instead of THIS-NODE and remove the "# ", and add the nodes whose files prefer the same VIP, the best first`)
		return
	}
	w.note(line, "Prefer", "meant the node whose file this is, %s, and now stands in the file of all; add the nodes whose files prefer the same VIP, the best first", w.doc.node)
}

// notify takes the hosts of one Notify.
func (w *wackamole) notify(s statement) {
	for _, e := range s.list {
		if e.ping && w.once("ping") {
			w.note(e.line, s.name, "ping is gone: it was sent only to hosts whose MAC arp-cache knew; hosts learn from the ARP notices")
		}
		if len(e.addresses) == 0 {
			w.note(e.line, s.name, "arp-cache needs no line of its own: announce.arp_cache stands for it")
			continue
		}
		w.notice(s.name, e)
	}
}

// maxNotified is how many hosts one section may name, as a power of two.
const maxNotified = 16

// notice takes one range of hosts. Wackamole told all of them at once unless
// there was a throttle.
func (w *wackamole) notice(directive string, e entry) {
	const most = 1000 // a second, as viplease allows
	t := e.addresses[0]
	hosts := t.prefix.Masked()
	if kind := config.NotAHost(hosts.Addr()); kind != "" {
		w.note(e.line, directive, "%s is left out: %s is %s", hosts, hosts.Addr(), kind)
		return
	}
	if why := config.BadInterface(t.iface); t.iface != "" && why != "" {
		w.problem(e.line, directive, "%s is no name of an interface: %s; write it as \"ip link\" shows it", quote(t.iface), why)
		return
	}
	if hosts.Addr().BitLen()-hosts.Bits() > maxNotified {
		w.note(e.line, directive, "%s is left out: it has more than %d hosts, and each is told by itself; the neighbours that any node has seen are told anyway, so write only those that matter",
			hosts, 1<<maxNotified)
		return
	}
	n := notice{target: hosts.String() + address{dev: t.iface}.onDev()}
	size := 1 << (hosts.Addr().BitLen() - hosts.Bits())
	switch wanted := e.throttle.n; {
	case wanted > most:
		n.throttle = most
		w.note(e.line, directive, "throttle %d is written as %d, the most that viplease sends a second", wanted, most)
	case wanted > 0:
		n.throttle = wanted
		if w.once("throttle") {
			w.note(e.line, directive, "throttle %d is hosts per second, as it was in Wackamole; some tutorials take it for a number of times", wanted)
		}
	case size > 1:
		n.throttle = min(size, most)
		w.note(e.line, directive, "%s had no throttle, and all hosts were told at once; throttle = %d tells %s", hosts, n.throttle, inTime(size, n.throttle))
	}
	w.doc.notices = append(w.doc.notices, n)
}

// inTime says how long it takes to tell so many hosts.
func inTime(hosts, perSecond int) string {
	if hosts <= perSecond {
		return "them within a second"
	}
	return fmt.Sprintf("them in %d seconds or more", (hosts+perSecond-1)/perSecond)
}
