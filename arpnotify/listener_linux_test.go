package arpnotify

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

func TestRivalIsHeard(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := listen(t, ListenerConfig{Limit: unlimited}, c.near, vip4, vip6)
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

// The kernel of another machine is heard in all it says about an address by itself: it asks whether it is free, then
// uses it.
func TestAnotherKernelIsHeard(t *testing.T) {
	c := newCable(t)
	a := listen(t, ListenerConfig{Limit: unlimited}, c.near, vip4, vip6)
	mac := c.farLink.Attrs().HardwareAddr

	must(t, c.far.AddrAdd(c.farLink, &netlink.Addr{IPNet: prefix(vip6)})) // with duplicate address detection
	if got, want := a.next(t), (Claimant{c.near, vip6, mac, true}); !same(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	c.raise(t, vip4)
	nstest.Do(t, c.ns, func() error { // an ARP request from the address
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: vip4.AsSlice()}, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 200), Port: 9})
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("x"))
		return err
	})
	if got, want := a.next(t), (Claimant{c.near, vip4, mac, false}); !same(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWhatIsNoClaimant(t *testing.T) {
	c, other := newCable(t), newCable(t)
	x := c.atFar(t)
	a := listen(t, ListenerConfig{Limit: unlimited}, c.near, vip4, vip6)
	unwanted := netip.MustParseAddr("192.0.2.8")
	toAnother := claimFrame(t, vip4, rivalMAC)
	copy(toAnother, oldMAC)
	asked, err := question(vip4, rivalMAC)
	must(t, err)
	copy(asked, c.mac(t))
	for _, tt := range []struct {
		name  string
		frame []byte
	}{
		{"another address", claimFrame(t, unwanted, rivalMAC)},
		{"a frame of this link that comes back", claimFrame(t, vip4, c.mac(t))},
		{"a frame of another link of this host", claimFrame(t, vip4, other.mac(t))},
		{"a frame to another host", toAnother},
		{"the tag of a VLAN that is not here", tagged(claimFrame(t, vip4, rivalMAC), 5)},
		{"a question whether this host is alive", asked},
		{"another protocol", append(append(slices.Clone(rivalMAC), rivalMAC...), make([]byte, 60)...)},
	} {
		x.send(t, tt.frame)
		a.nothingElse(t, x, tt.name)
	}
	// What this host sends, whatever is in it.
	c.atNear(t).send(t, claimFrame(t, vip4, rivalMAC))
	a.nothingElse(t, x, "a frame sent from here")
	announcer := start(t, Config{})
	must(t, announcer.Announce(c.near, vip4, yes))
	a.nothingElse(t, x, "an announcement from here")
}

// tagged is frame with the tag of a VLAN (IEEE 802.1Q).
func tagged(frame []byte, vlan byte) []byte {
	return slices.Insert(slices.Clone(frame), 12, 0x81, 0x00, 0x00, vlan)
}

// The tag of VLAN 0 is a priority and no VLAN (IEEE 802.1Q section 9.6).
func TestPriorityTagIsHeard(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := listen(t, ListenerConfig{}, c.near, vip4)
	x.send(t, tagged(claimFrame(t, vip4, rivalMAC), 0))
	if got, want := a.next(t), (Claimant{c.near, vip4, rivalMAC, false}); !same(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestVLANIsHeard(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = c.near+".5", c.link(t).Attrs().Index
	add(t, &netlink.Vlan{LinkAttrs: attrs, VlanId: 5})
	a := listen(t, ListenerConfig{Limit: unlimited}, attrs.Name, vip4)
	x.send(t, claimFrame(t, vip4, rivalMAC)) // beneath
	x.send(t, tagged(claimFrame(t, vip4, rivalMAC), 5))
	if got, want := a.next(t), (Claimant{attrs.Name, vip4, rivalMAC, false}); !same(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	x.send(t, tagged(claimFrame(t, last, rivalMAC), 5))
	if got := a.next(t); got.Addr != last {
		t.Errorf("also delivered %+v", got)
	}
}

// A bridge is listened to and its ports belong to this host.
func TestBridgeIsHeard(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "br"+c.near, net.HardwareAddr{0x02, 0xb0, 0, 0, 0, 1}
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	add(t, bridge)
	must(t, netlink.LinkSetMaster(c.link(t), bridge))
	a := listen(t, ListenerConfig{Limit: unlimited}, attrs.Name, vip4)
	eventually(t, "the bridge hears", func() bool { // when its port forwards
		x.send(t, claimFrame(t, vip4, rivalMAC))
		return a.count() > 0
	})
	if got, want := a.next(t), (Claimant{attrs.Name, vip4, rivalMAC, false}); !same(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	x.send(t, claimFrame(t, last, rivalMAC))
	for a.next(t).Addr != last {
	}
	for _, mac := range []net.HardwareAddr{c.mac(t), attrs.HardwareAddr} {
		x.send(t, claimFrame(t, vip4, mac))
		a.nothingElse(t, x, "a hardware address of this host")
	}
}

// add makes a link, up, until the test ends.
func add(t testing.TB, link netlink.Link) {
	t.Helper()
	err := netlink.LinkAdd(link)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("SKIPPED, MISSING: this kernel has no links of type %s", link.Type())
	}
	must(t, err)
	t.Cleanup(func() { _ = netlink.LinkDel(link) })
	must(t, netlink.LinkSetUp(link))
}

func TestListenerFollowsTheHardwareAddress(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := listen(t, ListenerConfig{Limit: unlimited}, c.near, vip4)
	before, after := c.mac(t), net.HardwareAddr{0x02, 0, 0, 0, 0xbe, 0xef}
	must(t, netlink.LinkSetHardwareAddr(c.link(t), after))
	eventually(t, "the change is noticed", func() bool {
		a.Listener.mu.Lock()
		defer a.Listener.mu.Unlock()
		return a.isOwn(hardware(after))
	})
	x.send(t, claimFrame(t, vip4, after))
	a.nothingElse(t, x, "the new address")
	x.send(t, claimFrame(t, vip4, before))
	if got, want := a.next(t), (Claimant{c.near, vip4, before, false}); !same(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Whatever happens to the link, it is heard again afterwards, and the log has one record for each change.
func TestListenerHeals(t *testing.T) {
	c := newCable(t)
	a := listen(t, ListenerConfig{Limit: unlimited}, c.near, vip4)
	heard := func(x *capture) {
		t.Helper()
		eventually(t, "a rival", func() bool {
			x.send(t, claimFrame(t, vip4, rivalMAC))
			return a.count() > 0
		})
		x.send(t, claimFrame(t, last, rivalMAC))
		for a.next(t).Addr != last {
		}
	}
	logged := func(want string, records int) {
		t.Helper()
		var log string
		eventually(t, "log: "+want, func() bool { log += a.log.take(); return strings.Contains(log, want) })
		if n := strings.Count(log, "\n"); n > records {
			t.Errorf("log:\n%s, want at most %d records", log, records)
		}
	}
	must(t, netlink.LinkSetDown(c.link(t)))
	logged("network is down", 1)
	must(t, netlink.LinkSetUp(c.link(t)))
	logged("listens again", 1)
	heard(c.atFar(t))
	must(t, netlink.LinkDel(c.link(t)))
	logged("no such device", 1)
	c.plug(t)
	logged("listens again", 2) // it may be seen before it is up
	heard(c.atFar(t))
	must(t, netlink.LinkSetName(c.link(t), c.near+"x"))
	logged("no such device", 1)
	renamed, err := netlink.LinkByName(c.near + "x")
	must(t, err)
	must(t, netlink.LinkSetName(renamed, c.near))
	logged("listens again", 1)
	heard(c.atFar(t))
}

func TestLoopbackIsNotListenedTo(t *testing.T) {
	nstest.Need(t)
	var log lockedBuffer
	l := NewListener(ListenerConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
	l.Set(map[string][]netip.Addr{"lo": {vip4}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, nil) }()
	eventually(t, "log", func() bool { return strings.Contains(log.take(), ErrNotEthernet.Error()) })
	cancel()
	must(t, <-done)
}

// A rival that sends more than this host can read costs the rest, and nothing more: the loss is counted and the rival is
// heard afterwards.
func TestStormDoesNotDeafen(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	held, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	heard := make(chan netip.Addr, 1000)
	l := NewListener(ListenerConfig{Limit: unlimited})
	l.Set(map[string][]netip.Addr{c.near: {vip4, last}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- l.Run(ctx, func(c Claimant) {
			once.Do(func() { close(held); <-goOn })
			select {
			case heard <- c.Addr:
			default:
			}
		})
	}()
	b := claimFrame(t, vip4, rivalMAC)
	eventually(t, "the first claimant", func() bool {
		x.send(t, b)
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	eventually(t, "lost frames", func() bool {
		for range 1000 {
			x.send(t, b)
		}
		return l.Counters().Lost > 0
	})
	close(goOn)
	eventually(t, "the rival is heard again", func() bool {
		x.send(t, claimFrame(t, last, rivalMAC))
		for {
			select {
			case addr := <-heard:
				if addr == last {
					return true
				}
			default:
				return false
			}
		}
	})
	cancel()
	must(t, <-done)
}

// TestListenerUnderRace has all methods called while claimants arrive.
func TestListenerUnderRace(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := listen(t, ListenerConfig{Limit: unlimited}, c.near, vip4, vip6)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for r := range 200 {
				if i == 0 && r%20 == 0 {
					a.Set(nil) // closes the sockets
				}
				a.Set(map[string][]netip.Addr{c.near: {vip4, vip6, last}, "missing0": {vip4}})
				a.Counters()
				x.send(t, claimFrame(t, vip4, rivalMAC))
			}
		})
	}
	wg.Wait()
	eventually(t, "the last claimant", func() bool {
		x.send(t, claimFrame(t, last, rivalMAC))
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.heard) > 0 && a.heard[len(a.heard)-1].Addr == last
	})
}

// A frame that is not about a wanted address costs no memory, from the socket to the verdict.
func TestIrrelevantFramesAllocateNothing(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	e, err := openEar(net.Interface{Index: c.link(t).Attrs().Index, Name: c.near}, etherARP)
	must(t, err)
	defer e.close()
	l := NewListener(ListenerConfig{})
	l.Set(map[string][]netip.Addr{c.near: {vip4}})
	const runs = 50
	for range 1 + runs { // they fit into the receive buffer
		x.send(t, claimFrame(t, last, rivalMAC))
	}
	n := testing.AllocsPerRun(runs, func() {
		b, err := e.read()
		if s, ok := sight(b); err != nil || !ok || l.admit(c.near, s) {
			t.Error("not as it should be", err, ok)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for each", n)
	}
}
