package leases

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy stands between a Store and one server.
type proxy struct {
	url    string
	listen net.Listener

	mu      sync.Mutex
	swallow bool          // answers of the server are read and thrown away
	delay   time.Duration // of answers
	made    int           // connections, ever
	asked   int           // bytes sent to the server
	conns   []net.Conn
	closed  bool
	lost    bool // nothing gets through
	age     int  // counts the times when that began: connections from before are lost for good
	all     sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "http://" + l.Addr().String(), listen: l}
	p.all.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", strings.TrimPrefix(to, "http://"))
			if err != nil {
				down.Close()
				continue
			}
			p.mu.Lock()
			if p.closed {
				p.mu.Unlock()
				down.Close()
				up.Close()
				return
			}
			p.conns = append(p.conns, down, up)
			p.made++
			age := p.age
			p.mu.Unlock()
			p.all.Go(func() { io.Copy(lane{p, age, meter{p, up}}, down); up.Close() })
			p.all.Go(func() { io.Copy(lane{p, age, filter{p, down}}, up); down.Close() })
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listen.Close()
	p.cut()
	p.all.Wait()
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// lose makes a path that drops everything, as one through a firewall that forgets its connections: those of before and of meanwhile are dead for good,
// and nobody is told.
func (p *proxy) lose(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = on
	p.age++
}

// lane is one direction of one connection.
type lane struct {
	p   *proxy
	age int
	w   io.Writer
}

func (d lane) Write(b []byte) (int, error) {
	d.p.mu.Lock()
	lost := d.p.lost || d.p.age != d.age
	d.p.mu.Unlock()
	if lost {
		return len(b), nil
	}
	return d.w.Write(b)
}

// mute swallows what the server answers from now on; the requests still get through.
func (p *proxy) mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = on
}

// slow delays what the server answers from now on.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// upstream is how many bytes were sent to the server.
func (p *proxy) upstream() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

type meter struct {
	p *proxy
	w io.Writer
}

func (m meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	m.p.asked += n
	return n, err
}

type filter struct {
	p *proxy
	w io.Writer
}

func (f filter) Write(b []byte) (int, error) {
	f.p.mu.Lock()
	swallow, delay := f.p.swallow, f.p.delay
	f.p.mu.Unlock()
	if swallow {
		return len(b), nil
	}
	time.Sleep(delay)
	return f.w.Write(b)
}
