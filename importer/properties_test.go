package importer

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"viplease/config"

	"pgregory.net/rapid"
)

// host4 is the nth of some addresses, with its length.
func host4(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

// TestPrintedConfigurationsParse: what Wackamole would have read becomes a
// configuration that viplease accepts, with every VIP in it.
func TestPrintedConfigurationsParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := wackamoleFile(t)
		r, err := Wackamole("w.conf", []byte(src), Options{Node: rapid.SampledFrom([]string{"", "n1", "-"}).Draw(t, "node")})
		if err != nil {
			t.Fatalf("%v\nin:\n%s", err, src)
		}
		c := accepted(t, r)
		want := map[netip.Addr]bool{}
		for _, tok := range tokensOfInterfaces(src) {
			want[tok.prefix.Addr()] = true
		}
		for _, v := range c.VIPs {
			for _, a := range v.Addresses {
				if !want[a.Prefix.Addr()] {
					t.Fatalf("%s is made up, or twice, in\n%s\nfrom\n%s", a, r.TOML, src)
				}
				delete(want, a.Prefix.Addr())
			}
		}
		if len(want) > 0 {
			t.Fatalf("%v are lost in\n%s\nfrom\n%s", want, r.TOML, src)
		}
	})
}

type fatal interface {
	Helper()
	Fatalf(string, ...any)
}

// isLine says whether a note can go to a terminal.
func isLine(n Note) bool {
	return n.Text != "" && !strings.ContainsFunc(n.String(), func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}

// accepted says that viplease accepts a result, and that its notes are lines.
func accepted(t fatal, r Result) config.Config {
	t.Helper()
	c, err := config.Parse("viplease.toml", []byte(r.TOML), host)
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, r.TOML)
	}
	last := 0
	for _, n := range r.Notes {
		if n.Line < last || !isLine(n) {
			t.Fatalf("%#v is out of order, or no line", n)
		}
		last = n.Line
	}
	return c
}

// tokensOfInterfaces returns the addresses in VirtualInterfaces.
func tokensOfInterfaces(src string) []token {
	var all []token
	for _, s := range (&report{}).parse(src) {
		if s.name == "VirtualInterfaces" {
			for _, e := range s.list {
				all = append(all, e.addresses...)
			}
		}
	}
	return all
}

