package arpnotify

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

// start runs an Announcer until the test ends.
func start(t *testing.T, c Config) *Announcer {
	t.Helper()
	a := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return a
}

func TestFramesArriveAsMade(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := start(t, Config{})
	for _, addr := range []netip.Addr{vip4, vip6} {
		must(t, a.Announce(c.near, addr, yes))
		for part := range parts(addr) {
			want, err := frame(addr, part, face{mac: c.mac(t)})
			must(t, err)
			if got := x.next(t, 5*time.Second); !bytes.Equal(got, want) {
				t.Errorf("%s, frame %d: arrived\n%x, want\n%x", addr, part, got, want)
			}
		}
		a.Stop(c.near, addr)
	}
}

// Each kind of frame alone moves an entry that the neighbour has, at once: also within the first second of the entry,
// when Linux takes only what it recognises as gratuitous.
func TestNeighbourLearns(t *testing.T) {
	for _, tt := range []struct {
		name string
		addr netip.Addr
		part int
	}{{"ARP request", vip4, 0}, {"ARP reply", vip4, 1}, {"neighbour advertisement", vip6, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCable(t)
			c.believe(t, tt.addr)
			if got := c.believed(t, tt.addr); got != oldMAC.String() {
				t.Fatalf("the neighbour has %q to begin with", got)
			}
			w, err := openWire(c.near)
			must(t, err)
			defer w.close()
			f, err := w.look()
			must(t, err)
			b, err := frame(tt.addr, tt.part, f)
			must(t, err)
			must(t, w.send(b))
			eventually(t, "the neighbour learns", func() bool { return c.believed(t, tt.addr) == c.mac(t).String() })
		})
	}
}

func TestAddressIsAnnouncedToTheNeighbour(t *testing.T) {
	c := newCable(t)
	a := start(t, Config{})
	for _, addr := range []netip.Addr{vip4, vip6} {
		c.believe(t, addr)
		must(t, a.Announce(c.near, addr, yes))
		eventually(t, "the neighbour learns", func() bool { return c.believed(t, addr) == c.mac(t).String() })
	}
	if got := a.Counters(); got.SentIPv4 < 2 || got.SentIPv6 < 1 || got.Errors != 0 {
		t.Errorf("counters %+v", got)
	}
}

func TestRouterFlagFollowsForwarding(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := start(t, Config{})
	for _, forwarding := range []string{"1", "0"} {
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+c.near+"/forwarding", []byte(forwarding), 0))
		must(t, a.Announce(c.near, vip6, yes))
		a.Stop(c.near, vip6)
		b := x.next(t, 5*time.Second)
		if b == nil {
			t.Fatal("nothing arrived")
		}
		if router := b[58]&0x80 != 0; router != (forwarding == "1") {
			t.Errorf("forwarding %s: router flag %v", forwarding, router)
		}
	}
}

func TestHardwareAddressIsTheOneAtThatMoment(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := start(t, Config{})
	must(t, a.Announce(c.near, vip6, yes))
	if got := read(x.next(t, 5*time.Second)).mac; got != c.mac(t).String() {
		t.Errorf("announced %s, the link has %s", got, c.mac(t))
	}
	changed := net.HardwareAddr{0x02, 0, 0, 0, 0xbe, 0xef}
	must(t, netlink.LinkSetHardwareAddr(c.link(t), changed))
	a.Restart(c.near)
	eventually(t, "an announcement from the new address", func() bool {
		b := x.next(t, 0)
		return b != nil && read(b).mac == changed.String()
	})
}

func TestLinkThatIsDownHeals(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := start(t, Config{})
	must(t, netlink.LinkSetDown(c.link(t)))
	if err := a.Announce(c.near, vip4, yes); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("Announce on a link that is down: %v", err)
	}
	must(t, netlink.LinkSetUp(c.link(t)))
	if x.next(t, 5*time.Second) == nil {
		t.Error("nothing announced after the link came up")
	}
}

func TestLinkWithoutCarrierHeals(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := start(t, Config{})
	must(t, c.far.LinkSetDown(c.farLink))
	eventually(t, "carrier lost", func() bool { return c.link(t).Attrs().RawFlags&unix.IFF_RUNNING == 0 })
	if err := a.Announce(c.near, vip4, yes); !errors.Is(err, ErrNoCarrier) {
		t.Errorf("Announce without carrier: %v", err)
	}
	must(t, c.far.LinkSetUp(c.farLink))
	if x.next(t, 5*time.Second) == nil {
		t.Error("nothing announced after the carrier came back")
	}
}

// An interface that is removed and made again has another index.
func TestInterfaceThatIsMadeAnewHeals(t *testing.T) {
	c := newCable(t)
	a := start(t, Config{})
	must(t, a.Announce(c.near, vip4, yes))
	must(t, netlink.LinkDel(c.link(t)))
	if err := a.Announce(c.near, vip6, yes); !errors.Is(err, unix.ENODEV) {
		t.Errorf("Announce on a link that was removed: %v", err)
	}
	c.plug(t)
	c.believe(t, vip4)
	eventually(t, "the neighbour learns", func() bool { return c.believed(t, vip4) == c.mac(t).String() })
}

