package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPoolsNeverYieldDuplicates: whatever is written, a configuration that is
// taken has each address and each name once and just the addresses written;
// and one that is refused does have an address twice.
func TestPoolsNeverYieldDuplicates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var doc strings.Builder
		doc.WriteString("group = \"www\"\netcd.endpoints = [\"http://127.0.0.1:2379\"]\n")
		written := map[netip.Addr]int{}
		twice := false
		entry := func(longest int) string {
			base := netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.250", "2001:db8::fff0"}).Draw(t, "base"))
			for range rapid.IntRange(0, 60).Draw(t, "start") {
				base = base.Next()
			}
			last := base
			for range rapid.IntRange(0, longest).Draw(t, "length") {
				last = last.Next()
			}
			for a := base; a != last.Next(); a = a.Next() {
				written[a]++
				twice = twice || written[a] > 1
			}
			s := Range{base, last}.String()
			if base == last && rapid.Bool().Draw(t, "expanded") {
				s = base.StringExpanded()
			}
			return fmt.Sprintf("%q", s)
		}
		for range rapid.IntRange(1, 4).Draw(t, "sections") {
			section, longest := "[[pool]]", 12
			if rapid.Bool().Draw(t, "vip") {
				section, longest = "[[vip]]", 0
			}
			var list []string
			for range rapid.IntRange(1, 3).Draw(t, "entries") {
				list = append(list, entry(longest))
			}
			fmt.Fprintf(&doc, "%s\naddresses = [%s]\n", section, strings.Join(list, ", "))
		}
		c, err := Parse("f.toml", []byte(doc.String()), host)
		if (err != nil) != twice {
			t.Fatalf("an address twice: %v, and yet %v\n%s", twice, err, doc.String())
		}
		if err != nil {
			return
		}
		checkVIPs(t, c.VIPs)
		n := 0
		for _, vip := range c.VIPs {
			for _, a := range vip.Addresses {
				n++
				if written[a.Prefix.Addr()] != 1 {
					t.Fatalf("%s was not written", a)
				}
			}
		}
		if n != len(written) {
			t.Fatalf("%d addresses of %d", n, len(written))
		}
	})
}

// checkVIPs checks what must hold of the VIPs of every configuration.
func checkVIPs(t interface{ Fatalf(string, ...any) }, vips []VIP) {
	names, addresses := map[string]bool{}, map[string]bool{}
	for _, vip := range vips {
		if vip.Name == "" || badName(vip.Name) != "" || names[vip.Name] {
			t.Fatalf("the name %q is bad or used twice", vip.Name)
		}
		names[vip.Name] = true
		if len(vip.Addresses) == 0 || vip.Spread == "" || vip.Line < 1 {
			t.Fatalf("%+v is incomplete", vip)
		}
		for _, a := range vip.Addresses {
			key := a.Prefix.Addr().String()
			if a.Prefix.Addr().Is6() && a.Prefix.Addr().IsLinkLocalUnicast() {
				key += "%" + a.Dev
			}
			if !a.Prefix.IsValid() || addresses[key] {
				t.Fatalf("the address %s is bad or used twice", a)
			}
			addresses[key] = true
		}
	}
	if len(vips) == 0 || len(vips) > maxVIPs {
		t.Fatalf("there are %d VIPs", len(vips))
	}
}

func TestMostVIPs(t *testing.T) {
	doc := "group = \"www\"\netcd.endpoints = [\"http://127.0.0.1:2379\"]\n[[pool]]\naddresses = [\"10.0.0.1-10.0.16.0\"]"
	c := parse(t, doc)
	checkVIPs(t, c.VIPs)
	if len(c.VIPs) != maxVIPs {
		t.Errorf("%d VIPs", len(c.VIPs))
	}
	doc += "\n[[vip]]\naddresses = [\"10.1.0.1\"]"
	_, err := Parse("f.toml", []byte(doc), host)
	want := `f.toml:4: pool.addresses: "10.0.0.1-10.0.16.0" is 4096 VIPs where 4095 fit: a configuration has at most 4096; write fewer`
	if fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
}
