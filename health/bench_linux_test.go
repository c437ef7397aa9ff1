package health

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// BenchmarkTry is what one try costs this host.
func BenchmarkTry(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	defer func() { _ = listener.Close(); <-over }()
	for name, p := range map[string]probe{
		"http": httpProbe{server.URL}, "tcp": tcpProbe{listener.Addr().String()}, "command": newCommandProbe([]string{"/bin/true"}),
	} {
		b.Run(name, func(b *testing.B) {
			c := check{Check: Check{Timeout: 10 * time.Second}, probe: p}
			for b.Loop() {
				if err := c.try(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHunt is what the look through /proc costs that follows a timeout. No process is in a session with the number of this one's pid.
func BenchmarkHunt(b *testing.B) {
	for b.Loop() {
		for _, pid := range processes() {
			if statOf(pid).session == os.Getpid() {
				b.Fatalf("process %d is in a session of this process", pid)
			}
		}
	}
	b.ReportMetric(float64(len(processes())), "processes")
}
