package leases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// The tests run against real etcd servers on the loopback interface: one alone that most of them share, and three that the tests of
// faults share. Tests keep apart by their prefixes. Every server dies with the test binary.
var (
	alone = sync.OnceValues(func() (*cluster, error) { return startCluster(1) })
	three = sync.OnceValues(func() (*cluster, error) { return startCluster(3) })

	binary  string // of the etcd server
	scratch string // directory for data and logs

	mu       sync.Mutex
	running  []*member
	prefixes sync.Map // of tests
	runs     atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	out, err := exec.Command("../scripts/etcd").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build etcd:", err)
		return 1
	}
	binary = filepath.Join(strings.TrimSpace(string(out)), "etcd")
	if scratch, err = os.MkdirTemp("", "leases-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	defer func() {
		for _, m := range running {
			m.kill()
		}
	}()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

type cluster struct{ members []*member }

// member is one etcd server.
type member struct {
	url  string
	args []string
	log  string
	cmd  *exec.Cmd // nil: not running
}

// startCluster starts n servers that form a cluster and waits until they serve. More arguments are given to each.
func startCluster(n int, args ...string) (*cluster, error) {
	dir, err := os.MkdirTemp(scratch, "cluster-")
	if err != nil {
		return nil, err
	}
	scheme := "http"
	for _, a := range args {
		if strings.HasPrefix(a, "--cert-file") {
			scheme = "https"
		}
	}
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("e%d=http://127.0.0.1:%d", i, ports[n+i]))
	}
	c := &cluster{}
	for i := range n {
		url, peer := fmt.Sprintf("%s://127.0.0.1:%d", scheme, ports[i]), fmt.Sprintf("http://127.0.0.1:%d", ports[n+i])
		m := &member{url: url, log: filepath.Join(dir, fmt.Sprintf("e%d.log", i))}
		m.args = append([]string{
			"--name", fmt.Sprintf("e%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("e%d", i)),
			"--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", filepath.Base(dir),
			"--log-level", "warn", "--unsafe-no-fsync",
		}, args...)
		if err := m.start(); err != nil {
			return nil, err
		}
		c.members = append(c.members, m)
	}
	if scheme == "https" {
		return c, nil // whoever set up the certificates waits with them
	}
	return c, c.ready()
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (m *member) start() error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(binary, m.args...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	mu.Lock()
	running = append(running, m)
	mu.Unlock()
	return m.cmd.Start()
}

func (m *member) kill() {
	if m.cmd == nil || m.cmd.Process == nil {
		return
	}
	m.cmd.Process.Kill()
	m.cmd.Wait()
	m.cmd = nil
}

// pause stops the process until the test ends or resume is called.
func (m *member) pause(t testing.TB) (resume func()) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume = sync.OnceFunc(func() { m.cmd.Process.Signal(syscall.SIGCONT) })
	t.Cleanup(resume)
	eventually(t, 5*time.Second, "all of its threads have stopped", m.stopped)
	return resume
}

// stopped reports whether every thread of the process is in state T (proc(5), /proc/pid/stat).
func (m *member) stopped() bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.cmd.Process.Pid))
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if _, state, _ := strings.Cut(string(stat), ") "); err != nil || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return err == nil && len(stats) > 0
}

func (c *cluster) urls() []string {
	var urls []string
	for _, m := range c.members {
		urls = append(urls, m.url)
	}
	return urls
}

// ready waits until every member answers a linearizable read and all name the same leader.
func (c *cluster) ready() error {
	var last error
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if _, last = c.leader(); last == nil {
			return nil
		}
	}
	return fmt.Errorf("etcd does not serve: %w", last)
}

// leader returns the member that all members call the leader.
func (c *cluster) leader() (*member, error) {
	var leader uint64
	byID := map[uint64]*member{}
	for _, m := range c.members {
		cli, err := clientv3.New(clientv3.Config{Endpoints: []string{m.url}, Logger: zap.NewNop(), MaxUnaryRetries: 1})
		if err != nil {
			return nil, err
		}
		defer cli.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		st, err := cli.Status(ctx, m.url)
		if err != nil {
			return nil, err
		}
		if _, err := cli.Get(ctx, "ready"); err != nil {
			return nil, err
		}
		byID[st.Header.MemberId] = m
		if st.Leader == 0 || leader != 0 && st.Leader != leader {
			return nil, errors.New("no leader that all agree on")
		}
		leader = st.Leader
	}
	return byID[leader], nil
}

// one returns the shared single server, many the shared cluster of three, whole and with its leader first.
func one(t testing.TB) *cluster {
	t.Helper()
	c, err := alone()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func many(t testing.TB) (leader *member, followers []*member) {
	t.Helper()
	c, err := three()
	if err == nil {
		err = c.ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	leader, err = c.leader()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.members {
		if m != leader {
			followers = append(followers, m)
		}
	}
	return leader, followers
}

func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// open opens a Store for the test, with a prefix of its own, that asks the endpoints in the given order. It is patient, so that a busy
// machine does not fail a test that is not about time.
func open(t testing.TB, urls ...string) *Store {
	return openWith(t, Config{Endpoints: urls, Timeout: 5 * time.Second})
}

// brisk opens a Store like open, with the timeout of the product.
func brisk(t testing.TB, urls ...string) *Store {
	return openWith(t, Config{Endpoints: urls})
}

func openWith(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Prefix == "" {
		cfg.Prefix = prefix(t)
	}
	if cfg.Now == nil {
		cfg.Now = boottime
	}
	cfg.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.prefer(cfg.Endpoints)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// prefix is the same for all Stores of one test, and new each time it runs.
func prefix(t testing.TB) string {
	p, _ := prefixes.LoadOrStore(t, fmt.Sprintf("/test/%s-%d", t.Name(), runs.Add(1)))
	return p.(string)
}

// prefer sets the order in which the servers are asked.
func (s *Store) prefer(urls []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.order, func(a, b *server) int { return slices.Index(urls, a.url) - slices.Index(urls, b.url) })
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// raw is a plain client, for what an operator or another program would do to etcd.
func raw(t testing.TB, urls ...string) *clientv3.Client {
	t.Helper()
	cli, err := clientv3.New(clientv3.Config{Endpoints: urls, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	return cli
}

// within is a context for one step of a test: nothing here may take longer.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func seconds(t testing.TB) context.Context { return within(t, 10*time.Second) }

// eventually polls until cond holds.
func eventually(t testing.TB, d time.Duration, what string, cond func() bool) {
	t.Helper()
	for begin := time.Now(); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > d {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// join grants a lease and registers a node.
func join(t testing.TB, s *Store, node string) (MemberRef, int64) {
	t.Helper()
	lease, _, err := s.Grant(seconds(t), 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Register(seconds(t), Registration{Node: node, Lease: lease, Member: []byte(`{"reg":"` + node + `"}`), State: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	return MemberRef{node, r.MemberRev}, lease
}
