package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"viplease/coordinator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is what node-2 of three knows: it holds db, node-1 holds web, and nobody holds mail.
func cluster() coordinator.Snapshot {
	since := time.Now().Add(-192 * time.Second)
	return coordinator.Snapshot{
		Group: "www", Node: "node-2", Source: "daemon", Revision: 42,
		Etcd: coordinator.EtcdStatus{Reachable: true, AuthorityMS: 2710}, Self: coordinator.SelfStatus{Answers: true, Registered: true},
		Takeover: fastTakeover(),
		Members: []coordinator.MemberStatus{
			{Node: "node-1", State: "ready", Weight: 1, Held: 1}, {Node: "node-2", State: "ready", Weight: 1, Held: 1},
			{Node: "node-3", State: "drained", Why: "drained by <b>root</b>@node-3", Weight: 1},
		},
		VIPs: []coordinator.VIPStatus{
			{Name: "db", Addresses: []string{"192.0.2.101/32"}, Node: "node-2", Since: since, State: "held", Why: "balance", Here: true},
			{Name: "mail", Addresses: []string{"192.0.2.102/32"}, State: "waiting", Why: "node-4 is gone; it may be taken in 2.1 s"},
			{Name: "web", Addresses: []string{"192.0.2.100/32", "2001:db8::100/128"}, Node: "node-1", To: "node-2", Since: since, State: "moving", Why: "unheld"},
		},
		Events: []coordinator.Event{
			{At: since, VIP: "db", Node: "node-2", What: "claimed", Why: "node-4 is gone", Cause: "gone"},
			{At: since.Add(time.Second), VIP: "db", Node: "node-2", What: "conflict", Why: "machine 02:00:00:00:00:09 uses it <script>alert(1)</script>"},
		},
	}
}

func fastTakeover() (s coordinator.FastStatus) {
	s.Challenges, s.Evicted = 3, 1
	s.On, s.Guards, s.Links = true, 1, []coordinator.LinkStatus{{Link: "net1", Witness: true}}
	return s
}

func made(read func() coordinator.Snapshot) *Metrics {
	return New(Config{
		Version: "1.0", Group: "www", VIPs: []string{"db", "mail", "web"}, Hold: 3 * time.Second, Wait: 4610 * time.Millisecond, Snapshot: read,
		Frames: func() Frames { return Frames{IPv4: 8, IPv6: 2, Directed: 5, Withheld: 1} },
	})
}

func get(t *testing.T, h http.Handler, method string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return w.Code, w.Body.String()
}

// want holds that each line is in the text.
func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, text)
		}
	}
}

