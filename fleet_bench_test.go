package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/leases"
)

// BenchmarkFleet is the coordination of whole clusters in one process: real leases on a real etcd, the real loop, and interfaces that are faked. A cold
// start and the death of one node are timed and counted by etcd's own counters. Run it with scripts/bench scale.
func BenchmarkFleet(b *testing.B) {
	for _, c := range []struct{ nodes, vips int }{{3, 10}, {3, 100}, {3, 1000}, {3, 4000}, {10, 1000}, {30, 1000}, {100, 1000}, {100, 2000}} {
		b.Run(fmt.Sprintf("nodes=%d/vips=%d", c.nodes, c.vips), func(b *testing.B) {
			for b.Loop() {
				runFleet(b, c.nodes, c.vips)
			}
		})
	}
}

const (
	fleetMature = time.Second
	fleetWait   = 4610 * time.Millisecond // W with the default timers
)

func runFleet(b *testing.B, nodes, vips int) {
	server := startServer(b)
	f := &fleet{b: b, vips: vips, holders: map[string]int{}, changed: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(b.Context())
	defer f.running.Wait()
	defer stop()
	before := server.counters(b)
	began := time.Now()
	for i := range nodes {
		f.start(ctx, server.url, i)
	}
	f.await(time.Minute, nodes, func() bool { return f.even(nodes) })
	b.ReportMetric((time.Since(began)-fleetMature-fleetWait).Seconds()*1e3, "ms-beyond-mature+W")
	server.report(b, before, "cold")

	gone := make(chan time.Time, 1)
	go server.await(ctx, "/viplease/www/members/"+fleetNode(0), gone)
	f.nodes[0].Handoff() // it goes without a word
	died := time.Now()
	took := f.holds(fleetNode(0))
	f.drop(fleetNode(0))
	before = server.counters(b)
	takeable := (<-gone).Add(fleetWait)
	f.await(time.Minute, nodes-1, func() bool { return f.even(nodes - 1) })
	b.ReportMetric(time.Since(takeable).Seconds()*1e3, "ms-takeable-to-held")
	b.ReportMetric(float64(took), "taken")
	b.ReportMetric(time.Since(died).Seconds(), "s-death-to-held")
	server.report(b, before, "death")

	before, idle := server.counters(b), 10*time.Second
	time.Sleep(idle)
	after := server.counters(b)
	b.ReportMetric((after.requests-before.requests)/float64(nodes-1)/idle.Seconds(), "idle-requests/node/s")
	b.ReportMetric(after.revision-before.revision, "idle-revisions")
	b.ReportMetric(100*(after.etcd-before.etcd)/idle.Seconds(), "idle-etcd-%cpu")
	b.ReportMetric(100*(after.nodes-before.nodes)/idle.Seconds()/float64(nodes-1), "idle-%cpu/node")
	b.ReportMetric(0, "ns/op")
}

// fleet is the nodes of one cluster, and what their interfaces would show.
type fleet struct {
	b       *testing.B
	vips    int
	nodes   []*coordinator.Coordinator
	running sync.WaitGroup
	changed chan struct{}

	mu      sync.Mutex
	holders map[string]int // how many VIPs are up on each node
	up      int            // addresses up, all nodes together
}

func fleetNode(i int) string { return fmt.Sprintf("node-%03d", i) }

func (f *fleet) start(ctx context.Context, endpoint string, i int) {
	cfg := plan.Config{
		Group: "www", Node: fleetNode(i), Machine: fleetNode(i), Boot: fleetNode(i), Seed: fleetNode(i), TTL: 3 * time.Second, Hold: 3 * time.Second,
		CheckInterval: 300 * time.Millisecond, CheckTimeout: 300 * time.Millisecond, Wait: fleetWait, Mature: fleetMature,
		Failback: true, MovesPerRound: -1, Weight: 1, MaxWrites: leases.MaxWrites / 2,
	}
	for v := range f.vips {
		a := netip.AddrFrom4([4]byte{10, 77, byte(v / 256), byte(v % 256)})
		cfg.VIPs = append(cfg.VIPs, plan.VIP{Name: a.String(), Prefixes: []netip.Prefix{netip.PrefixFrom(a, 32)}})
	}
	log := slog.New(slog.DiscardHandler)
	store, err := leases.Open(leases.Config{Endpoints: []string{endpoint}, Prefix: "/viplease/www", Timeout: cfg.CheckTimeout, Now: sinceBoot, Log: log})
	if err != nil {
		f.b.Fatal(err)
	}
	k := &paperKernel{fleet: f, node: cfg.Node, vips: cfg.VIPs, up: map[plan.Address]bool{}}
	e := etcdPort{store}
	c := coordinator.New(coordinator.Config{Plan: cfg, Leave: time.Second, Log: log}, coordinator.Ports{
		Now: now, Registry: e, Claims: e, Feed: e, Kernel: k, Events: k, Announcer: silent{}, Ears: deaf{}, Memory: silent{},
	})
	f.nodes = append(f.nodes, c)
	f.running.Go(func() {
		defer store.Close()
		if err := c.Run(ctx, plan.Remembered{}); err != nil && ctx.Err() == nil && err != coordinator.ErrHandoff {
			f.b.Errorf("%s: %v", cfg.Node, err)
		}
	})
}

// even tells whether every VIP is up, and the loads of n nodes are as even as can be.
func (f *fleet) even(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.up != f.vips {
		return false
	}
	for _, k := range f.holders {
		if k < f.vips/n || k > (f.vips+n-1)/n {
			return false
		}
	}
	return len(f.holders) == min(n, f.vips)
}

func (f *fleet) holds(node string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holders[node]
}

// drop forgets what a dead node showed.
func (f *fleet) drop(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up -= f.holders[node]
	delete(f.holders, node)
}

func (f *fleet) await(limit time.Duration, nodes int, ok func() bool) {
	f.b.Helper()
	timeout := time.After(limit)
	for !ok() {
		select {
		case <-f.changed:
		case <-timeout:
			f.b.Fatalf("not within %v: %d of %d addresses up, on %d of %d nodes", limit, f.up, f.vips, len(f.holders), nodes)
		}
	}
}

// paperKernel is the interfaces of one node, on paper.
type paperKernel struct {
	fleet *fleet
	node  string
	vips  []plan.VIP
	up    map[plan.Address]bool
}

func (k *paperKernel) change(a plan.Address, up bool) {
	if k.up[a] == up {
		return
	}
	f, by := k.fleet, -1
	if up {
		k.up[a], by = true, 1
	} else {
		delete(k.up, a)
	}
	f.mu.Lock()
	f.up += by
	if f.holders[k.node] += by; f.holders[k.node] == 0 {
		delete(f.holders, k.node)
	}
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (k *paperKernel) Places() (map[string]plan.Place, error) {
	places := make(map[string]plan.Place, len(k.vips))
	for _, v := range k.vips {
		places[v.Name] = plan.Place{Addresses: []plan.Address{{Link: "net1", Prefix: v.Prefixes[0]}}}
	}
	return places, nil
}

func (k *paperKernel) Raise(items []plan.Item, _, _ time.Duration) []error {
	for _, it := range items {
		k.change(it.Addresses[0], true)
	}
	return make([]error, len(items))
}

func (k *paperKernel) Delete(addresses []plan.Address) []error {
	for _, a := range addresses {
		k.change(a, false)
	}
	return make([]error, len(addresses))
}

func (k *paperKernel) Present() (map[plan.Address]bool, error) {
	have := make(map[plan.Address]bool, len(k.up))
	for a := range k.up {
		have[a] = true
	}
	return have, nil
}

func (k *paperKernel) Watch(ctx context.Context, _ func(coordinator.KernelEvent)) error {
	<-ctx.Done()
	return nil
}

// silent is a LAN on which nobody speaks, and a disk that forgets; deaf is who listens there.
type (
	silent struct{}
	deaf   struct{}
)

func (silent) Announce(string, netip.Addr, bool, func() bool) error { return nil }
func (silent) SetAudience(plan.Audience)                            {}
func (silent) Stop(string, netip.Addr)                              {}
func (silent) Run(ctx context.Context) error                        { <-ctx.Done(); return nil }
func (silent) Save(plan.Remembered) error                           { return nil }
func (deaf) Run(ctx context.Context, _ func(plan.Address, string)) error {
	<-ctx.Done()
	return nil
}
func (deaf) Set(map[string][]netip.Addr) {}
func (deaf) Probe(context.Context, []plan.Address, bool) (map[plan.Address]string, error) {
	return nil, nil
}

// server is an etcd of one member on the loopback interface.
type server struct {
	url    string
	pid    int
	client *clientv3.Client
}

func startServer(b *testing.B) *server {
	out, err := exec.Command("scripts/etcd").Output()
	if err != nil {
		b.Fatal(err)
	}
	ports := [2]string{freePort(b), freePort(b)}
	s := &server{url: "http://127.0.0.1:" + ports[0]}
	peer := "http://127.0.0.1:" + ports[1]
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(out)), "etcd"), "--data-dir", b.TempDir(), "--log-level", "error", "--unsafe-no-fsync",
		"--listen-client-urls", s.url, "--advertise-client-urls", s.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s.client, err = clientv3.New(clientv3.Config{Endpoints: []string{s.url}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.client.Close() })
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.client.Get(clientv3.WithRequireLeader(ctx), "ready"); err != nil {
		b.Fatal(err)
	}
	return s
}

