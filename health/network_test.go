package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// within tries once with a timeout, as a Runner does, and tells how long it took.
func within(t *testing.T, timeout time.Duration, p probe) (took time.Duration, err error) {
	t.Helper()
	c := check{Check: Check{Timeout: timeout}, probe: p}
	began := time.Now()
	err = c.try(t.Context())
	return time.Since(began), err
}

// wants compares what a try came to; "" is healthy.
func wants(t *testing.T, err error, why string) {
	t.Helper()
	if err == nil && why == "" {
		return
	}
	if err == nil || why == "" || err.Error() != why {
		t.Errorf("got %v\nwant %s", err, why)
	}
}

func TestHTTPAnswers(t *testing.T) {
	mux := http.NewServeMux()
	for _, status := range []int{200, 204, 301, 302, 399, 400, 404, 500} {
		mux.HandleFunc(fmt.Sprintf("/%d", status), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/500") // to be followed it must not be
			w.WriteHeader(status)
		})
	}
	mux.HandleFunc("/said", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "\n  database is \x1b[31mgone\nsecond line", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>")
	})
	mux.HandleFunc("/truncated", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "not so much")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) })
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, why := range map[string]string{
		"/200": "", "/204": "", "/301": "", "/302": "", "/399": "", "/hints": "",
		"/400":       "HTTP 400 Bad Request",
		"/404":       "HTTP 404 Not Found",
		"/500":       "HTTP 500 Internal Server Error",
		"/said":      "HTTP 503 Service Unavailable: database is \x1b[31mgone",
		"/html":      "HTTP 502 Bad Gateway",
		"/truncated": "HTTP 200 OK, but the body broke off: unexpected EOF",
	} {
		t.Run(path[1:], func(t *testing.T) {
			p := httpProbe{server.URL + path}
			_, err := within(t, 10*time.Second, p)
			wants(t, err, why)
			wants(t, p.close(), "")
		})
	}
}

// TestHTTPRequest: what the server sees, and that no connection is used twice.
func TestHTTPRequest(t *testing.T) {
	var connections, requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		user, password, _ := r.BasicAuth()
		if r.Method != "GET" || r.RequestURI != "/a?b=c" || !strings.HasPrefix(r.Host, "localhost:") || user != "me" || password != "secret" ||
			r.Proto != "HTTP/1.1" || !r.Close || r.UserAgent() != "viplease" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s %s %s to %s by %s:%s, headers %v", r.Method, r.RequestURI, r.Proto, r.Host, user, password, r.Header)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	p := httpProbe{"http://me:secret@localhost:" + port + "/a?b=c"}
	for range 3 {
		_, err := within(t, 10*time.Second, p)
		wants(t, err, "")
	}
	if connections.Load() != 3 || requests.Load() != 3 {
		t.Errorf("%d connections, %d requests, want 3 of each", connections.Load(), requests.Load())
	}
}

// TestHTTPBodyIsBounded: an endless body is healthy, and only its beginning is read.
func TestHTTPBodyIsBounded(t *testing.T) {
	var sent atomic.Int64
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(done)
		for block := make([]byte, 64<<10); ; {
			n, err := w.Write(block)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, err := within(t, 10*time.Second, httpProbe{server.URL})
	wants(t, err, "")
	<-done // the connection was closed under it
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("the server could send %d bytes", n) // socket buffers take some; an unbounded read takes all of them, for 10 s
	}
}

func TestHTTPUntrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	_, err := within(t, 10*time.Second, httpProbe{server.URL})
	if err == nil || !strings.Contains(err.Error(), "failed to verify certificate") {
		t.Errorf("got %v", err)
	}
}

