package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Link is a network interface of this host, as far as it matters here.
type Link struct {
	Name     string
	Altnames []string
	Prefixes []netip.Prefix // its addresses with their lengths, not masked
	Loopback bool
}

// Resolve says which VIPs this host can hold with the links that it has now.
//
// The VIPs it returns are copies in which every address has the name of its
// link in Dev, in the order of the configuration. An address without dev
// belongs to the link whose own subnet holds it, the longest prefix winning;
// what is a VIP itself, a single address (/32, /128) or on a loopback link is
// no subnet. An address with dev belongs to the link of that name or altname.
//
// A VIP with any address that has no such link is left out, and a Problem for
// each such address says why; its VIP field names the VIP. These are not
// mistakes of the file: a link may come, or get its subnet, a moment later.
// Resolve again when the links change; until then only this VIP is not for
// this host.
func (c Config) Resolve(links []Link) ([]VIP, []Problem) {
	l := newLinkIndex(c.VIPs, links)
	var vips []VIP
	var problems []Problem
	for _, vip := range c.VIPs {
		vip.Addresses = slices.Clone(vip.Addresses)
		whole := true
		for i, a := range vip.Addresses {
			dev, err := l.find(a)
			if err != nil {
				whole = false
				problems = append(problems, Problem{File: c.Path, Line: vip.Line, VIP: vip.Name, Text: err.Error()})
				continue
			}
			vip.Addresses[i].Dev = dev
		}
		if whole {
			vips = append(vips, vip)
		}
	}
	return vips, problems
}

// linkIndex finds links by name and by subnet.
type linkIndex struct {
	byName  map[string]Link
	subnets []subnetOf // the longest prefix first
}

type subnetOf struct {
	prefix netip.Prefix
	link   string
}

func newLinkIndex(vips []VIP, links []Link) linkIndex {
	isVIP := map[netip.Addr]bool{}
	for _, vip := range vips {
		for _, a := range vip.Addresses {
			isVIP[a.Prefix.Addr()] = true
		}
	}
	l := linkIndex{byName: map[string]Link{}}
	for _, link := range links {
		for _, alt := range link.Altnames {
			l.byName[alt] = link
		}
	}
	for _, link := range links {
		l.byName[link.Name] = link // a name beats another link's altname
		for _, p := range link.Prefixes {
			if link.Loopback || p.IsSingleIP() || isVIP[p.Addr()] {
				continue
			}
			l.subnets = append(l.subnets, subnetOf{p.Masked(), link.Name})
		}
	}
	slices.SortStableFunc(l.subnets, func(a, b subnetOf) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return l
}

// find returns the name of the link on which an address belongs.
func (l linkIndex) find(a Address) (string, error) {
	addr := a.Prefix.Addr()
	if a.Dev != "" {
		link, ok := l.byName[a.Dev]
		switch {
		case !ok:
			return "", fmt.Errorf("%s: this host has no interface %s", addr, a.Dev)
		case link.Loopback:
			return "", fmt.Errorf("%s: %s is a loopback interface, where no other host can reach the address", addr, a.Dev)
		}
		return link.Name, nil
	}
	best := subnetOf{}
	for _, s := range l.subnets {
		if !s.prefix.Contains(addr) {
			continue
		}
		switch {
		case best.link == "":
			best = s
		case s.prefix.Bits() < best.prefix.Bits():
			return best.link, nil
		case s.link != best.link:
			return "", fmt.Errorf(`%s: both %s and %s are in its subnet %s; write "%s dev %s" or "%s dev %s"`,
				addr, best.link, s.link, s.prefix, a.Prefix, best.link, a.Prefix, s.link)
		}
	}
	if best.link == "" {
		return "", fmt.Errorf(`%s: no interface of this host is in its subnet; give one an address there, or write "%s dev INTERFACE"`, addr, a.Prefix)
	}
	return best.link, nil
}
