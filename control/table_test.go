package control

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"viplease/coordinator"
)

var update = flag.Bool("update", false, "write the golden tables anew")

var testNow = time.Date(2026, 3, 14, 12, 10, 0, 0, time.UTC)

// manyVIPs is a cluster of three nodes that hold n VIPs.
func manyVIPs(n int) coordinator.Snapshot {
	s := coordinator.Snapshot{
		Group: "www", Node: "proxy-001", Source: "daemon", Version: "v1.2.3", Revision: 18422,
		Etcd: coordinator.EtcdStatus{Reachable: true, AuthorityMS: 2710},
		Self: coordinator.SelfStatus{Registered: true},
	}
	for i := 1; i <= 3; i++ {
		s.Members = append(s.Members, coordinator.MemberStatus{Node: fmt.Sprintf("proxy-%03d", i), State: "ready", Weight: 1, Held: n / 3})
	}
	for i := range n {
		s.VIPs = append(s.VIPs, coordinator.VIPStatus{
			Name: fmt.Sprintf("vip-%02d", i), Addresses: []string{fmt.Sprintf("192.0.2.%d/32", i)}, Node: s.Members[i%3].Node,
			Since: testNow.Add(-time.Minute), State: "held", Why: "balance",
		})
	}
	for i := range 20 {
		s.Events = append(s.Events, coordinator.Event{
			At: testNow.Add(time.Duration(i-20) * time.Second), VIP: fmt.Sprintf("vip-%02d", i), Node: "proxy-001", What: "acquired", Why: "balance",
		})
	}
	return s
}

// goldenTables are the cases of testdata/tables: one for each thing that a table must survive.
func goldenTables() map[string]struct {
	snap coordinator.Snapshot
	screen
} {
	wide, narrow := screen{width: 120, now: testNow}, screen{width: 80, terminal: true, now: testNow}
	cut := manyVIPs(3)
	cut.Etcd = coordinator.EtcdStatus{Trouble: "no endpoint answered within 300ms"}
	cut.Self = coordinator.SelfStatus{Trouble: "the lease ended at 12:09:58; registering anew waits for etcd"}
	for i := range cut.VIPs {
		if cut.VIPs[i].Node == "proxy-001" {
			cut.VIPs[i].Node, cut.VIPs[i].State, cut.VIPs[i].Why = "", "unheld", "this node may not show it without etcd"
		}
	}

	long := manyVIPs(3)
	long.Frozen = "by root on proxy-002: switch maintenance"
	long.Members[1].State, long.Members[1].Why = "unfit", "check nginx: Get \"http://127.0.0.1:80/healthz\": dial tcp 127.0.0.1:80: connect: connection refused"
	long.VIPs[0].Name, long.VIPs[0].Addresses = "2001:db8:1234:5678:9abc:def0:1234:5678", []string{"2001:db8:1234:5678:9abc:def0:1234:5678/128 dev net1"}
	long.VIPs[0].State, long.VIPs[0].To, long.VIPs[0].Why = "moving", "proxy-003", "balance"
	long.VIPs[1].State, long.VIPs[1].Node = "unplaceable", ""
	long.VIPs[1].Why = "no ready node has an interface for 192.0.2.1: proxy-001 has no subnet that holds it, proxy-003 has net1 down"
	long.VIPs[2].Addresses = []string{"192.0.2.2/24", "192.0.2.3/32", "2001:db8::2/128"}
	long.VIPs[2].Since = testNow.Add(time.Second) // the clock of another node

	hostile := manyVIPs(1)
	hostile.Members[0].Why = "\x1b[2Jgone\nfar\u202eaway"
	hostile.VIPs[0].Name = "zażółć-\x07"

	many := manyVIPs(60)
	for _, i := range []int{5, 17, 18, 19, 20, 30, 31, 40, 50, 59} {
		many.VIPs[i].State, many.VIPs[i].Node = "waiting", ""
	}
	return map[string]struct {
		snap coordinator.Snapshot
		screen
	}{
		"held":    {manyVIPs(4), wide},
		"empty":   {coordinator.Snapshot{Group: "www", Node: "n1", Source: "daemon"}, narrow},
		"cut-off": {cut, wide},
		"long":    {long, wide},
		"long-80": {long, narrow},
		"hostile": {hostile, narrow},
		"many":    {many, wide},
	}
}

