package leases

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestOpenRefuses(t *testing.T) {
	good := Config{Endpoints: []string{"http://127.0.0.1:1"}, Prefix: "/viplease/www", Now: boottime}
	for name, spoil := range map[string]func(*Config){
		"no endpoints":         func(c *Config) { c.Endpoints = nil },
		"an empty endpoint":    func(c *Config) { c.Endpoints = []string{""} },
		"an endpoint twice":    func(c *Config) { c.Endpoints = []string{"a:1", "a:1"} },
		"TLS over http":        func(c *Config) { c.TLS = fixed(nil) },
		"no prefix":            func(c *Config) { c.Prefix = "" },
		"a relative prefix":    func(c *Config) { c.Prefix = "viplease" },
		"a slash at the end":   func(c *Config) { c.Prefix = "/viplease/" },
		"user, no password":    func(c *Config) { c.Username = "u" },
		"password, no user":    func(c *Config) { c.Password = "p" },
		"no clock":             func(c *Config) { c.Now = nil },
		"a timeout below zero": func(c *Config) { c.Timeout = -1 },
	} {
		c := good
		spoil(&c)
		if s, err := Open(c); err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
	s, err := Open(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.cfg.Timeout != 300*time.Millisecond {
		t.Errorf("timeout %v by default", s.cfg.Timeout)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Nodes with the same file do not all ask the same server.
func TestOpenSpreads(t *testing.T) {
	first := map[string]int{}
	for range 60 {
		s, err := Open(Config{Endpoints: []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}, Prefix: "/p", Now: boottime})
		if err != nil {
			t.Fatal(err)
		}
		first[s.ranked()[0].url]++
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(first) != 3 {
		t.Errorf("first servers of 60 nodes: %v", first)
	}
}

// While all is well one server is talked to, over one connection.
func TestOneConnection(t *testing.T) {
	var proxies []*proxy
	var urls []string
	for range 3 {
		p := newProxy(t, one(t).members[0].url)
		proxies, urls = append(proxies, p), append(urls, p.url)
	}
	s := open(t, urls...)
	_, lease := join(t, s, "a")
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	batches, _ := watching(t, s, snap.Revision+1)
	for range 5 {
		must[time.Duration](t)(s.Renew(seconds(t), lease))
		must[Answer](t)(s.Check(seconds(t), "a", 0))
	}
	put(t, s, "x", "1")
	next(t, batches)
	for i, want := range []int{1, 0, 0} {
		if n := proxies[i].connections(); n != want {
			t.Errorf("%d connections to server %d, want %d", n, i, want)
		}
	}
}

// Nothing of a Store is left when Close returns, calls that were under way have ended, and later ones say why they fail.
func TestClose(t *testing.T) {
	cli := raw(t, one(t).urls()...)
	if _, err := cli.Get(seconds(t), "x"); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	silent := newProxy(t, one(t).members[0].url)
	s, err := Open(Config{Endpoints: []string{silent.url}, Prefix: prefix(t), Now: boottime, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	lease, _, err := s.Grant(seconds(t), 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	watched := make(chan error, 1)
	started := make(chan struct{}, 100)
	rev := put(t, s, "x", "1")
	go func() { watched <- s.Watch(context.Background(), rev, func(Batch) { started <- struct{}{} }) }()
	select {
	case <-started:
	case err := <-watched:
		t.Fatal(err)
	}
	silent.mute(true)
	checked := make(chan error, 1)
	go func() { _, err := s.Check(context.Background(), "a", 0); checked <- err }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
	for name, c := range map[string]chan error{"watch": watched, "check": checked} {
		select {
		case err := <-c:
			if err == nil {
				t.Errorf("%s ended without an error", name)
			}
		case <-time.After(2 * time.Second):
			t.Errorf("%s goes on", name)
		}
	}
	if _, err := s.Check(seconds(t), "a", 0); !errors.Is(err, ErrClosed) {
		t.Errorf("check: %v", err)
	}
	if _, err := s.Renew(seconds(t), lease); !errors.Is(err, ErrClosed) {
		t.Errorf("renew: %v", err)
	}
	if err := s.Watch(seconds(t), rev, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("watch: %v", err)
	}
	if _, err := s.Commit(seconds(t), Commit{Node: "a", MemberRev: 1}); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("commit: %v", err)
	}
	silent.close()
	eventually(t, 5*time.Second, "its goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

// A Store is opened while etcd is away, and works once it is there.
func TestEtcdComesLater(t *testing.T) {
	t.Parallel()
	c, err := startCluster(1)
	if err != nil {
		t.Fatal(err)
	}
	m := c.members[0]
	defer func() { m.kill() }()
	m.kill()
	s := brisk(t, m.url)
	begin := time.Now()
	if _, err := s.Check(seconds(t), "a", 0); err == nil {
		t.Fatal("checked without an etcd")
	}
	if took := time.Since(begin); took > s.cfg.Timeout {
		t.Errorf("a refused connection took %v", took)
	}
	if h := s.Health(seconds(t)); h[0].Reachable || h[0].Err == nil || h[0].URL != m.url {
		t.Errorf("health %+v", h)
	}
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "a check is answered", func() bool { _, err := s.Check(seconds(t), "a", 0); return err == nil })
	if h := s.Health(seconds(t)); !h[0].Reachable || !h[0].Leader || h[0].Version == "" || h[0].Term == 0 || len(h[0].Errors) != 0 {
		t.Errorf("health %+v", h)
	}
}

// Warnings of the client library reach slog, each message once in a while, and those about requests that we cancelled do not.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := zap.New(newSlogCore(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))).With(zap.String("who", "me"))
	log.Info("not this")
	log.Warn("this", zap.Int("n", 7))
	log.Warn("this", zap.Int("n", 8))
	log.Warn("not this either", zap.Error(status.Error(codes.Canceled, "context canceled")))
	log.Error("and this", zap.Error(errors.New("why")))
	got := out.String()
	for _, want := range []string{`level=DEBUG msg="etcd client: this" n=7 who=me`, `level=WARN msg="etcd client: and this" error=why who=me`} {
		if !strings.Contains(got, want) {
			t.Errorf("log %q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "not this") || strings.Contains(got, "n=8") {
		t.Errorf("log %q says too much", got)
	}
}