func TestNumbers(t *testing.T) {
	m := made(cluster)
	m.Turned(3*time.Millisecond, 20*time.Microsecond)
	m.Turned(0, 20*time.Microsecond)
	m.Requested("check", 2*time.Millisecond, nil)
	m.Requested("check", 300*time.Millisecond, errors.New("no answer"))
	m.Operated(OpRaise, time.Millisecond)
	for _, e := range cluster().Events {
		m.Happened(e)
	}
	m.Happened(coordinator.Event{What: "transferred", Cause: "drain"})
	code, text := get(t, m.Handlers()["/metrics"], "GET")
	if code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	want(t, text,
		`viplease_vip_held{vip="db"} 1`, `viplease_vip_held{vip="mail"} 0`, `viplease_vip_held{vip="web"} 0`,
		`viplease_authority_seconds 2.71`, `viplease_loop_answers 1`, `viplease_ready 1`, `viplease_registered 1`, `viplease_etcd_reachable 1`,
		`viplease_vips{state="held"} 1`, `viplease_vips{state="moving"} 1`, `viplease_vips{state="waiting"} 1`, `viplease_vips{state="unheld"} 0`,
		`viplease_members{state="ready"} 2`, `viplease_members{state="drained"} 1`, `viplease_members{state="other"} 0`,
		`viplease_takeovers_total{why="gone"} 1`, `viplease_takeovers_total{why="released"} 0`, `viplease_transfers_total{why="drain"} 1`,
		`viplease_conflicts_total 1`, `viplease_events_total{event="withdrawn"} 0`,
		`viplease_fast_takeover 1`, `viplease_link_has_witness{link="net1"} 1`, `viplease_challenges_total{what="made"} 3`, `viplease_evictions_total{of="self"} 1`, `viplease_evictions_total{of="another"} 0`,
		`viplease_quarantines_total 0`, `viplease_takeovers_total{why="evicted"} 0`,
		`viplease_etcd_request_seconds_count{kind="check"} 2`, `viplease_etcd_request_errors_total{kind="check"} 1`, `viplease_etcd_request_errors_total{kind="commit"} 0`,
		`viplease_address_operation_seconds_count{operation="raise"} 1`, `viplease_plan_seconds_count 2`, `viplease_loop_lag_seconds_count 1`,
		`viplease_announcements_total{family="ipv4"} 8`, `viplease_announcements_directed_total 5`, `viplease_announcements_withheld_total 1`,
		`viplease_build_info{group="www",version="1.0"} 1`, `viplease_hold_seconds 3`, `viplease_takeover_wait_seconds 4.61`,
	)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What others write to etcd must not make series.
func TestLabelsAreOurOwn(t *testing.T) {
	s := cluster()
	s.VIPs = append(s.VIPs, coordinator.VIPStatus{Name: "evil", State: "evil-state"})
	s.Members = append(s.Members, coordinator.MemberStatus{Node: "evil", State: "evil-state"})
	_, text := get(t, made(func() coordinator.Snapshot { return s }).Handlers()["/metrics"], "GET")
	if strings.Contains(text, "evil") {
		t.Errorf("it is in\n%s", text)
	}
	want(t, text, `viplease_vips{state="other"} 1`, `viplease_members{state="other"} 1`)
}

func TestProbes(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         func(*coordinator.Snapshot)
		health, ready  int
		readyz, number string
	}{
		{"all is well", func(*coordinator.Snapshot) {}, 200, 200, "ok   state", "viplease_ready 1"},
		{"the loop hangs", func(s *coordinator.Snapshot) {
			*s = coordinator.Snapshot{Node: "node-2", Self: coordinator.SelfStatus{Trouble: "the coordinator does not answer"}}
		}, 503, 503, "FAIL loop: the coordinator does not answer", "viplease_loop_answers 0"},
		{"etcd is away", func(s *coordinator.Snapshot) {
			s.Etcd = coordinator.EtcdStatus{Trouble: "check:\n late"}
		}, 200, 503, "FAIL authority: check: late", "viplease_authority_seconds 0"},
		{"one check was missed", func(s *coordinator.Snapshot) { s.Etcd.Reachable = false }, 200, 200, "ok   authority", "viplease_etcd_reachable 0"},
		{"the name is taken", func(s *coordinator.Snapshot) {
			s.Self = coordinator.SelfStatus{Answers: true, Trouble: "the node name is in use"}
		}, 200, 503, "FAIL registered: the node name is in use", "viplease_registered 0"},
		{"it is drained", func(s *coordinator.Snapshot) { s.Node = "node-3" }, 200, 503, "FAIL state: drained: drained by <b>root</b>@node-3", "viplease_ready 0"},
		{"it is no member", func(s *coordinator.Snapshot) { s.Node = "node-9" }, 200, 503, "FAIL state: this node is no member", "viplease_ready 0"},
	} {
		s := cluster()
		c.change(&s)
		h := made(func() coordinator.Snapshot { return s }).Handlers()
		if code, text := get(t, h["/healthz"], "GET"); code != c.health {
			t.Errorf("%s: healthz: %d %s", c.name, code, text)
		}
		code, text := get(t, h["/readyz"], "GET")
		if code != c.ready {
			t.Errorf("%s: readyz: %d %s", c.name, code, text)
		}
		want(t, text, c.readyz)
		_, numbers := get(t, h["/metrics"], "GET")
		want(t, numbers, c.number)
		if s.Self.Answers != strings.Contains(numbers, "viplease_vip_held{") {
			t.Errorf("%s: the numbers are\n%s", c.name, numbers)
		}
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	m := made(cluster)
	handlers := m.Handlers()
	handlers["/"] = readOnly(m.page())
	for path, h := range handlers {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if code, _ := get(t, h, method); code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, code)
			}
		}
		if code, body := get(t, h, "GET"); code != 200 || body == "" {
			t.Errorf("GET %s: %d %q", path, code, body)
		}
	}
}

