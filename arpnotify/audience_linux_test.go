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

// listen runs a Listener for addrs on link until the test ends. It listens when this returns.
func listen(t testing.TB, c ListenerConfig, link string, addrs ...netip.Addr) *audience {
	t.Helper()
	a := new(audience)
	c.Log = slog.New(slog.NewTextHandler(&a.log, nil))
	a.Listener = NewListener(c)
	a.Set(map[string][]netip.Addr{link: append(addrs, last)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, a.note) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	untilOpen(t, a.Listener, link)
	return a
}

// untilOpen waits until l listens to link.
func untilOpen(t testing.TB, l *Listener, link string) {
	t.Helper()
	eventually(t, "listening on "+link, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		s := l.stations[link]
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

// last is an address that is wanted in every test; a claim of it shows that all before it has been dealt with.
var last = netip.MustParseAddr("192.0.2.99")

// nothingElse says that nothing was delivered of what has arrived so far; a socket keeps the order of its frames.
func (a *audience) nothingElse(t testing.TB, x *capture, why string) {
	t.Helper()
	x.send(t, claimFrame(t, last, rivalMAC))
	if c := a.next(t); c.Addr != last {
		t.Errorf("%s: delivered %+v", why, c)
	}
}

// claimFrame is a frame with which mac claims addr.
func claimFrame(t testing.TB, addr netip.Addr, mac net.HardwareAddr) []byte {
	t.Helper()
	b, err := frame(addr, 0, face{mac: mac})
	must(t, err)
	return b
}

const unlimited = 1_000_000_000

func same(a, b Claimant) bool {
	return a.Link == b.Link && a.Addr == b.Addr && a.Probing == b.Probing && bytes.Equal(a.Hardware, b.Hardware)
}
