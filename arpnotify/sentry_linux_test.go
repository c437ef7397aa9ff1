package arpnotify

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newSentry makes a Sentry on the near end of the cable.
func newSentry(t *testing.T, c *cable) *Sentry {
	t.Helper()
	s := NewSentry(sinceBoot, nil)
	t.Cleanup(s.Close)
	s.Listen([]string{c.near})
	return s
}

// asked asks until the answer comes: the link-local address has to be there first.
func asked(t *testing.T, s *Sentry, link string, addr netip.Addr, mac [6]byte) (answer Heard) {
	t.Helper()
	for deadline := sinceBoot() + 5*time.Second; sinceBoot() < deadline; {
		if err := s.Ask(link, addr, mac); err != nil {
			t.Log(err)
		}
		for again := sinceBoot() + 50*time.Millisecond; sinceBoot() < again; {
			found := false
			s.Hear(func(h Heard) {
				if h.Kind == Answer && h.Addr == addr {
					answer, found = h, true
				}
			})
			if found {
				return answer
			}
		}
	}
	t.Fatalf("nobody answers for %s", addr)
	return Heard{}
}

func TestSentryAsks(t *testing.T) {
	c := newCable(t)
	s := newSentry(t, c)
	far := [6]byte(c.farLink.Attrs().HardwareAddr)
	for _, addr := range []netip.Addr{vip4, vip6} {
		c.raise(t, addr)
		for _, mac := range [][6]byte{{}, far} {
			if h := asked(t, s, c.near, addr, mac); h.MAC != far || h.Link != c.near {
				t.Errorf("%s asked at %x: %+v", addr, mac, h)
			}
		}
	}
	if mac := c.believed(t, vip4); mac != "" {
		t.Errorf("the neighbour has learnt that %s is at %s", vip4, mac)
	}
}

// What a Sentry sends, another takes for a question; what it hears of others is told apart.
func TestHearing(t *testing.T) {
	from := hardware{2, 0, 0, 0, 0, 9}
	p := &box{mac: from, source: netip.MustParseAddr("fe80::9")}
	p.prepare()
	to := hardware{2, 0, 0, 0, 0, 1}
	face := face{mac: from[:]}
	announcement := func(addr netip.Addr, part int) []byte { b, err := frame(addr, part, face); must(t, err); return b }
	for name, c := range map[string]struct {
		frame []byte
		want  Heard
		ok    bool
	}{
		"ARP question":         {p.askARP(vip4, to), Heard{MAC: from, Kind: ARPQuestion}, true},
		"ARP question to all":  {append([]byte(nil), p.askARP(vip4, hardware{})...), Heard{}, false},
		"ND question":          {append([]byte(nil), p.askND(vip6, to)...), Heard{MAC: from, Kind: NDQuestion}, true},
		"ND question to all":   {p.askND(vip6, hardware{}), Heard{}, false},
		"gratuitous request":   {announcement(vip4, 0), Heard{MAC: from, Addr: vip4, Kind: Announcement}, true},
		"gratuitous reply":     {announcement(vip4, 1), Heard{MAC: from, Addr: vip4, Kind: Announcement}, true},
		"advertisement to all": {announcement(vip6, 0), Heard{MAC: from, Addr: vip6, Kind: Announcement}, true},
		"short":                {make([]byte, 20), Heard{}, false},
	} {
		if name == "ARP question" {
			c.frame = p.askARP(vip4, to)
		}
		got, ok := hearing(c.frame)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v, %t, want %+v, %t", name, got, ok, c.want, c.ok)
		}
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	c := newCable(t)
	c.raise(t, vip4)
	s := newSentry(t, c)
	asked(t, s, c.near, vip4, [6]byte{})
	far := [6]byte(c.farLink.Attrs().HardwareAddr)
	b := s.box(c.near)
	b.lookAt = never // that is once a second
	if n := testing.AllocsPerRun(100, func() { must(t, s.Ask(c.near, vip4, far)) }); n > 0 {
		t.Errorf("%v allocations for each question", n)
	}
}

// What arrived is told with the moment of its arrival, however late it is read.
func TestHeardLaterThanItArrived(t *testing.T) {
	c := newCable(t)
	c.raise(t, vip4)
	s := newSentry(t, c)
	asked(t, s, c.near, vip4, [6]byte{})
	const late = 20 * time.Millisecond
	for range 20 { // a busy machine may come between two readings of clocks
		s.Hear(func(Heard) {})
		before := sinceBoot()
		must(t, s.Ask(c.near, vip4, [6]byte(c.farLink.Attrs().HardwareAddr)))
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.box(c.near).sockets[0].fd), Events: unix.POLLIN}}, 5000); n != 1 {
			t.Fatalf("no answer: %v", err)
		}
		arrived := sinceBoot()
		for sinceBoot() < arrived+late {
		}
		var at time.Duration
		s.Hear(func(h Heard) { at = h.At })
		if at >= before && at <= arrived {
			return
		}
		t.Logf("asked at %v, arrived by %v, said to have arrived at %v", before, arrived, at)
	}
	t.Error("frames are told with another time than that of their arrival")
}

// An interface of the same name that came instead is listened to.
func TestSentryFindsTheInterfaceAgain(t *testing.T) {
	c := newCable(t)
	s := newSentry(t, c)
	s.interval = 0
	for range 2 {
		c.raise(t, vip4)
		asked(t, s, c.near, vip4, [6]byte{})
		must(t, netlink.LinkDel(c.link(t)))
		if err := s.Ask(c.near, vip4, [6]byte{}); err == nil {
			t.Error("asked on an interface that is gone")
		}
		c.plug(t)
	}
}
