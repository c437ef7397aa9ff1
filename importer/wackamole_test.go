package importer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/config"
)

// one is the least that Wackamole reads and that has a VIP.
const one = "VIPS { eth0:10.0.0.1/32 }\n"

// imported returns what a file that is right becomes.
func imported(t *testing.T, src string, opts Options) (Result, config.Config) {
	t.Helper()
	r, err := Wackamole("w.conf", []byte(src), opts)
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return r, checkTOML(t, r)
}

// noted says whether a note on that line contains the text.
func noted(r Result, line int, text string) bool {
	return slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Line == line && strings.Contains(n.String(), text) })
}

// TestDirectives: what each directive becomes, and what is said about it. Each
// stands on line 2.
func TestDirectives(t *testing.T) {
	is := func(want time.Duration, get func(config.Config) time.Duration) func(config.Config) bool {
		return func(c config.Config) bool { return get(c) == want }
	}
	mature := func(c config.Config) time.Duration { return c.Mature }
	interval := func(c config.Config) time.Duration { return c.Balance.Interval }
	cache := func(c config.Config) time.Duration { return c.Announce.ARPCache }
	moves := func(want int) func(config.Config) bool {
		return func(c config.Config) bool { return c.Balance.MovesPerRound == want }
	}
	group := func(want string) func(config.Config) bool {
		return func(c config.Config) bool { return c.Group == want }
	}
	for _, tt := range []struct {
		src, note string // "": none on that line
		holds     func(config.Config) bool
	}{
		{"Spread = 4803", "Spread: is gone", nil},
		{"spread = 4803@127.0.0.1", "Spread: is gone", nil},
		{"SPREAD = '4803@host'", "Spread: is gone", nil},
		{"SpreadRetryInterval = 5s", "SpreadRetryInterval: is gone", nil},
		{"Group = wack1", "", group("wack1")},
		{"Group = \"wack1\"", "", group("wack1")},
		{"group = 'two words'", `"two words" is written as "two-words"`, group("two-words")},
		{"Group = \"5\"", "", group("5")},
		{"Group = wack1# one", "", group("wack1")},
		{"Group = \"#\"", `"#" is written as "wackamole"`, group("wackamole")},
		{"Group = \"\"", `"" is written as "wackamole"`, group("wackamole")},
		{"Group = " + strings.Repeat("g", 65), "is written as", group(strings.Repeat("g", 64))},
		{"Group = " + strings.Repeat("g", 64), "", group(strings.Repeat("g", 64))},
		{"Control = /var/run/wack.it", "Control: is left out", nil},
		{"Control = 127.0.0.1:2413", "Control: is left out", nil},
		{"LogFacility = local7", "Wackamole ignored it", nil},
		{"ModuleDir = /opt", "ModuleDir: is gone", nil},
		{"PerlUseLib /opt", "PerlUseLib: is gone", nil},
		{"PerlUse Module", "PerlUse: is gone", nil},
		{"RunDynamic a::b on up", "hooks.acquired runs one after a VIP has come up", nil},
		{"RunDynamic a:b POST UP", "never after a failover", nil},
		{"rundynamic a:b on DOWN", "once for each address", nil},
		{"RunDynamic a:b post down", "not when it stopped", nil},

		{"Mature = 5s", "Mature: is now how long any node", is(5*time.Second, mature)},
		{"mature = 0s", "Mature: is now", is(0, mature)},
		{"MATURE = 2M", "Mature: is now", is(2*time.Minute, mature)},
		{"Mature = 1h", "1h was 1s to Wackamole", is(time.Second, mature)},
		{"Mature = 1H", "1H was 1s to Wackamole", is(time.Second, mature)},
		{"Mature = 300s", "Mature: is now", is(5*time.Minute, mature)},
		{"Mature = 301s", "301s is written as 5m", is(5*time.Minute, mature)},
		{"Arp-Cache = 90s", "Arp-Cache: is an interval now", is(90*time.Second, cache)},
		{"arp-cache = 0s", "0s is written as 1s", is(time.Second, cache)},
		{"ARP-CACHE = 61m", "61m is written as 1h", is(time.Hour, cache)},

		{"Balance { Interval = 4s }", "", is(4*time.Second, interval)},
		{"balance { interval = 1s }", "1s is written as 1.2s", is(1200*time.Millisecond, interval)},
		{"balance { interval = 2147483647s }", "is written as 1h", is(time.Hour, interval)},
		{"balance{interval = 2h}", "2h was 2s to Wackamole", is(2*time.Second, interval)},
		{"Balance { AcquisitionsPerRound = all }", "until the load is even", moves(config.All)},
		{"Balance { acquisitionsperround = ALL interval = 5s }", "until the load is even", is(5*time.Second, interval)},
		{"Balance { AcquisitionsPerRound = 3 }", "3 is still the limit", moves(3)},
		{"Balance { AcquisitionsPerRound = 2147483647 }", "is still the limit", moves(2147483647)},
		{"Balance { AcquisitionsPerRound = 0 }", "nothing is moved for balance", moves(0)},
		{"Balance { AcquisitionsPerRound = all AcquisitionsPerRound = 3 }", "3 has no effect after all", moves(config.All)},
		{"Balance { AcquisitionsPerRound = 3 AcquisitionsPerRound = all }", "stands also at line 2", moves(config.All)},

		{"Prefer None", "", nil},
		{"Prefer eth0:10.0.0.1/32", "meant the node whose file this is", nil},
		{"Prefer 10.0.0.1/32", "meant the node whose file this is", nil},
		{"Prefer { eth9:10.0.0.1/32 }", "meant the node whose file this is", nil},
		{"Prefer eth0:10.0.0.1/8", "got lengths under /32 wrong", nil},
		{"Prefer eth0:10.0.0.2/32", "no VIP has this address", nil},
		{"Prefer proxy-001", "did not look up names", nil},

		{"Notify None", "", nil},
		{"Notify Arp-Cache", "arp-cache needs no line", nil},
		{"notify { ARP-CACHE PING }", "ping is gone", nil},
		{"Notify { eth0:10.0.0.9/32 }", "", nil},
		{"Notify { eth0:10.0.0.9/32 throttle 8 }", "throttle 8 is hosts per second", nil},
		{"Notify { eth0:10.0.0.9/32 throttle 1000 }", "throttle 1000 is hosts per second", nil},
		{"Notify { eth0:10.0.0.9/32 throttle 1001 ping }", "throttle 1001 is written as 1000", nil},
		{"Notify { eth0:10.0.0.9/24 }", "throttle = 256 tells them within a second", nil},
		{"Notify { eth0:10.0.0.9/22 throttle 0 }", "throttle = 1000 tells them in 2 seconds", nil},
		{"Notify { eth0:0.0.0.0/0 }", "is left out", nil},
		{"Notify { eth0:10.0.0.0/15 }", "10.0.0.0/15 is left out: it has more than 65536 hosts", nil},
		{"Notify { eth0:10.0.0.0/16 throttle 9 }", "throttle 9 is hosts per second", nil},

		{"VIFS { eth0:10.0.0.2/24 }", "1 address keeps a prefix length", nil},
		{"VirtualInterfaces { eth0:10.0.0.2/32n16 }", "the network after the length (n16", nil},
		{"vifs { 10.0.0.2/32 }", "has no interface", nil},
		{"VIFS { eth0:10.0.0.1/32 }", "stands already at line 1", nil},
		{"VIFS { eth0:10.0.0.2/32 }", "", nil},
	} {
		r, c := imported(t, one+tt.src, Options{})
		if tt.note == "" {
			for _, n := range r.Notes {
				if n.Line == 2 {
					t.Errorf("%s: noted %s", tt.src, n)
				}
			}
		} else if !noted(r, 2, tt.note) {
			t.Errorf("%s: the notes are\n%s", tt.src, notes(r))
		}
		if tt.holds != nil && !tt.holds(c) {
			t.Errorf("%s: became\n%s", tt.src, r.TOML)
		}
	}
}

