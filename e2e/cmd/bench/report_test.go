package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/judge"
	"viplease/e2e/lab"
)

// found is a report on made-up gaps: at n nodes a host of viplease is missed for n times 90, 100 and 130 ms.
func found() *report {
	r := &report{machine: "a machine", command: "scripts/bench failover", overlaps: map[*program][]judge.Overlap{}}
	vip := netip.MustParseAddr("192.168.3.100")
	for _, n := range []int{2, 12} {
		for _, ms := range []int{90, 130, 100} {
			r.figure = append(r.figure, gap{byDefault, hostDeath, n, "node1", vip, time.Duration(n*ms) * time.Millisecond, 0})
		}
	}
	r.comparison = []gap{
		{byDefault, hostDeath, 3, "node1", vip, 300 * time.Millisecond, 0},
		{byDefault, gracefulStop, 3, "node1", vip, 4 * time.Millisecond, 0},
		{vrrpDefault, hostDeath, 3, "node2", vip, 3 * time.Second, 20 * time.Millisecond},
		{vrrpDefault, gracefulStop, 3, "node2", vip, 610 * time.Millisecond, 0},
	}
	r.overlaps[vrrpDefault] = []judge.Overlap{{VIP: vip, Together: 2 * time.Millisecond}}
	return r
}

func TestTables(t *testing.T) {
	text := found().markdown()
	for _, row := range []string{
		"| viplease | 300 ms | 300 ms | 300 ms | 1.0 | 4 ms | 4 ms | 4 ms | 1.0 | 2 | 0 |",
		"| keepalived | 3000 ms | 3000 ms | 3000 ms | 10 | 610 ms | 610 ms | 610 ms | 152 | 2 | 1, up to 2.0 ms |",
		"| keepalived, 10 ms |  |  |  |  |  |  |  |  | 0 | 0 |",
		"| 2 | 10.82 s | 2.14 s |  | 200 ms (180 to 260) |  | 54 |  |",
		"| 12 | 12.08 s | 2.23 s |  | 1200 ms (1080 to 1560) |  | 10 |  |",
	} {
		if !strings.Contains(text, row+"\n") {
			t.Errorf("there is no row %q in\n%s", row, text)
		}
	}
}

func TestEveryGapIsKept(t *testing.T) {
	r, folder := found(), t.TempDir()
	if err := r.write(folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "failover.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if lines, want := strings.Count(string(text), "\n"), 1+len(r.comparison)+len(r.figure); lines != want {
		t.Errorf("%d lines for %d gaps:\n%s", lines, want-1, text)
	}
	if want := "comparison,keepalived,3,host death,node2,192.168.3.100,3000.000,20.000\n"; !strings.Contains(string(text), want) {
		t.Errorf("there is no line %q in\n%s", want, text)
	}
}

func TestPlot(t *testing.T) {
	p := found().plot()
	var names []string
	for _, s := range p.series {
		names = append(names, s.name)
		if s.name == "viplease" && !slices.Equal(s.points, []point{{2, 200e6, 180e6, 260e6}, {12, 1200e6, 1080e6, 1560e6}}) {
			t.Errorf("viplease's points are %v", s.points)
		}
	}
	if want := []string{"Wackamole", "Wackamole, tuned", "viplease", "keepalived"}; !slices.Equal(names, want) {
		t.Errorf("series %v, want %v", names, want)
	}
	d := xml.NewDecoder(strings.NewReader(p.svg()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, p.svg())
		}
	}
	if up, down := y(longest), y(shortest); up != top || down != bottom || math.Abs(y(100*time.Millisecond)-y(10*time.Millisecond)-y(time.Second)+y(100*time.Millisecond)) > 1e-9 {
		t.Errorf("from %v to %v, and decades are not alike", down, up)
	}
}

func TestKeepalivedHasAnInstanceForEachFamily(t *testing.T) {
	got := vrrpTight.vrrp.config("node2", 1, []netip.Addr{netip.MustParseAddr("192.168.3.100"), netip.MustParseAddr("fd00:3::1:0")})
	for _, want := range []string{"vrrp_version 3\n", "instance ipv4", "instance ipv6", "priority 253\n", "nopreempt", "advert_int 0.01\n", " 192.168.3.100/32 dev net1\n", " fd00:3::1:0/128 dev net1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

func TestTryGoesOnAfterAFault(t *testing.T) {
	var order []string
	err, verdict := try(func(t lab.T) {
		t.Cleanup(func() { order = append(order, "first built") })
		t.Cleanup(func() { t.Fatalf("red") })
		t.Fatalf("no %s", "luck")
		order = append(order, "not reached")
	})
	if err == nil || err.Error() != "no luck" || verdict == nil || verdict.Error() != "red" || !slices.Equal(order, []string{"first built"}) {
		t.Errorf("%v, %v, %v", err, verdict, order)
	}
}
