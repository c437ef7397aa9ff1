package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// link reads "net1 (alt1 alt2) 192.0.2.5/24 2001:db8::5/64", "lo" being a
// loopback link.
func link(s string) Link {
	var l Link
	before, rest, alts := strings.Cut(s, " (")
	if alts {
		names, prefixes, _ := strings.Cut(rest, ")")
		l.Altnames = strings.Fields(names)
		before += " " + prefixes
	}
	fields := strings.Fields(before)
	l.Name, l.Loopback = fields[0], fields[0] == "lo"
	for _, p := range fields[1:] {
		l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(p))
	}
	return l
}

func TestResolve(t *testing.T) {
	tests := map[string]struct {
		vips  []string // one VIP each, its addresses separated by commas
		links []string
		want  []string // the VIPs that this host can hold
		why   []string // why not the others
	}{
		"by subnet": {
			vips:  []string{"192.0.2.100/32, 2001:db8::100/128"},
			links: []string{"lo 127.0.0.1/8", "net0 198.51.100.5/24", "net1 192.0.2.5/24 2001:db8::5/64"},
			want:  []string{"192.0.2.100/32 dev net1, 2001:db8::100/128 dev net1"},
		},
		"one unit on two links": {
			vips:  []string{"192.0.2.100/32, 198.51.100.100/32"},
			links: []string{"net0 198.51.100.5/24", "net1 192.0.2.5/24"},
			want:  []string{"192.0.2.100/32 dev net1, 198.51.100.100/32 dev net0"},
		},
		"the longest prefix wins": {
			vips:  []string{"10.1.2.100/32"},
			links: []string{"net0 10.0.0.5/8", "net1 10.1.2.5/24", "net2 10.1.0.5/16"},
			want:  []string{"10.1.2.100/32 dev net1"},
		},
		"two addresses of one subnet on one link": {
			vips:  []string{"10.1.2.100/32"},
			links: []string{"net1 10.1.2.5/24 10.1.2.6/24"},
			want:  []string{"10.1.2.100/32 dev net1"},
		},
		"single addresses are no subnet": {
			vips:  []string{"192.0.2.100/32", "2001:db8::100/128"},
			links: []string{"net0 192.0.2.100/32 2001:db8::100/128", "net1 192.0.2.5/24"},
			want:  []string{"192.0.2.100/32 dev net1"},
			why:   []string{`2001:db8::100: 2001:db8::100: no interface of this host is in its subnet; give one an address there, or write "2001:db8::100/128 dev INTERFACE"`},
		},
		"a VIP is no subnet of the link": {
			vips:  []string{"192.0.2.100/24"},
			links: []string{"net0 192.0.2.100/24"},
			why:   []string{`192.0.2.100: 192.0.2.100: no interface of this host is in its subnet; give one an address there, or write "192.0.2.100/24 dev INTERFACE"`},
		},
		"two links": {
			vips:  []string{"192.0.2.100/32"},
			links: []string{"net0 192.0.2.5/24", "net1 192.0.2.6/24", "net2 192.0.0.1/16"},
			why:   []string{`192.0.2.100: 192.0.2.100: both net0 and net1 are in its subnet 192.0.2.0/24; write "192.0.2.100/32 dev net0" or "192.0.2.100/32 dev net1"`},
		},
		"dev": {
			vips:  []string{"192.0.2.100/32 dev net0", "192.0.2.101/32 dev wan", "192.0.2.102/32 dev net9"},
			links: []string{"net0", "net1 (wan lan) 192.0.2.6/24"},
			want:  []string{"192.0.2.100/32 dev net0", "192.0.2.101/32 dev net1"},
			why:   []string{"192.0.2.102: 192.0.2.102: this host has no interface net9"},
		},
		"a name beats an altname": {
			vips:  []string{"192.0.2.100/32 dev wan"},
			links: []string{"wan", "net1 (wan)"},
			want:  []string{"192.0.2.100/32 dev wan"},
		},
		"loopback": {
			vips:  []string{"192.0.2.100/32", "192.0.2.101/32 dev lo"},
			links: []string{"lo 192.0.2.1/24"},
			why: []string{
				`192.0.2.100: 192.0.2.100: no interface of this host is in its subnet; give one an address there, or write "192.0.2.100/32 dev INTERFACE"`,
				`192.0.2.101: 192.0.2.101: lo is a loopback interface, where no other host can reach the address`,
			},
		},
		"half a unit is none": {
			vips:  []string{"192.0.2.100/32, 198.51.100.100/32, 203.0.113.1/32 dev x", "192.0.2.101/32"},
			links: []string{"net1 192.0.2.5/24"},
			want:  []string{"192.0.2.101/32 dev net1"},
			why: []string{
				`192.0.2.100: 198.51.100.100: no interface of this host is in its subnet; give one an address there, or write "198.51.100.100/32 dev INTERFACE"`,
				`192.0.2.100: 203.0.113.1: this host has no interface x`,
			},
		},
		"no links": {
			vips: []string{"fe80::1/128 dev net1"},
			why:  []string{"fe80::1: fe80::1: this host has no interface net1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := Config{Path: "f.toml"}
			for i, s := range test.vips {
				vip := VIP{Line: i + 1}
				for a := range strings.SplitSeq(s, ", ") {
					vip.Addresses = append(vip.Addresses, address(a))
				}
				vip.Name = vip.Addresses[0].Prefix.Addr().String()
				c.VIPs = append(c.VIPs, vip)
			}
			before := fmt.Sprint(c.VIPs)
			var links []Link
			for _, s := range test.links {
				links = append(links, link(s))
			}
			vips, problems := c.Resolve(links)
			var got, why []string
			for _, vip := range vips {
				var all []string
				for _, a := range vip.Addresses {
					all = append(all, a.String())
				}
				got = append(got, strings.Join(all, ", "))
			}
			for _, p := range problems {
				why = append(why, p.VIP+": "+p.Text)
				if p.Line < 1 || p.File != "f.toml" || c.VIPs[p.Line-1].Name != p.VIP {
					t.Errorf("%v is not where %s stands", p, p.VIP)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if !slices.Equal(why, test.why) {
				t.Errorf("got  %q\nwant %q", why, test.why)
			}
			if after := fmt.Sprint(c.VIPs); after != before {
				t.Errorf("the configuration became %s", after)
			}
		})
	}
}