// TestAbsent: a default that differs is told, and only then.
func TestAbsent(t *testing.T) {
	all := "Group = g\nMature = 5s\nArp-Cache = 60s\nBalance { AcquisitionsPerRound = 1 Interval = 4s }\n"
	for _, tt := range []struct{ without, note string }{
		{"Group = g\n", "Group: is missing"},
		{"Mature = 5s\n", "Mature: is not set: Wackamole waited 5m"},
		{"Arp-Cache = 60s\n", "Arp-Cache: is not set"},
		{"AcquisitionsPerRound = 1 ", "AcquisitionsPerRound: is not set"},
		{"Interval = 4s ", "Interval: is not set"},
	} {
		if r, _ := imported(t, one+all, Options{}); noted(r, 0, tt.note) {
			t.Errorf("%q is noted of a file that has it", tt.note)
		}
		if r, _ := imported(t, one+strings.Replace(all, tt.without, "", 1), Options{}); !noted(r, 0, tt.note) {
			t.Errorf("without %q the notes are\n%s", tt.without, notes(r))
		}
	}
	if r, _ := imported(t, one+"Balance { AcquisitionsPerRound = all }", Options{}); noted(r, 0, "Interval: is not set") {
		t.Error("Interval is missed where Wackamole ignored it")
	}
}

