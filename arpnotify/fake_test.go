package arpnotify

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// A shot is one frame that left a fake wire.
type shot struct {
	at   time.Duration
	link string
	addr netip.Addr
	kind string // request, reply or advert
	mac  string
	raw  []byte
}

// A lan stands in for the kernel: its wires record what they are given and fail as they are told.
type lan struct {
	now func() time.Duration

	mu     sync.Mutex
	shots  []shot
	face   face
	opens  int
	open   int   // sockets open now
	noOpen error // opening fails with it
	noLook error
	noSend error
	onSend func(shot) // called under mu
}

type fakeWire struct {
	lan  *lan
	link string
}

func (l *lan) openWire(link string) (wire, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opens++
	if l.noOpen != nil {
		return nil, l.noOpen
	}
	l.open++
	return &fakeWire{lan: l, link: link}, nil
}

func (w *fakeWire) look() (face, error) {
	w.lan.mu.Lock()
	defer w.lan.mu.Unlock()
	return w.lan.face, w.lan.noLook
}

func (w *fakeWire) close() error {
	w.lan.mu.Lock()
	defer w.lan.mu.Unlock()
	w.lan.open--
	return nil
}

func (w *fakeWire) send(b []byte) error {
	l := w.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.noSend != nil {
		return l.noSend
	}
	s := read(b)
	s.at, s.link = l.now(), w.link
	l.shots = append(l.shots, s)
	if l.onSend != nil {
		l.onSend(s)
	}
	return nil
}

// read says what a frame announces. It reads fixed offsets, not with the code that wrote them.
func read(b []byte) shot {
	s := shot{mac: net.HardwareAddr(b[6:12]).String(), raw: b}
	switch {
	case b[12] == 0x08 && b[13] == 0x06 && len(b) >= 42:
		s.addr = netip.AddrFrom4([4]byte(b[28:32]))
		s.kind = map[byte]string{byte(arp.OperationRequest): "request", byte(arp.OperationReply): "reply"}[b[21]]
	case b[12] == 0x86 && b[13] == 0xdd && len(b) >= 78 && b[20] == 58 && b[54] == 136:
		s.addr, s.kind = netip.AddrFrom16([16]byte(b[62:78])), "advert"
	}
	return s
}

// set changes the fake under its lock.
func (l *lan) set(f func(*lan)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

// take returns what was sent since the last take.
func (l *lan) take() []shot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shots
	l.shots = nil
	return s
}

// A rig is an Announcer over a lan, with its log.
type rig struct {
	*Announcer
	lan *lan
	log *bytes.Buffer // only read it while the bubble is idle
}

func (r *rig) logged() int { return bytes.Count(r.log.Bytes(), []byte("\n")) }

func newRig(c Config) *rig {
	began := time.Now()
	r := &rig{log: new(bytes.Buffer)}
	c.Now = func() time.Duration { return time.Hour + time.Since(began) }
	c.Log = slog.New(slog.NewTextHandler(r.log, nil))
	r.lan = &lan{now: c.Now, face: face{mac: net.HardwareAddr{2, 0, 0, 0, 0, 1}, carrier: true}}
	r.Announcer = New(c)
	r.open = r.lan.openWire
	return r
}

// inBubble runs f on a running Announcer in a bubble whose clock moves only when everything waits.
func inBubble(t *testing.T, c Config, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(c)
		done := make(chan error, 1)
		go func() { done <- r.Run(t.Context()) }()
		f(t, r)
		// t.Context is done when f returns; the cleanup runs after that, inside the bubble.
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if r.lan.open != 0 {
				t.Errorf("%d sockets open after Run", r.lan.open)
			}
		})
	})
}

// pass lets d go by and everything that was due then be sent.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func yes() bool { return true }
func no() bool  { return false }

var (
	vip4 = netip.MustParseAddr("192.0.2.7")
	vip6 = netip.MustParseAddr("2001:db8::7")
)

func nthAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }

// times is when addr was announced, counted from the first shot, as text.
func times(shots []shot, addr netip.Addr, kind string) string {
	var s string
	for _, x := range shots {
		if x.addr == addr && x.kind == kind {
			s += fmt.Sprint(x.at-shots[0].at, " ")
		}
	}
	return s
}

var errDown = fmt.Errorf("sendto: %w", unix.ENETDOWN)
