package arpnotify

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// newSentry runs a Sentry on the near end of the cable.
func newSentry(t *testing.T, c *cable) (*Sentry, <-chan Heard) {
	t.Helper()
	s, heard := NewSentry(sinceBoot, nil), make(chan Heard, 64)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(h Heard) {
			select {
			case heard <- h:
			default:
			}
		})
	}()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	s.Listen([]string{c.near})
	return s, heard
}

// asked asks until the answer comes, at most for two seconds: the link-local address has to be there first.
func asked(t *testing.T, s *Sentry, heard <-chan Heard, link string, addr netip.Addr, mac [6]byte) Heard {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		if err := s.Ask(link, addr, mac); err != nil {
			t.Log(err)
		}
		again := time.After(50 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case h := <-heard:
				if h.Kind == Answer && h.Addr == addr {
					return h
				}
			case <-again:
				waiting = false
			case <-deadline:
				t.Fatalf("nobody answers for %s", addr)
			}
		}
	}
}

func TestSentryAsks(t *testing.T) {
	c := newCable(t)
	s, heard := newSentry(t, c)
	far := [6]byte(c.farLink.Attrs().HardwareAddr)
	for _, addr := range []netip.Addr{vip4, vip6} {
		c.raise(t, addr)
		for _, mac := range [][6]byte{{}, far} {
			if h := asked(t, s, heard, c.near, addr, mac); h.MAC != far || h.Link != c.near {
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
	s, heard := newSentry(t, c)
	asked(t, s, heard, c.near, vip4, [6]byte{})
	far := [6]byte(c.farLink.Attrs().HardwareAddr)
	b := s.box(c.near)
	b.lookAt = never // that is once a second
	if n := testing.AllocsPerRun(100, func() { must(t, s.Ask(c.near, vip4, far)) }); n > 0 {
		t.Errorf("%v allocations for each question", n)
	}
}