// TestRepeated: the later setting holds, but not a number of moves after all.
func TestRepeated(t *testing.T) {
	r, c := imported(t, "Mature = 1s\n"+one+"Mature = 2s\nGroup = a\nGroup = b\n", Options{})
	if c.Mature != 2*time.Second || c.Group != "b" || !noted(r, 3, "Mature: stands also at line 1; this later one holds") || !noted(r, 5, "Group: stands also at line 4") {
		t.Errorf("became\n%s%s", r.TOML, notes(r))
	}
	r, _ = imported(t, one+"Balance { AcquisitionsPerRound = all AcquisitionsPerRound = 3 }\n", Options{})
	if noted(r, 2, "this later one holds") {
		t.Errorf("a number of moves after all is said to hold:\n%s", notes(r))
	}
}

// TestPreferFirst: a Prefer may stand before the VIPs, on the first line.
func TestPreferFirst(t *testing.T) {
	r, c := imported(t, "Prefer a:10.0.0.1/32\nPrefer None\n"+one, Options{Node: "n"})
	if len(c.VIPs[0].Prefer) != 1 || !noted(r, 1, "meant the node whose file this is, n,") || !noted(r, 2, "None does not undo line 1") {
		t.Errorf("became\n%s%s", r.TOML, notes(r))
	}
}

// TestUnits: which VIPs the addresses become.
func TestUnits(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"{ a:10.0.0.1/32 }", "[[vip]] 10.0.0.1 dev a"},
		{"{ { a:10.0.0.1/32 } }", "[[vip]] 10.0.0.1 dev a"},
		{"{ { a:10.0.0.1/32 b:10.0.1.1/24 } }", "[[vip]] 10.0.0.1 dev a, 10.0.1.1/24 dev b"},
		{"{ a:10.0.0.1/32 a:10.0.0.2/32 { a:10.0.0.3/32 } }", "[[pool]] 10.0.0.1-10.0.0.3 dev a"},
		{"{ a:10.0.0.2/32 a:10.0.0.1/32 }", "[[pool]] 10.0.0.2 dev a, 10.0.0.1 dev a"},
		{"{ a:10.0.0.1/24 a:10.0.0.2/32 b:10.0.0.3/32 }", "[[pool]] 10.0.0.1/24 dev a, 10.0.0.2 dev a, 10.0.0.3 dev b"},
		{"{ a:10.0.0.254/24 a:10.0.0.255/24 a:10.0.1.0/24 a:10.0.1.1/24 }", "[[pool]] 10.0.0.254/24 dev a, 10.0.0.255-10.0.1.0 dev a, 10.0.1.1/24 dev a"},
		{"{ a:10.0.0.1/32 { a:10.0.0.2/32 a:10.0.0.3/32 } a:10.0.0.4/32 a:10.0.0.5/32 }",
			"[[vip]] 10.0.0.1 dev a; [[vip]] 10.0.0.2 dev a, 10.0.0.3 dev a; [[pool]] 10.0.0.4-10.0.0.5 dev a"},
		{"{ a:10.0.0.1/32 a:10.0.0.2/32 a:10.0.0.3/32 }\nPrefer a:10.0.0.2/32", "[[vip]] 10.0.0.1 dev a; [[vip]] 10.0.0.2 dev a prefer n; [[vip]] 10.0.0.3 dev a"},
		{"{ a:10.0.0.1/32 a:10.0.0.2/32 a:10.0.0.3/32 }\nPrefer { a:10.0.0.2/32 a:10.0.0.1/24 }", "[[pool]] 10.0.0.1-10.0.0.2 dev a prefer n; [[vip]] 10.0.0.3 dev a"},
		{"{ { a:10.0.0.1/32 a:10.0.0.2/32 } }\nPrefer a:10.0.0.2/32", "[[vip]] 10.0.0.1 dev a, 10.0.0.2 dev a"},
		{"{ { a:10.0.0.1/32 a:10.0.0.1/32 } { a:10.0.0.1/24 a:10.0.0.2/32 } a:10.0.0.2/32 }", "[[pool]] 10.0.0.1-10.0.0.2 dev a"},
		{"{ a:10.0.0.1/31 a:10.0.0.3/31 a:10.0.0.1/7 a:10.255.255.255/8 }", "[[pool]] 10.0.0.1/31 dev a, 10.0.0.3/31 dev a, 10.255.255.255 dev a"},
		{"{ { a:10.0.0.1/32 a:10.0.0.2/32 } a:10.0.0.2/32 a:10.0.0.3/32 }\nPrefer a:10.0.0.2/32", "[[vip]] 10.0.0.1 dev a, 10.0.0.2 dev a; [[vip]] 10.0.0.3 dev a"},
		{"{ interface-of-15:10.0.0.1/32 }", "[[vip]] 10.0.0.1 dev interface-of-15"},
		{"{ é\"\\:10.0.0.1/32 }", "[[vip]] 10.0.0.1 dev é\"\\"},
		{"{ a:10.0.0.1/32\t{\ta:10.0.0.2/32}}vips{a:10.0.0.3/32}\r\n", "[[pool]] 10.0.0.1-10.0.0.3 dev a"},
	} {
		w, err := Wackamole("w.conf", []byte("VIPS"+tt.src), Options{Node: "n"})
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		checkTOML(t, w)
		if got := outline(w.TOML); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.src, got, tt.want)
		}
	}
}

