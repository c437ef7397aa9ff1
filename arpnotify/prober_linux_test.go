package arpnotify

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// enough is a wait in which a neighbour on a veth pair answers.
const enough = 200 * time.Millisecond

// newProber makes a Prober whose sockets are closed when the test ends.
func newProber(t testing.TB) *Prober {
	t.Helper()
	p := new(Prober)
	t.Cleanup(p.Close)
	return p
}

// The kernel of the neighbour answers for what it has, and for nothing else.
func TestProbeFindsWhoAnswers(t *testing.T) {
	c := newCable(t)
	free4, free6 := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	c.raise(t, vip4)
	c.raise(t, vip6)
	got, err := newProber(t).Probe(t.Context(), c.near, []netip.Addr{free4, vip4, free6, vip6}, enough)
	must(t, err)
	for _, addr := range []netip.Addr{vip4, vip6} {
		if want := (Claimant{c.near, addr, c.farLink.Attrs().HardwareAddr, false}); !same(got[addr], want) {
			t.Errorf("%+v, want %+v", got[addr], want)
		}
	}
	if len(got) != 2 {
		t.Errorf("found %v", got)
	}
	// Neighbours have learnt nothing from the questions.
	for _, addr := range []netip.Addr{vip4, vip6, free4, free6} {
		if mac := c.believed(t, addr); mac != "" {
			t.Errorf("the neighbour believes %s at %s", addr, mac)
		}
	}
}

// A machine that holds everything is found in no more time than it takes to ask once.
func TestProbeFindsAThousand(t *testing.T) {
	c := newCable(t)
	_, all, err := net.ParseCIDR("10.1.0.0/16")
	must(t, err)
	must(t, c.far.RouteAdd(&netlink.Route{
		Dst: all, LinkIndex: c.farLink.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST,
	}))
	var addrs []netip.Addr
	for i := range 1000 {
		addrs = append(addrs, nthAddr(i))
	}
	began := time.Now()
	got, err := newProber(t).Probe(t.Context(), c.near, addrs, time.Minute)
	must(t, err)
	if len(got) != 1000 {
		t.Errorf("found %d", len(got))
	}
	t.Logf("took %v", time.Since(began))
}

// Our own questions come back where a switch or a bond has a loop; they are nobody else's.
func TestProbeIgnoresItsEcho(t *testing.T) {
	c := newCable(t)
	echo := c.atFar(t)
	addrs := []netip.Addr{vip4, vip6}
	p := newProber(t)
	p.Tries = 1
	type result struct {
		got map[netip.Addr]Claimant
		err error
	}
	done := make(chan result, 1)
	go func() {
		got, err := p.Probe(t.Context(), c.near, addrs, enough)
		done <- result{got, err}
	}()
	for range addrs {
		echo.send(t, echo.question(t))
	}
	if r := <-done; r.err != nil || len(r.got) != 0 {
		t.Errorf("found %v, %v", r.got, r.err)
	}
}

// question waits for a question to arrive.
func (x *capture) question(t testing.TB) (found []byte) {
	t.Helper()
	b := make([]byte, 2048)
	eventually(t, "a question", func() bool {
		n, _, err := unix.Recvfrom(x.fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			return false
		}
		s, ok := sight(b[:n])
		found = slices.Clone(b[:n])
		return ok && s.probing
	})
	return found
}

// Two machines that ask at the same time hear each other.
func TestProbeHearsWhoAsksToo(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	type result struct {
		got map[netip.Addr]Claimant
		err error
	}
	done := make(chan result, 1)
	p := newProber(t)
	go func() {
		got, err := p.Probe(t.Context(), c.near, []netip.Addr{vip4}, enough)
		done <- result{got, err}
	}()
	x.question(t)
	b, err := question(vip4, rivalMAC)
	must(t, err)
	x.send(t, b)
	r := <-done
	if want := (Claimant{c.near, vip4, rivalMAC, true}); r.err != nil || !same(r.got[vip4], want) {
		t.Errorf("found %v, %v", r.got, r.err)
	}
}

func TestLinksThatCannotBeProbed(t *testing.T) {
	c := newCable(t)
	p := newProber(t)
	for _, tt := range []struct {
		name    string
		link    string
		prepare func()
		want    error
	}{
		{"loopback", "lo", func() {}, ErrNotEthernet},
		{"missing", "missing0", func() {}, unix.ENODEV},
		{"without carrier", c.near, func() {
			must(t, c.far.LinkSetDown(c.farLink))
			eventually(t, "carrier lost", func() bool { return c.link(t).Attrs().RawFlags&unix.IFF_RUNNING == 0 })
		}, ErrNoCarrier},
		{"down", c.near, func() { must(t, netlink.LinkSetDown(c.link(t))) }, unix.ENETDOWN},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prepare()
			_, err := p.Probe(t.Context(), tt.link, []netip.Addr{vip4, vip6}, enough)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A link that was down for a moment may have missed the answer.
func TestProbeNoticesAMomentDown(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	done := make(chan error, 1)
	p := newProber(t)
	go func() {
		_, err := p.Probe(t.Context(), c.near, []netip.Addr{vip4}, time.Second)
		done <- err
	}()
	for range defaultTries {
		x.question(t)
	}
	must(t, netlink.LinkSetDown(c.link(t)))
	must(t, netlink.LinkSetUp(c.link(t)))
	eventually(t, "carrier", func() bool { return c.link(t).Attrs().RawFlags&unix.IFF_RUNNING != 0 })
	if err := <-done; !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("Probe: %v", err)
	}
}

func TestProbeWithoutPermission(t *testing.T) {
	c := newCable(t)
	p := newProber(t)
	restore := dropRawCapability(t)
	_, err := p.Probe(t.Context(), c.near, []netip.Addr{vip4}, 0)
	restore()
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("Probe without CAP_NET_RAW: %v", err)
	}
}

func TestProbeIsCancelled(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	p := newProber(t)
	go func() {
		_, err := p.Probe(ctx, c.near, []netip.Addr{vip4}, time.Hour)
		done <- err
	}()
	x.question(t)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Probe: %v", err)
	}
}
