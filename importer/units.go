package importer

import (
	"fmt"
	"net/netip"

	"viplease/config"
)

// maxVIPs is how many VIPs a configuration of viplease may have.
const maxVIPs = 4096

// address is one address of a unit.
type address struct {
	prefix netip.Prefix
	dev    string // "": the interface whose subnet holds it
	line   int
}

// length is "/24", or "" where viplease's default is as good.
func (a address) length() string {
	if a.prefix.IsSingleIP() {
		return ""
	}
	return fmt.Sprintf("/%d", a.prefix.Bits())
}

func (a address) onDev() string {
	if a.dev == "" {
		return ""
	}
	return " dev " + a.dev
}

func (a address) String() string { return a.prefix.Addr().String() + a.length() + a.onDev() }

// unit is addresses that move together.
type unit struct {
	name      string // "": the first address
	addresses []address
	prefers   bool // this node
	line      int
}

// plain says whether the unit may be a member of a pool.
func (u unit) plain() bool { return len(u.addresses) == 1 && u.name == "" }

// units collects what becomes [[vip]] and [[pool]].
type units struct {
	*report
	list  []unit
	taken map[place]int // where an address stood first
	long  []address     // those that keep a prefix length
}

// place is where an address is: a link-local one is another on another LAN.
type place struct {
	addr netip.Addr
	dev  string // of link-local addresses alone
}

func newUnits(file string) *units {
	return &units{report: &report{file: file}, taken: map[place]int{}}
}

// take makes an address of what was written, or tells why not.
func (us *units) take(directive string, a address) (address, bool) {
	addr := a.prefix.Addr()
	if kind := config.NotAHost(addr); kind != "" {
		us.problem(a.line, directive, "%s is %s, which no host can have; remove it", addr, kind)
		return a, false
	}
	if why := config.BadInterface(a.dev); a.dev != "" && why != "" {
		us.problem(a.line, directive, "%s is no name of an interface: %s; write it as \"ip link\" shows it", quote(a.dev), why)
		return a, false
	}
	at := place{addr: addr}
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		at.dev = a.dev
		if a.dev == "" {
			us.problem(a.line, directive, "%s is a link-local address, which says nothing without an interface; name one", addr)
			return a, false
		}
	}
	if line, ok := us.taken[at]; ok {
		us.note(a.line, directive, "%s stands already at line %d; left out here, for only one VIP can have it", addr, line)
		return a, false
	}
	us.taken[at] = a.line
	if why := badLength(a.prefix); why != "" {
		us.note(a.line, directive, "%s %s; it is written without, as /%d", a.prefix, why, addr.BitLen())
		a.prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if !a.prefix.IsSingleIP() {
		us.long = append(us.long, a)
	}
	return a, true
}

// add takes a unit, unless all its addresses were left out.
func (us *units) add(directive string, u unit) {
	if len(u.addresses) == 0 {
		return
	}
	if len(us.list) == maxVIPs && us.once("full") {
		us.problem(u.line, directive, "is one VIP more than the %d that a configuration of viplease may have; make several groups", maxVIPs)
	}
	us.list = append(us.list, u)
}

// noteFile says what one file for all nodes means for the names of
// interfaces.
func (us *units) noteFile() {
	for _, u := range us.list {
		for _, a := range u.addresses {
			if a.dev != "" {
				us.note(0, "addresses", `the file is the same on every node; where "dev %s" has another name there, leave it out, and the address goes where its subnet is`, a.dev)
				return
			}
		}
	}
}

// noteLengths advises about the prefix lengths that were kept, once for each
// family; netif/doc.go says what they do.
func (us *units) noteLengths(directive string) {
	for _, family := range []struct {
		is4  bool
		text string
	}{
		{true, "if the interface has an address of its own in %s, as most do, leave the length out, so that the kernel does not tie the two together as primary and secondary; if it has none, keep it, for the route to the subnet comes with it"},
		{false, "it brings no route to %s here; leave it out"},
	} {
		n, first := 0, address{}
		for _, a := range us.long {
			if a.prefix.Addr().Is4() != family.is4 {
				continue
			}
			if n++; n == 1 {
				first = a
			}
		}
		if n > 0 {
			text := fmt.Sprintf(family.text, first.prefix.Masked())
			us.note(first.line, directive, "%s a prefix length, as here (%s): %s", keep(n), first.prefix, text)
		}
	}
}

func keep(n int) string {
	if n == 1 {
		return "1 address keeps"
	}
	return fmt.Sprintf("%d addresses keep", n)
}

// section is one [[vip]] or [[pool]].
type section struct {
	pool      bool
	units     []unit // one for a [[vip]]
	addresses []string
}

// sections makes a pool of each run of plain units that prefer alike.
func (us *units) sections() []section {
	var all []section
	for i := 0; i < len(us.list); {
		j := i + 1
		for us.list[i].plain() && j < len(us.list) && us.list[j].plain() && us.list[j].prefers == us.list[i].prefers {
			j++
		}
		s := section{pool: j-i > 1, units: us.list[i:j]}
		if s.pool {
			s.addresses = ranges(s.units)
		} else {
			for _, a := range us.list[i].addresses {
				s.addresses = append(s.addresses, a.String())
			}
		}
		all = append(all, s)
		i = j
	}
	return all
}

// ranges writes the addresses of plain units, those that count up as one.
func ranges(list []unit) []string {
	var all []string
	for i := 0; i < len(list); {
		first := list[i].addresses[0]
		last, j := first, i+1
		for ; j < len(list); j++ {
			next := list[j].addresses[0]
			if next.prefix.Addr() != last.prefix.Addr().Next() || next.length() != first.length() || next.dev != first.dev {
				break
			}
			last = next
		}
		if last == first {
			all = append(all, first.String())
		} else {
			all = append(all, first.prefix.Addr().String()+"-"+last.prefix.Addr().String()+first.length()+first.onDev())
		}
		i = j
	}
	return all
}

// badLength says why viplease would not take the length of a prefix.
func badLength(p netip.Prefix) string {
	least := 8
	if p.Addr().Is6() {
		least = 16
	}
	last := p.Addr().Is4() && !p.Contains(p.Addr().Next())
	switch free := p.Addr().BitLen() - p.Bits(); {
	case p.Bits() < least:
		return fmt.Sprintf("has a prefix length under %d", least)
	case free >= 2 && p.Masked().Addr() == p.Addr():
		return "is the address of the subnet itself"
	case free >= 2 && last:
		return "is the broadcast address of " + p.Masked().String()
	}
	return ""
}