// An interface that took over the name of another one is the one that is meant.
func TestInterfaceThatIsRenamedIsNotUsed(t *testing.T) {
	c, other := newCable(t), newCable(t)
	a := start(t, Config{})
	must(t, a.Announce(c.near, vip4, yes))
	name := c.near
	link, otherLink := c.link(t), other.link(t)
	for _, x := range []struct {
		link netlink.Link
		to   string
	}{{link, name + "x"}, {otherLink, name}} {
		must(t, netlink.LinkSetName(x.link, x.to))
	}
	c.near, other.near = name+"x", name
	atOther, atOld := other.atFar(t), c.atFar(t)
	must(t, a.Announce(name, vip6, yes))
	if atOther.next(t, 5*time.Second) == nil {
		t.Error("nothing announced on the interface of that name")
	}
	if b := atOld.next(t, 0); b != nil {
		t.Errorf("announced on the renamed interface: %x", b)
	}
}

func TestLinksThatCannotAnnounce(t *testing.T) {
	nstest.Need(t)
	a := New(Config{})
	t.Cleanup(a.stop)
	if err := a.Announce("lo", vip4, yes); !errors.Is(err, ErrNotEthernet) {
		t.Errorf("loopback: %v", err)
	}
	err := a.Announce("missing0", vip4, yes)
	if !errors.Is(err, unix.ENODEV) || err.Error() != "announce 192.0.2.7 on missing0: no such interface: no such device" {
		t.Errorf("missing: %v", err)
	}
}

func TestWithoutPermission(t *testing.T) {
	c := newCable(t)
	a := New(Config{})
	t.Cleanup(a.stop)
	restore := dropRawCapability(t)
	err := a.Announce(c.near, vip4, yes)
	restore()
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("Announce without CAP_NET_RAW: %v", err)
	}
	must(t, a.Announce(c.near, vip6, yes)) // the link is not given up
}

// dropRawCapability takes CAP_NET_RAW from this thread's effective set until restore.
func dropRawCapability(t *testing.T) (restore func()) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(t, unix.Capget(&header, &data[0]))
	less := data
	less[0].Effective &^= 1 << unix.CAP_NET_RAW
	must(t, unix.Capset(&header, &less[0]))
	return func() {
		must(t, unix.Capset(&header, &data[0]))
		runtime.UnlockOSThread()
	}
}

// A queue that takes nothing gives ENOBUFS: the caller is not held up, and the frames leave when there is room.
func TestFullSendQueue(t *testing.T) {
	c := newCable(t)
	x := c.atFar(t)
	a := start(t, Config{})
	closeQueue(t, c.link(t).Attrs().Index, unix.RTM_NEWQDISC)
	must(t, a.Announce(c.near, vip4, yes))
	eventually(t, "a frame put off", func() bool { return a.Counters().Deferred > 1 })
	if n := a.Counters().SentIPv4; n != 0 {
		t.Fatalf("%d frames went through a queue that takes none", n)
	}
	closeQueue(t, c.link(t).Attrs().Index, unix.RTM_DELQDISC)
	if x.next(t, 5*time.Second) == nil {
		t.Error("nothing announced when there was room again")
	}
}

// closeQueue puts a queue without room before an interface, or takes it away again.
func closeQueue(t *testing.T, index, command int) {
	t.Helper()
	flags := unix.NLM_F_ACK
	if command == unix.RTM_NEWQDISC {
		flags |= unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	r := nl.NewNetlinkRequest(command, flags)
	r.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(index), Parent: netlink.HANDLE_ROOT})
	if command == unix.RTM_NEWQDISC {
		r.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("pfifo")))
		r.AddData(nl.NewRtAttr(nl.TCA_OPTIONS, make([]byte, 4))) // struct tc_fifo_qopt: limit 0
	}
	_, err := r.Execute(unix.NETLINK_ROUTE, 0)
	must(t, err)
}

// TestStopIsABarrier has several goroutines announce and stop at once, with a running schedule. Stop has returned: no
// frame may be given to the kernel.
func TestStopIsABarrier(t *testing.T) {
	c := newCable(t)
	x := c.atNear(t)
	a := start(t, Config{Rate: 1_000_000})
	var captured atomic.Uint64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() { // the socket has room for some hundred frames
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
				if x.next(t, 10*time.Millisecond) != nil {
					captured.Add(1)
				}
			}
		}
	}()
	const rounds, addresses = 50, 4
	var live [addresses]atomic.Bool
	var late atomic.Int32
	var wg sync.WaitGroup
	for i := range addresses {
		wg.Go(func() {
			addr := nthAddr(i)
			for r := range rounds {
				live[i].Store(true)
				err := a.Announce(c.near, addr, func() bool {
					if !live[i].Load() {
						late.Add(1)
					}
					return true
				})
				if err != nil {
					t.Errorf("Announce: %v", err)
				}
				if r%3 == 0 {
					a.Restart(c.near) // more to race with
				}
				if rand.IntN(2) == 0 {
					runtime.Gosched()
				}
				a.Stop(c.near, addr)
				live[i].Store(false)
			}
		})
	}
	wg.Wait()
	if n := late.Load(); n != 0 {
		t.Errorf("%d frames were about to be sent after Stop", n)
	}
	close(done)
	<-stopped
	for x.next(t, 0) != nil {
		captured.Add(1)
	}
	sent, seen, lost := a.Counters().SentIPv4, captured.Load(), x.lost(t)
	if sent < 2*rounds*addresses || sent < seen || sent > seen+lost {
		t.Errorf("counted %d frames, want at least %d; captured %d and lost at most %d", sent, 2*rounds*addresses, seen, lost)
	}
	if b := x.next(t, 400*time.Millisecond); b != nil { // the rounds at 0.1 and 0.3 s would be here
		t.Errorf("after everything was stopped: %x", b)
	}
}
