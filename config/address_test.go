package config

import (
	"net/netip"
	"slices"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.1/32 dev net1":    "192.0.2.1 net1",
		"192.0.2.1":                "192.0.2.1 ",
		"192.0.2.9/24":             "192.0.2.0-192.0.2.255 ",
		"192.0.2.9/23 dev a":       "192.0.2.0-192.0.3.255 a",
		"192.0.2.3-192.0.2.5":      "192.0.2.3-192.0.2.5 ",
		"2001:db8::/121":           "2001:db8::-2001:db8::7f ",
		"fe80::/64 dev net1":       "fe80::-fe80::ffff:ffff:ffff:ffff net1",
		"2001:db8::1-2001:db8::10": "2001:db8::1-2001:db8::10 ",
	} {
		r, dev, err := parseTarget(s)
		if got := r.String() + " " + dev; got != want || err != nil {
			t.Errorf("%q is %q, want %q, %v", s, got, want, err)
		}
	}
	for _, s := range []string{"", "x", "192.0.2.1/x", "224.0.0.0/24", "192.0.2.5-192.0.2.3", "fe80::1", "::ffff:192.0.2.0/120"} {
		if r, _, err := parseTarget(s); err == nil {
			t.Errorf("%q is %s", s, r)
		}
	}
}

func TestNotify(t *testing.T) {
	c := parse(t, minimal+"[[announce.notify]]\ntarget = \"192.0.2.1/32 dev net1\"\n[[announce.notify]]\ntarget = \"2001:db8::1\"\nthrottle = 2")
	got := c.Announce.Notify
	want := []Notify{
		{Target: Range{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.1")}, Dev: "net1", Throttle: 8},
		{Target: Range{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::1")}, Throttle: 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestRange(t *testing.T) {
	r := Range{netip.MustParseAddr("192.0.2.250"), netip.MustParseAddr("192.0.3.5")}
	for s, want := range map[string]bool{
		"192.0.2.249": false, "192.0.2.250": true, "192.0.3.0": true, "192.0.3.5": true, "192.0.3.6": false,
		"::ffff:192.0.3.0": false, "2001:db8::1": false,
	} {
		if got := r.Contains(netip.MustParseAddr(s)); got != want {
			t.Errorf("%s contains %s: %v", r, s, got)
		}
	}
	if n := r.size(); n.Int64() != 12 {
		t.Errorf("%s has %s addresses", r, n)
	}
	if r.Contains(netip.Addr{}) {
		t.Error("the zero address is in the range")
	}
}

func TestInterfaceNames(t *testing.T) {
	for name, good := range map[string]bool{
		"e": true, "eth0.100": true, "br-0@x": true, "a23456789012345": true, "a234567890123456": false,
		".": false, "..": false, "...": true, "a b": false, "a\x7f": false, "a/": false, "a:": false,
	} {
		if why := BadInterface(name); (why == "") != good {
			t.Errorf("%q: %q", name, why)
		}
	}
}

// TestSubnetHosts: the last two lengths have no address that is not a host's.
func TestSubnetHosts(t *testing.T) {
	for s, isHost := range map[string]bool{
		"192.0.2.0/30": false, "192.0.2.1/30": true, "192.0.2.3/30": false,
		"192.0.2.0/31": true, "192.0.2.1/31": true, "192.0.2.0/32": true, "192.0.2.255/32": true,
		"2001:db8::/64": false, "2001:db8::ffff:ffff:ffff:ffff/64": true, "2001:db8::/127": true, "2001:db8::/128": true,
	} {
		if why := notInSubnet(netip.MustParsePrefix(s)); (why == "") != isHost {
			t.Errorf("%s is %q", s, why)
		}
	}
}

func TestSpreadIsTheSubnet(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.77/32":     "192.0.2.0/24",
		"192.0.2.77/26":     "192.0.2.64/26",
		"2001:db8::1:1/128": "2001:db8::/64",
		"2001:db8::1:1/56":  "2001:db8::/56",
	} {
		if got := subnet(netip.MustParsePrefix(s)).String(); got != want {
			t.Errorf("%s spreads over %s, want %s", s, got, want)
		}
	}
}
