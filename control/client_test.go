package control

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What the server sends is what the client hands on, in both directions.
func TestClientRoundTrip(t *testing.T) {
	want := manyVIPs(100)
	socket, _ := serveFake(t, oddDaemon{snapDaemon{want}})
	c := Dial(socket)
	if got, err := c.Snapshot(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("snapshot %v: %v", got, err)
	}
	if got, err := c.Plan(t.Context(), []string{"n 1", "n&2"}); err != nil || string(got) != `["n 1","n\u00262"]` {
		t.Errorf("plan %s: %v", got, err)
	}
	if err := c.Drain(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if err := c.Undrain(t.Context(), "n1"); err != nil {
		t.Error(err)
	}
	for _, order := range []struct {
		want string
		do   func() (string, error)
	}{
		{"move a b", func() (string, error) { return c.Move(t.Context(), "a", "b") }},
		{"pin a b", func() (string, error) { return c.Pin(t.Context(), "a", "b") }},
		{"unpin a", func() (string, error) { return c.Unpin(t.Context(), "a") }},
		{"balance", func() (string, error) { return c.Balance(t.Context()) }},
		{"freeze", func() (string, error) { return c.Freeze(t.Context()) }},
		{"unfreeze", func() (string, error) { return c.Unfreeze(t.Context()) }},
		{"forget a", func() (string, error) { return c.Forget(t.Context(), "a") }},
	} {
		if said, err := order.do(); said != order.want || err != nil {
			t.Errorf("%s: %q, %v", order.want, said, err)
		}
	}
	if err := c.Drain(t.Context(), "last"); !refused(err) || err.Error() != "drain last: nobody else is left" {
		t.Errorf("refusal: %v", err)
	}
	if err := c.Drain(t.Context(), "n1"); refused(err) || err == nil || err.Error() != "etcd: permission denied" {
		t.Errorf("other error: %v", err)
	}
}

// fatal lets serveRaw serve tests as well as scripts.
type fatal struct{ *testing.T }

func (f fatal) Check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func TestClientErrors(t *testing.T) {
	for name, c := range map[string]struct {
		reply string // of the server
		want  string
		none  bool // ErrNoDaemon
	}{
		"garbage":      {strings.Repeat("garbage\xff\x00", 1<<17), "is no viplease daemon", false},
		"no line end":  {strings.Repeat("A", 1<<20), "is no viplease daemon", false},
		"big header":   {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n{}", "is no viplease daemon", false},
		"no JSON":      {"HTTP/1.0 200 OK\r\n\r\nhello", "is no viplease daemon", false},
		"endless":      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + strings.Repeat(" ", maxReply+1), "is longer than 32 MiB", false},
		"odd error":    {"HTTP/1.0 500 No\r\n\r\n{}", "is no viplease daemon", false},
		"long error":   {"HTTP/1.0 500 No\r\n\r\n{\"error\":\"" + strings.Repeat("ż", 1<<16) + "\"}", "ż...", false},
		"short":        {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "it hung up", true},
		"silent":       {"", "within 100ms, though one is there", true},
		"slow to end":  {"HTTP/1.1 200 OK\r\n", "it hung up", true},
		"an old route": {"HTTP/1.0 404 Not Found\r\n\r\n{\"error\":\"\\\"/pin\\\" is not served here\"}", `^"/pin" is not served here`, false},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			defer serveRaw(fatal{t}, socket, c.reply)()
			client := Dial(socket)
			if c.reply == "" {
				client.timeout = 100 * time.Millisecond
			}
			began := time.Now()
			_, err := client.Snapshot(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			if took := time.Since(began); c.reply == "" && took > callTimeout/2 {
				t.Errorf("it took %v", took)
			}
			text := strings.ReplaceAll(err.Error(), socket, "SOCKET")
			if !strings.Contains("^"+text, c.want) || errors.Is(err, ErrNoDaemon) != c.none {
				t.Errorf("%.200s (no daemon: %v), want %s (%v)", text, errors.Is(err, ErrNoDaemon), c.want, c.none)
			}
			if len(text) > maxErrorText+100 || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("unbearable: %.300q", text)
			}
		})
	}
}

// A daemon that is stuck gets 5 s, whoever asks with whatever patience.
func TestClientTimeout(t *testing.T) {
	if got := Dial("x").timeout; got != 5*time.Second {
		t.Errorf("the timeout is %v", got)
	}
}

func TestClientInterrupted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	defer serveRaw(fatal{t}, socket, "")()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(socket).Snapshot(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoDaemon) {
		t.Errorf("%v", err)
	}
}

// No permission is not "no daemon": going round the daemon would hide why.
func TestClientWithoutPermission(t *testing.T) {
	c := Dial("/run/s")
	err := c.explain(t.Context(), &os.PathError{Op: "dial", Path: "/run/s", Err: os.ErrPermission})
	if errors.Is(err, ErrNoDaemon) || err.Error() != "connect to /run/s: permission denied; try as root, or as a member of its group" {
		t.Errorf("%v", err)
	}
}

// The statuses are part of what is documented.
func TestStatusOfErrors(t *testing.T) {
	for want, err := range map[int]error{
		http.StatusConflict:            errors.Join(errors.New("x"), Refuse("no")),
		http.StatusBadRequest:          badRequest{errors.New("x")},
		http.StatusServiceUnavailable:  context.DeadlineExceeded,
		http.StatusInternalServerError: errors.New("x"),
	} {
		if got := statusOf(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