// outline is the sections of a configuration on one line.
func outline(toml string) string {
	var all []string
	for _, block := range strings.Split(toml, "\n[[")[1:] {
		head, body, _ := strings.Cut(block, "\n")
		var addresses, prefer string
		for l := range strings.Lines(body) {
			l = strings.TrimSpace(l)
			if rest, ok := strings.CutPrefix(l, "prefer = "); ok {
				prefer = " prefer " + strings.Trim(rest, `[]"`)
			} else if strings.Contains(l, `"10.`) && !strings.HasPrefix(l, "name") {
				addresses += ", " + strings.ReplaceAll(strings.Trim(strings.TrimPrefix(l, "addresses = "), `[],"`), `", "`, ", ")
			}
		}
		all = append(all, "[["+head+" "+strings.TrimPrefix(addresses, ", ")+prefer)
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.Join(all, "; "))
}

// TestPreferNode: whose file it is, and that no name is made up.
func TestPreferNode(t *testing.T) {
	const src = "VIPS { eth0:10.0.0.1/32 }\nPrefer eth0:10.0.0.1/32\n"
	_, c := imported(t, src, Options{Node: "proxy-001"})
	if got := c.VIPs[0].Prefer; !slices.Equal(got, []string{"proxy-001"}) {
		t.Errorf("preferred is %q", got)
	}
	for _, node := range []string{"", "two words", "a\"]\nb", strings.Repeat("n", 65)} {
		r, c := imported(t, src, Options{Node: node})
		if len(c.VIPs[0].Prefer) > 0 || !strings.Contains(r.TOML, "\n# prefer = [\"THIS-NODE\"]\n") {
			t.Errorf("node %q became\n%s", node, r.TOML)
		}
	}
}

// TestRefusedSizes: what is too large is refused before it costs anything.
func TestRefusedSizes(t *testing.T) {
	fits := one + "#" + strings.Repeat(" ", maxFile-len(one)-1)
	imported(t, fits, Options{})
	for program, imports := range importers {
		_, err := imports("f", []byte(fits+" "), Options{})
		if want := "f: is larger than 1 MiB; this is no such configuration"; err == nil || err.Error() != want {
			t.Errorf("%s: one byte too many: %v", program, err)
		}
	}
	var many strings.Builder
	for i := range maxVIPs {
		many.WriteString(token{prefix: host4(i)}.prefix.String() + "\n")
	}
	imported(t, "VIPS { "+many.String()+" }", Options{})
	_, err := Wackamole("f", []byte("VIPS { "+many.String()+" 11.0.0.1/32 11.0.0.2/32 }"), Options{})
	if want := "f:4097: VirtualInterfaces: is one VIP more than the 4096 that a configuration of viplease may have; make several groups"; err == nil || err.Error() != want {
		t.Errorf("too many VIPs: %v", err)
	}
	_, err = Wackamole("f", []byte(strings.Repeat("mistake\n", 60)), Options{})
	if lines := strings.Split(err.Error(), "\n"); len(lines) != maxProblems+1 || lines[maxProblems] != "f:50: and 11 more mistakes from here on" {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
	r, _ := imported(t, one+strings.Repeat("Control = a\n", 600), Options{})
	if n := len(r.Notes); n != maxNotes+1 || !strings.HasPrefix(r.Notes[maxNotes].Text, "and ") {
		t.Errorf("%d notes, the last is %s", n, r.Notes[n-1])
	}
}
