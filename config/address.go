package config

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Address is one address of a VIP.
type Address struct {
	Prefix netip.Prefix // the address itself, not masked, with its length
	Dev    string       // interface name; "": see Config.Resolve
}

// String returns the address as the file writes it: "192.0.2.1/32 dev net1".
func (a Address) String() string {
	if a.Dev == "" {
		return a.Prefix.String()
	}
	return a.Prefix.String() + " dev " + a.Dev
}

// Range is the addresses from First to Last, both included, of one family.
type Range struct{ First, Last netip.Addr }

// Contains says whether addr is in the range.
func (r Range) Contains(addr netip.Addr) bool {
	return addr.BitLen() == r.First.BitLen() && r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

// String returns "192.0.2.1", or "192.0.2.1-192.0.2.9" for more than one.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// size is the number of addresses; an IPv6 range may hold 2^128.
func (r Range) size() *big.Int {
	first, last := r.First.As16(), r.Last.As16()
	n := new(big.Int).SetBytes(last[:])
	n.Sub(n, new(big.Int).SetBytes(first[:]))
	return n.Add(n, big.NewInt(1))
}

// span is an element of a list of addresses: a range, the prefix length of
// its members, and their interface.
type span struct {
	Range
	bits int
	dev  string
}

// parseSpan reads "ADDRESS[-ADDRESS][/LENGTH][ dev INTERFACE]".
func parseSpan(s string) (span, error) {
	addresses, dev, err := cutDev(s)
	if err != nil {
		return span{}, err
	}
	first, last, isRange := strings.Cut(addresses, "-")
	end := &first
	if isRange {
		end = &last
	}
	var length string
	var hasLength bool
	*end, length, hasLength = strings.Cut(*end, "/")
	switch {
	case isRange && (first == "" || last == ""):
		return span{}, fmt.Errorf(`%s is half a range; write one such as "192.0.2.10-192.0.2.19"`, quote(s))
	case isRange && strings.Contains(first, "/"):
		return span{}, fmt.Errorf(`%s has a prefix length in its middle; write it once, at the end`, quote(s))
	}
	sp := span{dev: dev}
	if sp.First, err = parseHost(first); err != nil {
		return span{}, err
	}
	sp.Last, sp.bits = sp.First, sp.First.BitLen()
	if isRange {
		if sp.Last, err = parseHost(last); err != nil {
			return span{}, err
		}
	}
	switch {
	case sp.Last.BitLen() != sp.First.BitLen():
		return span{}, fmt.Errorf("%s mixes IPv4 and IPv6; write two ranges", quote(s))
	case sp.Last.Less(sp.First):
		return span{}, fmt.Errorf("%s ends before it begins; write \"%s-%s\"", quote(s), sp.Last, sp.First)
	case sp.First.IsLinkLocalUnicast() && sp.First.Is6() && dev == "":
		return span{}, fmt.Errorf("%s is a link-local address, which says nothing without an interface; write \"%s dev eth0\"", quote(s), s)
	}
	if hasLength {
		if sp.bits, err = parseLength(length, sp.First); err != nil {
			return span{}, err
		}
	}
	return sp, nil
}

// cutDev splits "ADDRESS dev INTERFACE".
func cutDev(s string) (addresses, dev string, err error) {
	fields := strings.Fields(s)
	switch {
	case len(fields) == 1 && fields[0] != "dev":
		return fields[0], "", nil
	case len(fields) == 3 && fields[1] == "dev":
		if why := BadInterface(fields[2]); why != "" {
			return "", "", fmt.Errorf("%s is no interface name: %s; write it as \"ip link\" shows it", quote(fields[2]), why)
		}
		return fields[0], fields[2], nil
	case len(fields) == 2 && fields[1] != "dev" && BadInterface(fields[1]) == "":
		return "", "", fmt.Errorf("%s is not understood; write %s", quote(s), quote(fields[0]+" dev "+fields[1]))
	case len(fields) == 0:
		return "", "", errors.New(`"" is no address; write one such as "192.0.2.10", or remove it`)
	}
	return "", "", fmt.Errorf(`%s is not understood; write it as "192.0.2.10", "192.0.2.10/32 dev eth0" or, in a pool, "192.0.2.10-192.0.2.19"`, quote(s))
}

// BadInterface says why a name is none of an interface of Linux, or "": what
// the kernel does not take (dev_valid_name in net/core/dev.c, IFNAMSIZ), and
// what cannot be in a line of text.
func BadInterface(name string) string {
	const most = 15
	switch {
	case len(name) > most:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), most)
	case name == "." || name == "..":
		return "it is a name of a folder"
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	}
	for _, r := range name {
		if r == '/' || r == ':' || !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return fmt.Sprintf("it contains %+q", r)
		}
	}
	return ""
}

// parseHost reads an address that one host of a LAN can have.
func parseHost(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return addr, fmt.Errorf(`%s is not an IP address; write one such as "192.0.2.10" or "2001:db8::10"`, quote(s))
	case addr.Zone() != "":
		return addr, fmt.Errorf("%s names an interface after a percent sign; write \"%s dev %s\"", quote(s), addr.WithZone(""), addr.Zone())
	case addr.Is4In6():
		return addr, fmt.Errorf("%s is an IPv4 address written as IPv6; write %q", quote(s), addr.Unmap())
	}
	if kind := NotAHost(addr); kind != "" {
		return addr, fmt.Errorf("%s is %s; write an address that one host can have", quote(s), kind)
	}
	return addr, nil
}

// NotAHost says what else an address is that no single host of a LAN can
// have (RFC 6890 and its registries), or "".
func NotAHost(addr netip.Addr) string {
	switch {
	case addr.IsUnspecified():
		return "the unspecified address"
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsMulticast():
		return "a multicast address"
	case addr.Is4() && addr.As4()[0] == 0:
		return `in "this network" 0.0.0.0/8`
	case addr.Is4() && addr.As4()[0] >= 240:
		return "in the reserved block 240.0.0.0/4"
	}
	return ""
}

// parseLength reads a prefix length. The shortest one allowed is not a rule
// of anybody: below it a slip of the pen is likelier than such a network, and
// the kernel would send half of the world to the interface.
func parseLength(s string, addr netip.Addr) (int, error) {
	least, most := 8, 32
	if addr.Is6() {
		least, most = 16, 128
	}
	bits, err := strconv.ParseUint(s, 10, 8)
	if err != nil || int(bits) < least || int(bits) > most {
		return 0, fmt.Errorf("%s is no prefix length of %s; write %d to %d, best /%d", quote("/"+s), addr, least, most, most)
	}
	return int(bits), nil
}

// notInSubnet says why the subnet of a prefix has no host at its address:
// RFC 1122 section 3.2.1.3 for IPv4, RFC 4291 section 2.6.1 (the anycast
// address of the routers) for IPv6. The last two lengths have no such address
// (RFC 3021, RFC 6164).
func notInSubnet(p netip.Prefix) string {
	free := p.Addr().BitLen() - p.Bits()
	switch {
	case free < 2:
	case p.Masked().Addr() == p.Addr():
		return "the address of the subnet " + p.String() + " itself"
	case p.Addr().Is4() && !p.Contains(p.Addr().Next()):
		return "the broadcast address of " + p.Masked().String()
	}
	return ""
}
