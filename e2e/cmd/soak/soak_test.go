package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"viplease/e2e/faults"
	"viplease/e2e/judge"
	"viplease/e2e/probe"
)

var (
	one = netip.MustParseAddr("192.168.3.100")
	two = netip.MustParseAddr("fd00:3::1:0")
)

func change(at float64, vip netip.Addr, node string, up bool) judge.Change {
	return judge.Change{At: seconds(at), VIP: vip, Node: node, Up: up}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// kind is the one of this name.
func kind(t *testing.T, name string) *faults.Kind {
	t.Helper()
	for _, k := range faults.Kinds {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no kind is called %s", name)
	return nil
}

func outcome(k *faults.Kind, node int, target string, began, ended float64) faults.Outcome {
	return faults.Outcome{Fault: faults.Fault{Kind: k, Node: node}, Target: target, Began: seconds(began), Ended: seconds(ended)}
}

func TestUnheldAndMoves(t *testing.T) {
	history := []judge.Change{
		change(1, one, "node1", true), // before the beginning
		change(5, two, "node3", true), // another VIP
		change(12, one, "node1", false),
		change(12.5, one, "node2", true),
		change(14, one, "node2", false),
		change(14.25, one, "node2", true), // back where it was: no move
		change(19, one, "node2", false),
		change(30, one, "node1", true), // after the end
	}
	for _, c := range []struct {
		name        string
		vip         netip.Addr
		from, until float64
		down        float64
		moves       int
	}{
		{"all of it", one, 10, 20, 0.5 + 0.25 + 1, 1},
		{"a part in which it is up", one, 14.5, 18, 0, 0},
		{"a part in which it is down", one, 12.1, 12.4, 0.3, 0},
		{"until it is up again", one, 19.5, 30, 10.5, 1},
		{"another VIP", two, 10, 20, 0, 0},
		{"one that never was up", netip.MustParseAddr("192.168.3.200"), 10, 20, 10, 0},
	} {
		b := book{history: history}
		down, moves := b.unheld(c.vip, seconds(c.from), seconds(c.until))
		if (down-seconds(c.down)).Abs() > time.Microsecond || moves != c.moves {
			t.Errorf("%s: down for %v, %d moves, expected %v s and %d", c.name, down, moves, c.down, c.moves)
		}
	}
}

func TestCauseIsTheOnlyFaultThatTouchedTheHolder(t *testing.T) {
	killed, cut, deleted, leader := kind(t, "daemon-killed"), kind(t, "etcd-unreachable"), kind(t, "claim-deleted"), kind(t, "leader-killed")
	history := []judge.Change{change(1, one, "node2", true), change(9, one, "node2", false), change(50, one, "node1", true)}
	outage := probe.Outage{VIP: one, Start: seconds(10), Duration: seconds(3)}
	mine := outcome(killed, 1, "node2", 7, 12)
	idle := outcome(cut, 1, "node2", 7, 12)
	idle.Without = "it did nothing"
	for _, c := range []struct {
		name     string
		outcomes []faults.Outcome
		cause    *faults.Kind
	}{
		{"none", nil, nil},
		{"the holder's", []faults.Outcome{mine}, killed},
		{"not over yet", []faults.Outcome{outcome(killed, 1, "node2", 7, 0)}, killed},
		{"another node's beside it", []faults.Outcome{mine, outcome(cut, 0, "node1", 7, 12)}, killed},
		{"two of the holder's", []faults.Outcome{mine, outcome(cut, 1, "node2", 8, 12)}, nil},
		{"one that did nothing beside it", []faults.Outcome{mine, idle}, killed},
		{"over for long", []faults.Outcome{outcome(killed, 1, "node2", 2, 8)}, nil},
		{"later", []faults.Outcome{outcome(killed, 1, "node2", 11, 12)}, nil},
		{"of the VIP", []faults.Outcome{outcome(deleted, 4, one.String(), 10, 10)}, deleted},
		{"of another VIP", []faults.Outcome{outcome(deleted, 1, two.String(), 10, 10)}, nil},
		{"of etcd", []faults.Outcome{outcome(leader, 4, "etcd1", 7, 12)}, leader},
	} {
		b := book{history: history, outcomes: c.outcomes}
		got, ok := b.cause(outage)
		if ok != (c.cause != nil) || ok && got.Kind != c.cause {
			t.Errorf("%s: %v, %t", c.name, got, ok)
		}
	}
}

func TestFiguresCountWhatTookEffect(t *testing.T) {
	killed := kind(t, "daemon-killed")
	idle := outcome(killed, 0, "node1", 11, 11)
	idle.Without = "left out"
	b := book{
		vips:     []netip.Addr{one, two},
		history:  []judge.Change{change(1, one, "node1", true), change(1, two, "node2", true), change(15, two, "node2", false), change(16, two, "node1", true)},
		outages:  []probe.Outage{{VIP: two, Start: seconds(15), Duration: seconds(1.25), Lost: 200}, {VIP: one, Start: seconds(17), Duration: seconds(0.5), Lost: 1}},
		outcomes: []faults.Outcome{outcome(killed, 1, "node2", 12, 18), idle},
	}
	var f figures
	f.count(&b, seconds(10), seconds(20))
	if f.Injected != 1 || f.Unheld != 1 || f.Unanswered != 1.75 || f.WorstMS != 1250 || f.Moves != 1 {
		t.Errorf("%+v", f)
	}
	for _, k := range f.Kinds {
		if k.Kind == killed.Name {
			if k.Injected != 1 || k.NoEffect != 1 || k.Outages != 1 || k.WorstMS != 1250 {
				t.Errorf("%+v", k)
			}
		} else if *k != (kindFigures{Kind: k.Kind}) {
			t.Errorf("%+v", k)
		}
	}
	if len(f.Longest) != 1 || !strings.Contains(f.Longest[0], "daemon-killed") || !strings.Contains(f.Longest[0], "up on node1") {
		t.Errorf("the longest outages: %q", f.Longest)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"30", "--seed", "7", "--only", "host-dead,quorum-lost", "--json"})
	if err != nil || o.length != 30*time.Minute || o.seed != 7 || len(o.kinds) != 2 || !o.json {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parse([]string{"--without", "host-dead", "0.5"})
	if err != nil || o.length != 30*time.Second || len(o.kinds) != len(faults.Kinds)-1 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range []string{"", "x", "0", "1 2", "1 --nodes 2", "1 --phase 1s", "1 --only nothing", "1 --without nothing", "1 --per-minute 0"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestInstant(t *testing.T) {
	want := time.Duration(time.Date(2026, 11, 20, 12, 50, 3, 980e6, time.UTC).UnixNano())
	for _, line := range []string{
		`time=2026-11-20T12:50:03.980Z level=WARN msg=paused`,
		`time=2026-11-20T14:50:03.980+02:00 level=WARN msg=paused`,
		`{"level":"warn","ts":"2026-11-20T12:50:03.980000Z","msg":"slow"}`,
	} {
		if got, ok := instant(line); !ok || got != want {
			t.Errorf("%s: %v, %t", line, got, ok)
		}
	}
	if at, ok := instant("goroutine 1 [running]:"); ok {
		t.Errorf("a line without a time has %v", at)
	}
}