// TestHangs: servers that go silent at every stage cost the timeout, no more, and say so.
func TestHangs(t *testing.T) {
	const headers = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"
	for _, tt := range []struct {
		name  string
		serve func(ctx context.Context, conn net.Conn)
		why   string
	}{
		{"never answers", func(ctx context.Context, _ net.Conn) { <-ctx.Done() }, "not done within 150ms"},
		{"sends half the headers", func(ctx context.Context, conn net.Conn) { fmt.Fprint(conn, headers); <-ctx.Done() }, "not done within 150ms"},
		{"sends headers for ever, slowly", func(ctx context.Context, conn net.Conn) {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
			for sleep(ctx, 10*time.Millisecond) {
				fmt.Fprint(conn, "X-Slow: 1\r\n")
			}
		}, "not done within 150ms"},
		{"sends no body", func(ctx context.Context, conn net.Conn) { fmt.Fprint(conn, headers, "\r\n"); <-ctx.Done() },
			"HTTP 200 OK, but the body broke off: not done within 150ms"},
		{"sends headers for ever, quickly", func(ctx context.Context, conn net.Conn) {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
			for ctx.Err() == nil {
				if _, err := fmt.Fprintf(conn, "X-Flood: %01000d\r\n", 0); err != nil {
					return
				}
			}
		}, "server response headers exceeded 65536 bytes; aborted"},
		{"speaks something else", func(_ context.Context, conn net.Conn) { fmt.Fprint(conn, "220 mail.example ESMTP\r\n") },
			`malformed HTTP status code "mail.example"`},
		{"hangs up", func(context.Context, net.Conn) {}, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := listen(t, func(ctx context.Context, conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					t.Error(err)
				}
				tt.serve(ctx, conn)
			})
			took, err := within(t, 150*time.Millisecond, httpProbe{"http://" + address})
			if err == nil || !strings.HasSuffix(err.Error(), tt.why) {
				t.Errorf("got %v\nwant %s", err, tt.why)
			}
			if took > 2*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestHTTPSHangs: the peer accepts, and never says a word of TLS.
func TestHTTPSHangs(t *testing.T) {
	address := listen(t, func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
	before := goleak.IgnoreCurrent()
	took, err := within(t, 150*time.Millisecond, httpProbe{"https://" + address})
	wants(t, err, "not done within 150ms")
	if took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	goleak.VerifyNone(t, before)
}

func TestTCP(t *testing.T) {
	t.Run("accepted and closed", func(t *testing.T) {
		got := make(chan error, 1)
		address := listen(t, func(_ context.Context, conn net.Conn) {
			_, err := conn.Read(make([]byte, 1))
			got <- err
		})
		_, err := within(t, 10*time.Second, tcpProbe{address})
		wants(t, err, "")
		if err := <-got; err != io.EOF {
			t.Errorf("the server read %v, want EOF", err)
		}
	})
	t.Run("closed port", func(t *testing.T) {
		address := closedPort(t)
		_, err := within(t, 10*time.Second, tcpProbe{address})
		wants(t, err, "dial tcp "+address+": connect: connection refused")
		_, err = within(t, 10*time.Second, httpProbe{"http://" + address})
		wants(t, err, "dial tcp "+address+": connect: connection refused")
	})
	t.Run("accept queue full", func(t *testing.T) {
		address := fullQueue(t)
		for _, p := range []probe{tcpProbe{address}, httpProbe{"http://" + address}} {
			before := goleak.IgnoreCurrent()
			took, err := within(t, 150*time.Millisecond, p)
			wants(t, err, "not done within 150ms")
			goleak.VerifyNone(t, before)
			if took > 2*time.Second {
				t.Errorf("took %s", took)
			}
		}
	})
}

// listen serves one connection after the other, in one goroutine, with a context that ends with the test.
func listen(t *testing.T, serve func(context.Context, net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			serve(ctx, conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { cancel(); listener.Close(); <-over })
	return listener.Addr().String()
}

// closedPort is bound, so that nobody else listens there, and not listened to.
func closedPort(t *testing.T) (address string) {
	t.Helper()
	fd, port := bound(t)
	t.Cleanup(func() { syscall.Close(fd) })
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// fullQueue is a socket whose queue of connections is full: the kernel drops every further SYN, as a firewall or a dead host would.
func fullQueue(t *testing.T) (address string) {
	t.Helper()
	fd, port := bound(t)
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
	address = fmt.Sprintf("127.0.0.1:%d", port)
	for range 10 { // one fits into a queue of length 0; how many is the kernel's affair
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func bound(t *testing.T) (fd, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return fd, name.(*syscall.SockaddrInet4).Port
}
