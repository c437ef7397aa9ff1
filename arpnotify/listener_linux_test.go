package arpnotify

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// rivalMAC is a machine outside the cluster.
var rivalMAC = net.HardwareAddr{0x02, 0xbb, 0, 0, 0, 1}

// An audience is a running Listener with what it has delivered and logged.
type audience struct {
	*Listener
	log lockedBuffer

	mu    sync.Mutex
	heard []Claimant
}

// lockedBuffer is a log that can be read while it is written.
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

// listen runs a Listener for addrs on link until the test ends. It listens when this returns.
func listen(t testing.TB, c ListenerConfig, link string, addrs ...netip.Addr) *audience {
	t.Helper()
	a := new(audience)
	c.Log = slog.New(slog.NewTextHandler(&a.log, nil))
	a.Listener = NewListener(c)
	a.Set(map[string][]netip.Addr{link: addrs})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, a.note) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	a.untilOpen(t, link)
	return a
}

// untilOpen waits until link is listened to.
func (a *audience) untilOpen(t testing.TB, link string) {
	t.Helper()
	eventually(t, "listening on "+link, func() bool {
		a.Listener.mu.Lock()
		defer a.Listener.mu.Unlock()
		s := a.stations[link]
		return s != nil && s.ears != nil
	})
}

func (a *audience) note(c Claimant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, c)
}

func (a *audience) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.heard)
}

// next waits for one claimant and takes it.
func (a *audience) next(t testing.TB) (c Claimant) {
	t.Helper()
	eventually(t, "a claimant", func() bool { return a.count() > 0 })
	a.mu.Lock()
	defer a.mu.Unlock()
	c = a.heard[0]
	a.heard = a.heard[1:]
	return c
}

// nothingElse says that what has arrived until now holds no claimant. It sends one that is wanted, of sentinel, and
// waits for that; the sockets keep the order of frames of one protocol.
func (a *audience) nothingElse(t testing.TB, x *capture, sentinel netip.Addr) {
	t.Helper()
	x.send(t, claimFrame(t, sentinel, rivalMAC))
	if c := a.next(t); c.Addr != sentinel {
		t.Errorf("delivered %+v", c)
	}
}

// claimFrame is a frame with which mac claims addr.
func claimFrame(t testing.TB, addr netip.Addr, mac net.HardwareAddr) []byte {
	t.Helper()
	b, err := frame(addr, 0, face{mac: mac})
	must(t, err)
	return b
}

func same(a, b Claimant) bool {
	return a.Link == b.Link && a.Addr == b.Addr && a.Probing == b.Probing && bytes.Equal(a.Hardware, b.Hardware)
}

func TestRivalIsHeard(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := listen(t, ListenerConfig{Limit: 1e9}, c.near, vip4, vip6)
	for _, addr := range []netip.Addr{vip4, vip6} {
		for part := range parts(addr) {
			b, err := frame(addr, part, face{mac: rivalMAC})
			must(t, err)
			x.send(t, b)
			if got, want := a.next(t), (Claimant{c.near, addr, rivalMAC, false}); !same(got, want) {
				t.Errorf("announcement %d: %+v, want %+v", part, got, want)
			}
		}
		b, err := question(addr, rivalMAC)
		must(t, err)
		x.send(t, b)
		if got, want := a.next(t), (Claimant{c.near, addr, rivalMAC, true}); !same(got, want) {
			t.Errorf("question: %+v, want %+v", got, want)
		}
	}
	if got, want := a.Counters(), (ListenerCounters{Using: 3, Probing: 2}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}