// However many ask, the loop is asked once.
func TestScrapersShareASnapshot(t *testing.T) {
	var asked atomic.Int32
	m := made(func() coordinator.Snapshot { asked.Add(1); return cluster() })
	moment := time.Now()
	m.view.now = func() time.Time { return moment }
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for _, h := range m.Handlers() {
				get(t, h, "GET")
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the loop was asked %d times", n)
	}
	moment = moment.Add(fresh)
	get(t, m.Handlers()["/metrics"], "GET")
	if n := asked.Load(); n != 2 {
		t.Errorf("the loop was asked %d times, after a second 2 are due", n)
	}
}

// What the loop reports costs it nothing to speak of, and waits for nobody.
func TestReportingDoesNotAllocate(t *testing.T) {
	m := made(cluster)
	if n := testing.AllocsPerRun(1000, func() { m.Turned(time.Millisecond, time.Microsecond) }); n > 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func BenchmarkTurned(b *testing.B) {
	m := made(cluster)
	for b.Loop() {
		m.Turned(time.Millisecond, time.Microsecond)
	}
}

// logbook is a log that can be waited for.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

var served = regexp.MustCompile(`msg="serving metrics" listen=(\S+)`)

// await waits until the log has what the pattern asks for, and returns its first group.
func (l *logbook) await(t *testing.T, pattern *regexp.Regexp) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		if found := pattern.FindStringSubmatch(text); found != nil {
			return found[len(found)-1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in the log:\n%s", pattern, text)
		}
		time.Sleep(time.Millisecond)
	}
}

// serving starts Serve; the returned function ends it and waits.
func serving(t *testing.T, m *Metrics, address string) (*logbook, func()) {
	t.Helper()
	log, done := &logbook{}, make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() { m.Serve(ctx, address, slog.New(slog.NewTextHandler(log, nil))); close(done) }()
	end := sync.OnceFunc(func() {
		stop()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("Serve does not end")
		}
	})
	t.Cleanup(end)
	return log, end
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// A port that is taken costs the port, and only as long as it is taken.
func TestPortInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	log, end := serving(t, made(cluster), other.Addr().String())
	log.await(t, regexp.MustCompile(`level=WARN msg="metrics are not served there.*in use`))
	other.Close()
	address := log.await(t, served)
	if code, _ := fetch(t, "http://"+address+"/metrics"); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
	end()
	if n := strings.Count(log.text.String(), "level=WARN"); n != 1 {
		t.Errorf("it complained %d times:\n%s", n, log.text.String())
	}
}

// A scraper that asks and does not read holds up neither other scrapers nor the daemon's end.
func TestSlowScraper(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.URL.Path == "/large" {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	log, done := &logbook{}, make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { done <- serve(ctx, "127.0.0.1:0", h, slog.New(slog.NewTextHandler(log, nil))) }()
	address := log.await(t, served)
	for range 5 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil { // the answer has begun
			t.Fatal(err)
		}
	}
	if code, _ := fetch(t, "http://"+address+"/"); code != 200 {
		t.Errorf("another scraper got %d", code)
	}
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(writeTimeout / 2):
		t.Error("slow scrapers hold up the end")
	}
}

func BenchmarkPage1000(b *testing.B) {
	s := cluster()
	for range 1000 {
		s.VIPs = append(s.VIPs, s.VIPs[0])
	}
	h := made(func() coordinator.Snapshot { return s }).page()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
}

func TestUnknownPath(t *testing.T) {
	log, _ := serving(t, made(cluster), "127.0.0.1:0")
	address := log.await(t, served)
	for _, path := range []string{"/status", "/drain", "/debug/pprof/"} {
		if code, _ := fetch(t, "http://"+address+path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
}
