package config

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"
)

func readAnnounce(t table) Announce {
	a := Announce{
		Refresh:  t.duration("refresh", time.Minute, time.Second, maxTimer),
		ARPCache: t.duration("arp_cache", 90*time.Second, time.Second, maxTimer),
	}
	for _, n := range t.tables("notify") {
		if notify, ok := readNotify(n); ok {
			a.Notify = append(a.Notify, notify)
		}
	}
	return a
}

// maxNotified is how many hosts one section may name: at 1000 a second they
// are told in a minute.
const maxNotified = 1 << 16

func readNotify(t table) (Notify, bool) {
	n := Notify{Throttle: t.number("throttle", 8, 1, 1000)}
	text := t.text("target", "")
	if text == "" {
		t.problem("target", `is missing; write target = "192.0.2.1/32"`)
		return n, false
	}
	var err error
	if n.Target, n.Dev, err = parseTarget(text); err != nil {
		t.problem("target", "%s", err)
		return n, false
	}
	if size := n.Target.size(); size.Cmp(big.NewInt(maxNotified)) > 0 {
		t.problem("target", "%s has %s addresses, and each is told by itself; write at most %d, such as a /16 or a /112", quote(text), size, maxNotified)
		return n, false
	}
	return n, true
}

// parseTarget reads hosts: a subnet, an address, or a range of addresses.
func parseTarget(s string) (Range, string, error) {
	hosts, dev, err := cutDev(s)
	if err != nil {
		return Range{}, "", err
	}
	if p, err := netip.ParsePrefix(hosts); err == nil && !p.Addr().Is4In6() && NotAHost(p.Addr()) == "" {
		return Range{p.Masked().Addr(), lastOf(p)}, dev, nil
	}
	if strings.Contains(hosts, "/") {
		return Range{}, "", fmt.Errorf(`%s is no subnet; write one such as "192.0.2.0/24"`, quote(hosts))
	}
	sp, err := parseSpan(s)
	return sp.Range, dev, err
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// witnesses reads a list of single addresses.
func (t table) witnesses(key string) []Witness {
	var all []Witness
	lines := map[Witness]int{}
	for _, it := range t.texts(key) {
		sp, err := parseSpan(it.text)
		if err == nil && (sp.First != sp.Last || sp.bits != sp.First.BitLen()) {
			err = fmt.Errorf("%s is not one host; write \"%s\"", quote(it.text), Address{netip.PrefixFrom(sp.First, sp.First.BitLen()), sp.dev})
		}
		w := Witness{sp.First, sp.dev}
		line, twice := lines[w]
		switch {
		case err != nil:
			t.r.problem(it.line, t.name(key), "%s", err)
		case twice:
			t.r.problem(it.line, t.name(key), "%s is already at line %d; write it once", quote(it.text), line)
		default:
			lines[w] = it.line
			all = append(all, w)
		}
	}
	return all
}

// FindWitnesses says on which link each configured witness is, with the links that the host has now. One that has none is left out.
func (c Config) FindWitnesses(links []Link) []Witness {
	l := newLinkIndex(c.VIPs, links)
	var all []Witness
	for _, w := range c.Takeover.Witnesses {
		if dev, err := l.find(Address{netip.PrefixFrom(w.Addr, w.Addr.BitLen()), w.Dev}); err == nil {
			all = append(all, Witness{w.Addr, dev})
		}
	}
	return all
}