func freePort(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// await sends the time when the key is gone.
func (s *server) await(ctx context.Context, key string, gone chan<- time.Time) {
	for r := range s.client.Watch(ctx, key) {
		for _, e := range r.Events {
			if e.Type == clientv3.EventTypeDelete {
				gone <- time.Now()
				return
			}
		}
	}
}

// counters are etcd's own, and the seconds of processor that it and this process, all nodes together, have spent.
type counters struct{ requests, txns, sent, received, revision, etcd, nodes float64 }

func (s *server) counters(b *testing.B) (c counters) {
	r, err := http.Get(s.url + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, _ := strconv.ParseFloat(text, 64)
		switch {
		case strings.HasPrefix(name, "grpc_server_msg_received_total"):
			c.requests += value
			if strings.Contains(name, `grpc_method="Txn"`) {
				c.txns += value
			}
		case name == "etcd_network_client_grpc_sent_bytes_total":
			c.sent = value
		case name == "etcd_network_client_grpc_received_bytes_total":
			c.received = value
		}
	}
	status, err := s.client.Get(b.Context(), "ready")
	if err != nil {
		b.Fatal(err)
	}
	c.revision = float64(status.Header.Revision)
	c.etcd, c.nodes = cpuOf(b, s.pid), cpuOf(b, os.Getpid())
	return c
}

// cpuOf is the time that a process has spent, in seconds; utime and stime of proc_pid_stat(5), in hundredths of a second.
func cpuOf(b *testing.B, pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func (s *server) report(b *testing.B, before counters, what string) {
	after := s.counters(b)
	b.ReportMetric(after.requests-before.requests, what+"-messages")
	b.ReportMetric(after.txns-before.txns, what+"-txns")
	b.ReportMetric(after.revision-before.revision, what+"-revisions")
	b.ReportMetric((after.sent-before.sent)/1024, what+"-sent-KiB")
	b.ReportMetric((after.received-before.received)/1024, what+"-received-KiB")
	b.ReportMetric(after.etcd-before.etcd, what+"-etcd-cpu-s")
	b.ReportMetric(after.nodes-before.nodes, what+"-nodes-cpu-s")
}
