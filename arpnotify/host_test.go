package arpnotify

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A host stands in for the kernel of a Listener: its links change and its ears hear as they are told.
type host struct {
	mu      sync.Mutex
	ifs     []net.Interface
	noLinks error
	noOpen  error
	listed  int // how often the links were listed
	opened  int
	ears    map[string]*fakeEar // the ear for ARP of each link, if open
	changes *fakeEar
}

type fakeEar struct {
	host   *host
	name   string // the link; empty: another ear
	in     chan any
	closed chan struct{}
	drops  atomic.Uint64
}

func newFakeEar(h *host, name string) *fakeEar {
	return &fakeEar{host: h, name: name, in: make(chan any, 10_000), closed: make(chan struct{})}
}

func (e *fakeEar) read() ([]byte, error) {
	select {
	case <-e.closed:
		return nil, os.ErrClosed
	case x := <-e.in:
		if err, ok := x.(error); ok {
			return nil, err
		}
		return x.([]byte), nil
	}
}

func (e *fakeEar) lost() uint64 { return e.drops.Swap(0) }

func (e *fakeEar) close() error {
	e.host.mu.Lock()
	defer e.host.mu.Unlock()
	if e.host.ears[e.name] == e {
		delete(e.host.ears, e.name)
	}
	close(e.closed)
	return nil
}

func (h *host) links() ([]net.Interface, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listed++
	return h.ifs, h.noLinks
}

func (h *host) open(i net.Interface, etherType uint16) (ear, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.noOpen != nil {
		return nil, h.noOpen
	}
	if etherType != etherARP {
		return newFakeEar(h, ""), nil
	}
	h.opened++
	e := newFakeEar(h, i.Name)
	h.ears[i.Name] = e
	return e, nil
}

// counts is how often the links were listed, how often one was opened, and how many are open now.
func (h *host) counts() (listed, opened, open int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listed, h.opened, len(h.ears)
}

// earOn is the open ear of a link, nil: there is none.
func (h *host) earOn(link string) *fakeEar {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ears[link]
}

// change alters the links and has the kernel report it.
func (h *host) change(f func(*host)) {
	h.mu.Lock()
	f(h)
	h.mu.Unlock()
	h.changes.in <- []byte("something")
	pass(settlePause)
}

// arrive has frames arrive on a link.
func (h *host) arrive(link string, frames ...any) {
	e := h.earOn(link)
	if e == nil {
		return // nobody listens
	}
	for _, f := range frames {
		e.in <- f
	}
	synctest.Wait()
}

func iface(name string, index int, flags net.Flags) net.Interface {
	return net.Interface{Index: index, Name: name, Flags: flags, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)}}
}

// A post is a Listener over a host, with what it has delivered and logged.
type post struct {
	*Listener
	host  *host
	heard []Claimant
	log   lockedBuffer
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

// take returns what was logged since the last take.
func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

// atPost runs f with a running Listener that wants vip4 on eth0, in a bubble.
func atPost(t *testing.T, c ListenerConfig, f func(t *testing.T, p *post)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPost(c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, func(c Claimant) { p.heard = append(p.heard, c) }) }()
		pass(settlePause)
		f(t, p)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, _, open := p.host.counts(); open != 0 {
			t.Errorf("%d links open after Run", open)
		}
	})
}

func newPost(c ListenerConfig) *post {
	began := time.Now()
	p := &post{host: &host{ears: make(map[string]*fakeEar)}}
	p.host.changes = newFakeEar(p.host, "")
	p.host.ifs = []net.Interface{iface("eth0", 1, net.FlagUp), iface("eth1", 2, net.FlagUp)}
	c.Now = func() time.Duration { return time.Hour + time.Since(began) }
	c.Log = slog.New(slog.NewTextHandler(&p.log, nil))
	p.Listener = NewListener(c)
	p.links, p.open = p.host.links, p.host.open
	p.openLinks = func() (ear, error) { return p.host.changes, nil }
	p.Set(map[string][]netip.Addr{"eth0": {vip4}})
	return p
}

func (p *post) take() int {
	n := len(p.heard)
	p.heard = nil
	return n
}
