package faults

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

func TestMain(m *testing.M) {
	lab.Main(lab.NeedEtcd, lab.NeedViplease)
	os.Exit(m.Run())
}

// strict is a T whose Fatalf the faults catch.
type strict struct{ *testing.T }

func (s strict) Fatalf(format string, args ...any) { panic(Fatal(fmt.Sprintf(format, args...))) }

// world is a cluster to break.
func world(t *testing.T, o cluster.Options) *World {
	w := New(cluster.Start(strict{t}, o))
	t.Cleanup(w.Close)
	return w
}

// inject runs one fault to its end.
func inject(t *testing.T, w *World, f Fault) (o Outcome) {
	t.Helper()
	w.Run(context.Background(), []Fault{f}, func(done Outcome) { o = done })
	if o.Err != nil {
		t.Fatalf("%v", o)
	}
	return o
}

// TestEveryKindTakesEffect: each kind, on a cluster that is whole, does what it is for, and leaves nothing broken behind.
func TestEveryKindTakesEffect(t *testing.T) {
	w := world(t, cluster.Options{Nodes: 3, VIPs: 6, Etcd: 3})
	w.Within(30*time.Second, "cold start", w.Even(w.Nodes...))
	for i, k := range Kinds {
		t.Run(k.Name, func(t *testing.T) {
			w.Within(30*time.Second, "what was broken before is whole", w.AllHeld)
			o := inject(t, w, Fault{Kind: k, For: shortest(k), Node: i % len(w.Nodes), Draw: uint32(i)})
			if o.Without != "" {
				t.Errorf("%v", o)
			}
			if o.Target == "" || strings.Contains(o.String(), "no effect") {
				t.Errorf("it says %q", o)
			}
			if !o.Touches(w.Nodes[i%len(w.Nodes)].Name, w.VIPs[i%len(w.VIPs)]) {
				t.Errorf("%v does not touch what it hit", o)
			}
			for _, n := range w.Nodes {
				if !w.Running(n) || n.Dead() {
					t.Errorf("%s was left broken", n.Name)
				}
			}
			for _, s := range w.Etcd.Servers {
				if !s.Running() {
					t.Errorf("%s was left broken", s.Name)
				}
			}
		})
	}
	w.Within(30*time.Second, "rest", w.Even(w.Nodes...))
	w.Answering(15 * time.Second)
	if got := len(w.Outcomes()); got != len(Kinds) {
		t.Errorf("%d outcomes of %d faults", got, len(Kinds))
	}
}

// shortest is for how long a kind is in force here: not so long that VIPs move, where that can be had.
func shortest(k *Kind) time.Duration {
	if k.Most == 0 {
		return 0
	}
	return max(k.Least, 300*time.Millisecond)
}

// TestFaultsThatDoNothingSaySo: where nothing runs, nothing can be broken.
func TestFaultsThatDoNothingSaySo(t *testing.T) {
	w := world(t, cluster.Options{Nodes: 2, VIPs: 2, Etcd: 1, Idle: true})
	for name, why := range map[string]string{
		"address-deleted": "up nowhere", "lease-revoked": "not registered", "member-deleted": "no such key", "state-deleted": "no such key", "claim-deleted": "no such key",
	} {
		for _, k := range Kinds {
			if k.Name == name {
				if o := inject(t, w, Fault{Kind: k}); !strings.Contains(o.Without, why) {
					t.Errorf("%v, expected %q", o, why)
				}
			}
		}
	}
	silent, err := w.silence(w.Client.NetNS(), w.Nodes[0].LAN.Addr4())
	if err != nil {
		t.Fatal(err)
	}
	if !lasts(context.Background(), 200*time.Millisecond) {
		t.Fatal("interrupted")
	}
	if err := silent(); err == nil {
		t.Error("a LAN on which nothing is lost is taken for a broken one")
	}
	w.Run(context.Background(), []Fault{{Kind: Kinds[0]}}, func(o Outcome) {
		if o.Err == nil || !strings.Contains(o.Err.Error(), "ended by itself") {
			t.Errorf("a daemon that was not there to be killed: %v", o)
		}
	})
}

// TestRoom: a fault does not begin while another one has what it touches, and nothing begins after the end.
func TestRoom(t *testing.T) {
	w := world(t, cluster.Options{Nodes: 3, VIPs: 2, Etcd: 1, Idle: true})
	var cut *Kind
	for _, k := range Kinds {
		if k.Name == "etcd-unreachable" {
			cut = k
		}
	}
	without := map[int]string{}
	schedule := []Fault{
		{Kind: cut, For: 500 * time.Millisecond},
		{Kind: cut, For: 100 * time.Millisecond, At: 100 * time.Millisecond},
		{Kind: cut, For: 100 * time.Millisecond, At: 100 * time.Millisecond, Node: 1},
		{Kind: cut, For: 100 * time.Millisecond, At: 101 * time.Millisecond, Node: 2},
	}
	w.Run(context.Background(), schedule, func(o Outcome) {
		for i, f := range schedule {
			if f == o.Fault {
				without[i] = o.Without
			}
		}
	})
	for i, left := range []bool{false, true, false, true} {
		if strings.Contains(without[i], "left out") != left {
			t.Errorf("%v: %q", schedule[i], without[i])
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.Run(ctx, schedule, func(o Outcome) { t.Errorf("after the end: %v", o) })
}