func TestStatusTables(t *testing.T) {
	for name, c := range goldenTables() {
		t.Run(name, func(t *testing.T) {
			lines := c.status(c.snap)
			for _, line := range lines {
				if utf8.RuneCountInString(line) > c.width {
					t.Errorf("%d columns, more than %d: %s", utf8.RuneCountInString(line), c.width, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("blanks at the end of %q", line)
				}
			}
			golden(t, name, strings.Join(lines, "\n")+"\n")
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "tables", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// Whatever the size of the terminal: every problem and the sum stay, and nothing is wider or higher.
func TestStatusFitsEveryTerminal(t *testing.T) {
	snap := manyVIPs(200)
	snap.VIPs[150].State, snap.VIPs[150].Node = "unheld", ""
	for width := 60; width <= 140; width += 20 {
		for height := 18; height <= 120; height += 3 {
			s := screen{width: width, height: height, terminal: true, now: testNow}
			lines := s.status(snap)
			text := strings.Join(lines, "\n")
			if len(lines) > height {
				t.Fatalf("%d by %d: %d lines\n%s", width, height, len(lines), text)
			}
			if !strings.Contains(text, "! vip-150 ") || !strings.Contains(lines[len(lines)-1], "1 of 200 VIPs NOT held: vip-150") {
				t.Fatalf("%d by %d: the problem is lost\n%s", width, height, text)
			}
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0.0s", 0: "0.0s", 3149 * time.Millisecond: "3.1s", 9999 * time.Millisecond: "9.9s", 10 * time.Second: "10s", 59900 * time.Millisecond: "59s",
		time.Minute: "1m00s", 192 * time.Second: "3m12s", time.Hour: "1h00m", 5*time.Hour + 3*time.Minute: "5h03m", 24 * time.Hour: "1d00h", 294 * time.Hour: "12d06h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

// Events are shown in the reader's zone, whatever the writer's, with the date where it is another one there.
func TestClock(t *testing.T) {
	east := time.FixedZone("east", 3600)
	s := screen{now: time.Date(2026, 3, 14, 0, 30, 0, 0, east)}
	for at, want := range map[time.Time]string{
		time.Date(2026, 3, 13, 23, 15, 0, 0, time.UTC): "00:15:00",
		time.Date(2026, 3, 13, 22, 15, 0, 0, time.UTC): "Mar 13 23:15:00",
	} {
		if got := s.clock(at); got != want {
			t.Errorf("clock(%v) = %s, want %s", at, got, want)
		}
	}
}

// A plan without a node may balance others at the same time: that is not what the drain moves. Nor is what had no node before.
func TestDrainedShowsItsOwnMoves(t *testing.T) {
	p := planned{
		Moves:    []plannedMove{{VIP: "a", From: "n1", To: "n2", Round: 1}, {VIP: "c", From: "n2", To: "n3", Round: 1}},
		Unplaced: []string{"b", "d"},
	}
	got := strings.Join(screen{width: 80}.drained("n1", []string{"a", "b"}, p), "\n")
	want := "n1 is drained; it holds 2 VIPs\n\n  VIP  FROM  TO  ROUND  WHY\n  a    n1    n2      1\n\n! no other node can hold b"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A snapshot from before the drain may show a node that holds nothing yet and is about to be given something.
func TestDrainWaitsForTheDrainToBeSeen(t *testing.T) {
	for state, want := range map[string]bool{"ready": false, "drained": true, "gone": true, "unfit": true} {
		snap := coordinator.Snapshot{Members: []coordinator.MemberStatus{{Node: "n1", State: state}}}
		if got := drainedNow(snap, "n1"); got != want {
			t.Errorf("%s: %v", state, got)
		}
	}
	if !drainedNow(coordinator.Snapshot{}, "n1") {
		t.Error("a node that is not there may be given something")
	}
}

func TestShortAddresses(t *testing.T) {
	for want, in := range map[string][]string{
		"-":               nil,
		"192.0.2.1":       {"192.0.2.1/32 dev net1"},
		"192.0.2.1/24 +1": {"192.0.2.1/24", "192.0.2.2/32"},
		"2001:db8::1":     {"2001:db8::1/128"},
		"2001:db8::1/32":  {"2001:db8::1/32"},
		"odd":             {"odd"},
		"same":            {"2001:db8::9/128 dev net1"},
		"same +1":         {"2001:db8::9", "192.0.2.1"},
	} {
		if got := shortAddresses("2001:db8::9", in); got != want {
			t.Errorf("shortAddresses(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"one two three", 20, []string{"one two three"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 3, []string{"one", "two", "thr", "ee"}},
		{"abcdefgh ij", 4, []string{"abcd", "efgh", "ij"}},
		{"żółw żółw", 4, []string{"żółw", "żółw"}},
	} {
		if got := wrap(c.text, c.width); !slices.Equal(got, c.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

// On a usual terminal, the last events are there however many VIPs there are.
func TestManyVIPsLeaveRoomForEvents(t *testing.T) {
	snap := manyVIPs(60)
	for i := range 20 {
		snap.Events = append(snap.Events, coordinator.Event{At: testNow, VIP: "a", Node: "n1", What: "acquired", Why: fmt.Sprintf("reason %d", i)})
	}
	s := screen{width: 80, height: 23, terminal: true, now: testNow}
	text := strings.Join(s.status(snap), "\n")
	for _, want := range []string{"reason 17", "reason 18", "reason 19", cutNote, "60 of 60 VIPs held"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
