package config

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
)

// maxVIPs bounds a configuration. Every VIP is a key in etcd and a claim that
// its holder compares at each check; beyond this a range is a slip of the pen.
const maxVIPs = 4096

// VIP is one unit: its addresses move together and count as one.
type VIP struct {
	Name      string // given, or the first address without its prefix length
	Pool      string // name of the pool that it came from; "" for a [[vip]]
	Addresses []Address
	Prefer    []string // nodes, the best first
	// Spread is the tag that VIPs share which should be on different nodes.
	// Where the file gives none it is the subnet of the first address: the
	// prefix as written or, for /32 and /128, the /24 or /64 around it. It
	// never depends on a host's interfaces, so that all nodes plan alike.
	Spread string
	Line   int // where the address, or the [[vip]], stands in the file
}

// vipReader collects the VIPs and remembers what is taken.
type vipReader struct {
	r         *reader
	vips      []VIP
	names     map[string]VIP
	addresses map[Address]item // without length; Dev only if link-local
	full      bool
}

func (r *reader) readVIPs(top table) []VIP {
	v := &vipReader{r: r, names: map[string]VIP{}, addresses: map[Address]item{}}
	if nothing(top, "vip") && nothing(top, "pool") {
		top.problem("vip", "there is no VIP; add a [[vip]] or a [[pool]] with addresses")
	}
	for _, t := range top.tables("vip") {
		v.vip(t)
	}
	pools := map[string]int{}
	for _, t := range top.tables("pool") {
		v.pool(t, pools)
	}
	return v.vips
}

// vip reads one [[vip]].
func (v *vipReader) vip(t table) {
	vip := VIP{Name: t.label("name", ""), Prefer: t.labels("prefer"), Spread: t.label("spread", ""), Line: v.r.lines[t.path]}
	named := vip.Name != ""
	for _, it := range t.addressList() {
		sp, err := parseSpan(it.text)
		if err == nil && sp.First != sp.Last {
			err = fmt.Errorf("%s is a range, and the addresses of a VIP move together; write them one by one, or make it a [[pool]]", quote(it.text))
		}
		if err != nil {
			v.r.problem(it.line, t.name("addresses"), "%s", err)
			continue
		}
		if prefixes := v.take(t, it, sp); len(prefixes) > 0 {
			vip.Addresses = append(vip.Addresses, Address{prefixes[0], sp.dev})
		}
	}
	if len(vip.Addresses) == 0 || !v.room(t.line("addresses"), t.name("addresses"), vip.Name, big.NewInt(1)) {
		return
	}
	if !named {
		vip.Name = vip.Addresses[0].Prefix.Addr().String()
	}
	line := vip.Line
	if named {
		line = t.line("name")
	}
	v.add(vip, line, t.name("name"), "write another name")
}

// pool reads one [[pool]]; each of its addresses becomes a VIP.
func (v *vipReader) pool(t table, pools map[string]int) {
	name, prefer, spread := t.label("name", ""), t.labels("prefer"), t.label("spread", "")
	if name != "" {
		if line, taken := pools[name]; taken {
			t.problem("name", "%q is already the name of the pool at line %d; write another", name, line)
		} else {
			pools[name] = t.line("name")
		}
	}
	for _, it := range t.addressList() {
		sp, err := parseSpan(it.text)
		if err != nil {
			v.r.problem(it.line, t.name("addresses"), "%s", err)
			continue
		}
		if !v.room(it.line, t.name("addresses"), it.text, sp.size()) {
			return
		}
		for _, prefix := range v.take(t, it, sp) {
			v.add(VIP{
				Name:      prefix.Addr().String(),
				Pool:      name,
				Addresses: []Address{{prefix, sp.dev}},
				Prefer:    slices.Clone(prefer),
				Spread:    spread,
				Line:      it.line,
			}, it.line, t.name("addresses"), "make it a [[vip]] with a name of its own")
		}
	}
}

// addressList reads the addresses of a section, which must have some.
func (t table) addressList() []item {
	if nothing(t, "addresses") {
		t.problem("addresses", `is missing; write addresses = ["192.0.2.10"]`)
	}
	return t.texts("addresses")
}

// nothing says whether the key is missing or an empty list.
func nothing(t table, key string) bool {
	v, _ := t.value(key)
	list, ok := v.([]any)
	return v == nil || ok && len(list) == 0
}

// room says whether n more VIPs may be made.
func (v *vipReader) room(line int, key, what string, n *big.Int) bool {
	if v.full {
		return false
	}
	left := maxVIPs - len(v.vips)
	if n.Cmp(big.NewInt(int64(left))) <= 0 {
		return true
	}
	v.full = true // and silent from now on
	v.r.problem(line, key, "%s is %s VIPs where %d fit: a configuration has at most %d; write fewer",
		quote(what), n, left, maxVIPs)
	return false
}

// take returns the addresses of a span that are free, and tells about those
// that are not: once for all that one other entry has.
func (v *vipReader) take(t table, it item, sp span) []netip.Prefix {
	type clash struct {
		first netip.Addr
		n     int
	}
	var free []netip.Prefix
	var others []item
	clashes := map[item]*clash{}
	for addr := sp.First; sp.Contains(addr); addr = addr.Next() {
		prefix := netip.PrefixFrom(addr, sp.bits)
		if why := notInSubnet(prefix); why != "" {
			v.r.problem(it.line, t.name("addresses"), "%q is %s; write the address of a host, or leave the length out", prefix, why)
			continue
		}
		key := Address{Prefix: netip.PrefixFrom(addr, addr.BitLen())}
		if addr.Is6() && addr.IsLinkLocalUnicast() {
			key.Dev = sp.dev // another LAN, another host
		}
		other, taken := v.addresses[key]
		switch {
		case !taken:
			v.addresses[key] = it
			free = append(free, prefix)
		case clashes[other] == nil:
			clashes[other] = &clash{addr, 1}
			others = append(others, other)
		default:
			clashes[other].n++
		}
	}
	for _, other := range others {
		c := clashes[other]
		what := fmt.Sprintf("%q is", c.first)
		if c.n > 1 {
			what = fmt.Sprintf("%q and %d more are", c.first, c.n-1)
		}
		v.r.problem(it.line, t.name("addresses"), "%s already at line %d (%s); write each address once", what, other.line, quote(other.text))
	}
	return free
}

// add takes a VIP into the configuration unless its name is taken.
func (v *vipReader) add(vip VIP, line int, key, write string) {
	if other, taken := v.names[vip.Name]; taken {
		v.r.problem(line, key, "%q is already the name of the VIP at line %d; %s", vip.Name, other.Line, write)
		return
	}
	if vip.Spread == "" {
		vip.Spread = subnet(vip.Addresses[0].Prefix).String()
	}
	v.names[vip.Name] = vip
	v.vips = append(v.vips, vip)
}

// subnet is the LAN that a prefix is probably in; see VIP.Spread.
func subnet(p netip.Prefix) netip.Prefix {
	bits := p.Bits()
	if p.IsSingleIP() {
		bits = 24
		if p.Addr().Is6() {
			bits = 64
		}
	}
	return netip.PrefixFrom(p.Addr(), bits).Masked()
}
