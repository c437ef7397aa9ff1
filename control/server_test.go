package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveFake serves d until the test ends and returns the socket and the server's log.
func serveFake(t *testing.T, d Daemon) (socket string, log *lockedBuffer) {
	t.Helper()
	socket, log = filepath.Join(t.TempDir(), "s"), new(lockedBuffer)
	ln, err := Listen(socket, 0, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "up 1") })
	go func() {
		done <- Serve(ctx, ln, d, map[string]http.Handler{"/metrics": hello}, slog.New(slog.NewTextHandler(log, nil)))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return socket, log
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// oddDaemon answers each node name in a way of its own.
type oddDaemon struct{ snapDaemon }

func (oddDaemon) Drain(ctx context.Context, node string) error {
	switch node {
	case "whoever":
		if uid, ok := Caller(ctx); !ok || int(uid) != os.Getuid() {
			return fmt.Errorf("asked by %d, %v", uid, ok)
		}
		return nil
	case "last":
		return fmt.Errorf("drain last: %w", Refuse("nobody else is left"))
	case "slow":
		return fmt.Errorf("drain slow: %w", context.DeadlineExceeded)
	case "hung":
		<-ctx.Done()
		return ctx.Err()
	case "panic":
		panic("a bug")
	case "":
		return nil
	}
	return errors.New("etcd: permission denied")
}

func (oddDaemon) Plan(_ context.Context, without []string) ([]byte, error) {
	if len(without) == 0 {
		return []byte("this is no JSON"), nil
	}
	return json.Marshal(without)
}

func TestServerAnswers(t *testing.T) {
	socket, log := serveFake(t, oddDaemon{snapDaemon{manyVIPs(2)}})
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // within the answer
	}{
		{"GET", "/status", "", 200, `"group":"www"`},
		{"GET", "/plan?without=n1&without=n2", "", 200, `["n1","n2"]`},
		{"GET", "/plan", "", 500, `{"error":"write the answer: `},
		{"POST", "/drain", `{"node":""}`, 200, `{}`},
		{"POST", "/drain", `{}`, 200, `{}`},
		{"POST", "/undrain", `{"node":"n1"}`, 200, `{}`},
		{"POST", "/drain", `{"node":"whoever"}`, 200, `{}`},
		{"POST", "/drain", `{"node":"last"}`, 409, `{"error":"drain last: nobody else is left"}`},
		{"POST", "/drain", `{"node":"slow"}`, 503, `{"error":"drain slow: context deadline exceeded"}`},
		{"POST", "/drain", `{"node":"n1"}`, 500, `{"error":"etcd: permission denied"}`},
		{"POST", "/drain", ``, 400, `{"error":"read the request: EOF"}`},
		{"POST", "/drain", `drain`, 400, `{"error":"read the request: `},
		{"POST", "/drain", `{"nod":"n1"}`, 400, `unknown field \"nod\"`},
		{"POST", "/drain", `{"node":"n1"} {"node":"n2"}`, 400, `something follows`},
		{"POST", "/drain", `{"node":"` + strings.Repeat("x", maxBody) + `"}`, 400, `too large`},
		{"POST", "/drain", `{"node":"../claims/web"}`, 400, `cannot be a name`},
		{"POST", "/move", `{"vip":"a","node":"n1"}`, 200, `{"said":"move a n1"}`},
		{"POST", "/move", `{"vip":"a b","node":"n1"}`, 400, `cannot be a name`},
		{"POST", "/freeze", ``, 400, `{"error":"read the request: EOF"}`},
		{"POST", "/forget", `{"name":"\u001b[2J"}`, 400, `cannot be a name`},
		{"GET", "/drain", ``, 405, `{"error":"/drain wants POST, not GET"}`},
		{"POST", "/status", ``, 405, `{"error":"/status wants GET, not POST"}`},
		{"GET", "/", "", 404, `{"error":"\"/\" is not served here"}`},
		{"GET", "/" + strings.Repeat("x", 5000), "", 404, `xxx\" is not served here"}`},
		{"GET", "/metrics", "", 200, "up 1"},
	} {
		t.Run(fmt.Sprintf("%s %.40s %.40s", c.method, c.path, c.body), func(t *testing.T) {
			status, body := ask(t, socket, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%d %.300s, want %d %s", status, body, c.status, c.want)
			}
		})
	}
	if want := fmt.Sprintf("request=\"drain last\" uid=%d pid=%d refused=\"drain last: nobody else is left\"", os.Getuid(), os.Getpid()); !strings.Contains(log.String(), want) {
		t.Errorf("no %s in the log:\n%s", want, log)
	}
}