// wackamoleFile draws a file that Wackamole reads, with what is odd in it.
func wackamoleFile(t *rapid.T) string {
	list := func(what string, one *rapid.Generator[string]) string {
		return "{ " + strings.Join(rapid.SliceOfN(one, 1, 6).Draw(t, what), " ") + " }"
	}
	cased := rapid.Custom(func(t *rapid.T) func(string) string {
		return rapid.SampledFrom([]func(string) string{strings.ToLower, strings.ToUpper, strings.Clone}).Draw(t, "case")
	})
	iface := rapid.SampledFrom([]string{"", "eth0:", "net1:", "br-0.1@x:", "é\"\\:", "dev:", "=:"})
	ip := func(lengths ...int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			i := iface.Draw(t, "interface")
			s := fmt.Sprintf("%s%d.0.%03d.%d/%d", i, rapid.SampledFrom([]int{1, 10, 223}).Draw(t, "net"),
				rapid.IntRange(0, 1).Draw(t, "subnet"), rapid.SampledFrom([]int{0, 1, 2, 3, 254, 255}).Draw(t, "host"),
				rapid.SampledFrom(lengths).Draw(t, "length"))
			if i != "" && rapid.Bool().Draw(t, "has a network") {
				s += fmt.Sprintf("n%d", rapid.IntRange(0, 32).Draw(t, "network"))
			}
			return s
		})
	}
	vip := ip(32, 32, 24, 31, 8, 7, 0)
	group := rapid.Custom(func(t *rapid.T) string {
		return "{" + strings.Join(rapid.SliceOfN(vip, 1, 4).Draw(t, "group"), "\n") + "}"
	})
	entry := rapid.Custom(func(t *rapid.T) string {
		who := rapid.OneOf(ip(32, 24, 9, 0), rapid.Just("arp-cache")).Draw(t, "who")
		if who != "arp-cache" {
			who += rapid.SampledFrom([]string{"", " throttle 0", " throttle 8", " THROTTLE 99999"}).Draw(t, "throttle")
		}
		return who + rapid.SampledFrom([]string{"", " ping"}).Draw(t, "ping")
	})
	clock := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprint(rapid.IntRange(0, math.MaxInt32/60).Draw(t, "n")) + rapid.SampledFrom([]string{"s", "m", "h", "S", "M", "H"}).Draw(t, "unit")
	})
	word := rapid.SampledFrom([]string{"x", "'a b'", `"#{}"`, "a::b", "/var/run/x", "\"\"", "\x00\xff", "'\u0085'", "\"\\\"", "www.example.com"})
	var b strings.Builder
	b.WriteString("VirtualInterfaces " + list("interfaces", rapid.OneOf(vip, group)) + "\n")
	for range rapid.IntRange(0, 8).Draw(t, "directives") {
		keep := cased.Draw(t, "case")
		switch rapid.IntRange(0, 8).Draw(t, "directive") {
		case 0:
			name := rapid.SampledFrom([]string{"Spread", "Group", "Control", "LogFacility", "ModuleDir"}).Draw(t, "name")
			b.WriteString(keep(name) + " = " + word.Draw(t, "word"))
		case 1:
			name := rapid.SampledFrom([]string{"SpreadRetryInterval", "Mature", "Arp-Cache"}).Draw(t, "name")
			b.WriteString(keep(name) + " =\t" + clock.Draw(t, "time"))
		case 2:
			b.WriteString(keep("Balance") + "{ " + keep("Interval") + " = " + clock.Draw(t, "interval") + " }")
		case 3:
			n := rapid.SampledFrom([]string{"all", "0", "1", "007", "2147483647"}).Draw(t, "moves")
			b.WriteString(keep("balance { AcquisitionsPerRound = ") + keep(n) + "}")
		case 4:
			b.WriteString(keep("Prefer ") + rapid.OneOf(rapid.Just("None"), ip(32, 24, 8), rapid.Just("www.example.com")).Draw(t, "prefer"))
		case 5:
			b.WriteString(keep("Prefer ") + list("prefer", ip(32, 24, 8)))
		case 6:
			b.WriteString(keep("Notify ") + list("notify", entry))
		case 7:
			b.WriteString(keep(rapid.SampledFrom([]string{"VIFS", "VIPS"}).Draw(t, "alias")) + list("more", rapid.OneOf(vip, group)))
		case 8:
			b.WriteString(keep("RunDynamic ") + word.Draw(t, "function") + keep(rapid.SampledFrom([]string{" on up", " post down"}).Draw(t, "event")))
		}
		b.WriteString(rapid.SampledFrom([]string{"\n", " # x\n", "\r\n"}).Draw(t, "end"))
	}
	return b.String()
}

// fuzz: whatever a file holds, there is a configuration that viplease accepts,
// or a list of problems of moderate size.
func fuzz(t *testing.T, data []byte, r Result, err error) {
	t.Helper()
	if err == nil {
		accepted(t, r)
		if most := 4096 + 100*len(data); len(r.TOML) > most {
			t.Errorf("%d bytes became %d", len(data), len(r.TOML))
		}
		return
	}
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems+1 {
		t.Fatalf("%#v is no list of problems", err)
	}
	last, lines := 0, 1+strings.Count(string(data), "\n")
	for _, p := range problems {
		if p.Line < last || p.Line > lines || !isLine(p) {
			t.Errorf("%#v is out of order, no line, or not in the %d lines of the file", p, lines)
		}
		last = p.Line
	}
	if r.TOML != "" || len(r.Notes) > 0 {
		t.Errorf("a refused file became\n%s", r.TOML)
	}
}

func FuzzWackamole(f *testing.F) {
	for _, name := range []string{"tutorial", "kitchen_sink", "router"} {
		f.Add([]byte(seed(f, name+".wackamole.conf")))
	}
	for _, c := range strings.Split(seed(f, "mistakes.txt"), "\n== ") {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Wackamole("w.conf", data, Options{Node: "n"})
		fuzz(t, data, r, err)
		r, err = Import("w.conf", data, Options{})
		fuzz(t, data, r, err)
	})
}

func FuzzKeepalived(f *testing.F) {
	f.Add([]byte(seed(f, "two.keepalived.conf")))
	f.Add([]byte(seed(f, "sync_on_a_node.keepalived.conf")))
	for _, c := range strings.Split(seed(f, "mistakes.txt"), "\n== ") {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Keepalived("k.conf", data, Options{Node: "n"})
		fuzz(t, data, r, err)
	})
}