func ask(t *testing.T, socket, method, path, body string) (int, string) {
	t.Helper()
	client := &Dial(socket).http
	req, err := http.NewRequestWithContext(t.Context(), method, "http://viplease"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A megabyte of anything on the socket is answered or hung up on, and the next request is served as if nothing had been.
func TestServerSurvivesGarbage(t *testing.T) {
	socket, _ := serveFake(t, oddDaemon{snapDaemon{manyVIPs(2)}})
	mega := strings.Repeat("garbage\xff\x00", 1<<17)
	for name, text := range map[string]string{
		"bytes":       mega,
		"no line end": strings.Repeat("A", 1<<20),
		"long path":   "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"long header": "GET /status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"long body":   "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat(" ", 1<<20),
		"chunks":      "POST /drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n" + mega,
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			written := make(chan struct{})
			go func() { // the server may hang up before it has read all
				defer close(written)
				_, _ = io.WriteString(conn, text)
			}()
			reply, err := io.ReadAll(io.LimitReader(conn, 1<<16))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("neither answered nor hung up on within 10 s")
			}
			if len(reply) > 0 && !strings.HasPrefix(string(reply), "HTTP/1.1 4") {
				t.Errorf("answered %.100q", reply)
			}
			<-written
		})
	}
	if status, _ := ask(t, socket, "GET", "/status", ""); status != 200 {
		t.Errorf("then status is answered with %d", status)
	}
}

// A panic ends its request, is logged, and is no end of the daemon.
func TestServerSurvivesPanic(t *testing.T) {
	socket, log := serveFake(t, oddDaemon{})
	if err := Dial(socket).Drain(t.Context(), "panic"); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("the client hears %v", err)
	}
	if status, _ := ask(t, socket, "GET", "/status", ""); status != 200 {
		t.Errorf("then status is answered with %d", status)
	}
	if !strings.Contains(log.String(), "a bug") {
		t.Errorf("the log says nothing: %s", log)
	}
}

// Clients that connect and say nothing cost at most maxConns descriptors and are thrown out after headerTimeout: then others are served.
func TestServerThrowsSilentClientsOut(t *testing.T) {
	socket, _ := serveFake(t, oddDaemon{})
	for range maxConns + 10 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	c := Dial(socket)
	c.timeout = 4 * headerTimeout
	if _, err := c.Snapshot(t.Context()); err != nil {
		t.Error(err)
	}
}

// A request under way does not hold up the daemon's leaving: its context ends.
func TestServeEndsRequests(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(socket, 0, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	d := startedDaemon{oddDaemon{}, started}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, d, nil, slog.New(slog.DiscardHandler)) }()
	answer := make(chan error, 1)
	go func() { answer <- Dial(socket).Drain(t.Context(), "hung") }()
	<-started
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(callTimeout):
		t.Fatal("a hung request keeps the server")
	}
	if err := <-answer; err == nil || errors.Is(err, ErrNoDaemon) {
		t.Errorf("the hung request was not answered with an error of its own: %v", err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

type startedDaemon struct {
	Daemon
	started chan struct{}
}

func (d startedDaemon) Drain(ctx context.Context, node string) error {
	close(d.started)
	return d.Daemon.Drain(ctx, node)
}
