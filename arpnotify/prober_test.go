package arpnotify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A doorstep stands in for the kernel of a Prober: it records the questions and answers as it is told. It is the wire
// as well.
type doorstep struct {
	*host
	began time.Time

	mu     sync.Mutex
	face   face
	noWire error
	noLook error
	noSend error
	asked  map[netip.Addr][]time.Duration // when
	answer func(netip.Addr) []any         // what arrives in reply; called without mu
	wires  int                            // open now
}

func (d *doorstep) openWire(string) (wire, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.noWire != nil {
		return nil, d.noWire
	}
	d.wires++
	return d, nil
}

func (d *doorstep) look() (face, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.face, d.noLook
}

func (d *doorstep) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wires--
	return nil
}

func (d *doorstep) send(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.noSend != nil {
		return d.noSend
	}
	s, ok := sight(b)
	if !ok || !s.probing || s.mac != hardware(d.face.mac) {
		panic(fmt.Sprintf("asked %x", b))
	}
	d.asked[s.addr] = append(d.asked[s.addr], time.Since(d.began))
	if d.answer != nil {
		for _, x := range d.answer(s.addr) {
			d.earOn("eth0").in <- x
		}
	}
	return nil
}

// set changes the fake under its lock.
func (d *doorstep) set(f func(*doorstep)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// atDoorstep runs f with a Prober for eth0, in a bubble.
func atDoorstep(t *testing.T, f func(t *testing.T, p *Prober, d *doorstep)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &doorstep{
			host:  &host{ears: make(map[string]*fakeEar), ifs: []net.Interface{iface("eth0", 1, net.FlagUp)}},
			face:  face{mac: iface("eth0", 1, 0).HardwareAddr, carrier: true},
			began: time.Now(),
			asked: make(map[netip.Addr][]time.Duration),
		}
		p := &Prober{kernel: &probeKernel{
			now:      func() time.Duration { return time.Hour + time.Since(d.began) },
			links:    d.links,
			openWire: d.openWire,
			openEar:  d.open,
		}}
		f(t, p, d)
		p.Close()
		if _, _, ears := d.counts(); ears != 0 || d.wires != 0 {
			t.Errorf("%d ears and %d wires open after Close", ears, d.wires)
		}
	})
}

func answerWith(frames ...any) func(netip.Addr) []any {
	return func(netip.Addr) []any { return frames }
}

func TestProbeTakesItsTime(t *testing.T) {
	const wait = 70 * time.Millisecond
	for _, n := range []int{1, 42, 43, 200, 1000} {
		atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
			var addrs []netip.Addr
			for i := range n {
				addrs = append(addrs, nthAddr(i))
			}
			got, err := p.Probe(t.Context(), "eth0", addrs, wait)
			took := time.Since(d.began)
			if err != nil || len(got) != 0 {
				t.Errorf("found %v, %v", got, err)
			}
			var end time.Duration
			for _, addr := range addrs {
				if len(d.asked[addr]) != 3 {
					t.Fatalf("%s asked for at %v, want three times", addr, d.asked[addr])
				}
				end = max(end, d.asked[addr][2])
			}
			most := time.Duration(n)*3*time.Second/5000 + 2*tryPause + wait
			if took != end+wait || took > most {
				t.Errorf("%d addresses: took %v, the last question was at %v; want %v after it and at most %v", n, took, end, wait, most)
			}
			if n <= 42 && took != 2*tryPause+wait {
				t.Errorf("%d addresses, all within the burst: took %v", n, took)
			}
		})
	}
}

func TestProberOptions(t *testing.T) {
	atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
		p.Tries, p.Rate = 1, 100
		var addrs []netip.Addr
		for i := range burst + 10 {
			addrs = append(addrs, nthAddr(i))
		}
		_, err := p.Probe(t.Context(), "eth0", addrs, 0)
		must(t, err)
		if took := time.Since(d.began); len(d.asked[nthAddr(0)]) != 1 || took != 100*time.Millisecond {
			t.Errorf("asked at %v, took %v; want once, and 0.1 s for the 10 questions beyond the burst", d.asked[nthAddr(0)], took)
		}
	})
}

// The last answer ends the call also while it is asking.
func TestProbeEndsInTheMidstOfATry(t *testing.T) {
	atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
		const at = 100 * time.Millisecond // the second try lasts from 75 to 135 ms
		var addrs []netip.Addr
		for i := range 400 {
			addrs = append(addrs, nthAddr(i))
		}
		timer := time.AfterFunc(at, func() {
			for _, addr := range addrs {
				d.earOn("eth0").in <- claimFrame(t, addr, rivalMAC)
			}
		})
		defer timer.Stop()
		got, err := p.Probe(t.Context(), "eth0", addrs, time.Hour)
		if took := time.Since(d.began); err != nil || len(got) != len(addrs) || took != at {
			t.Errorf("found %d after %v, %v; want all after %v", len(got), took, err, at)
		}
		if len(d.asked[addrs[0]]) != 2 || len(d.asked[addrs[399]]) != 1 {
			t.Errorf("the first asked for at %v, the last at %v", d.asked[addrs[0]], d.asked[addrs[399]])
		}
	})
}

// What is answered is not asked for again, and when all is answered there is nothing to wait for.
func TestProbeEndsWhenAllIsAnswered(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.8")
	atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
		d.answer = func(addr netip.Addr) []any {
			if addr == vip4 || len(d.asked[addr]) == 2 {
				return []any{claimFrame(t, addr, rivalMAC)}
			}
			return nil
		}
		got, err := p.Probe(t.Context(), "eth0", []netip.Addr{vip4, other}, time.Hour)
		must(t, err)
		if took := time.Since(d.began); len(got) != 2 || took != tryPause {
			t.Errorf("found %v after %v", got, took)
		}
		if len(d.asked[vip4]) != 1 || len(d.asked[other]) != 2 {
			t.Errorf("asked at %v", d.asked)
		}
	})
}

func TestWhoIsFound(t *testing.T) {
	own := iface("eth0", 1, 0).HardwareAddr
	second := net.HardwareAddr{0x02, 0xbb, 0, 0, 0, 2}
	ask := func(mac net.HardwareAddr) []byte {
		b, err := question(vip4, mac)
		must(t, err)
		return b
	}
	for _, tt := range []struct {
		name string
		in   []any
		want string
	}{
		{"nobody", nil, ""},
		{"this host", []any{ask(own), claimFrame(t, vip4, own)}, ""},
		{"an answer", []any{claimFrame(t, vip4, rivalMAC)}, "02:bb:00:00:00:01 false"},
		{"an answer for another address", []any{claimFrame(t, nthAddr(1), rivalMAC)}, ""},
		{"somebody who asks too", []any{ask(rivalMAC)}, "02:bb:00:00:00:01 true"},
		{"this host, then somebody", []any{ask(own), claimFrame(t, vip4, rivalMAC)}, "02:bb:00:00:00:01 false"},
		{"this host, then somebody who asks too", []any{ask(own), ask(rivalMAC)}, "02:bb:00:00:00:01 true"},
		{"who asks, then who uses", []any{ask(rivalMAC), claimFrame(t, vip4, second)}, "02:bb:00:00:00:02 false"},
		{"who uses, then who asks", []any{claimFrame(t, vip4, rivalMAC), ask(second)}, "02:bb:00:00:00:01 false"},
		{"two who use", []any{claimFrame(t, vip4, rivalMAC), claimFrame(t, vip4, second)}, "02:bb:00:00:00:01 false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
				d.answer = answerWith(tt.in...)
				mapped := netip.AddrFrom16(vip4.As16()) // the same in another form, twice
				got, err := p.Probe(t.Context(), "eth0", []netip.Addr{mapped, nthAddr(2), vip4}, time.Second)
				must(t, err)
				var found string
				for addr, c := range got {
					if addr != vip4 || c.Addr != vip4 || c.Link != "eth0" {
						t.Errorf("%s: %+v", addr, c)
					}
					found += fmt.Sprint(c.Hardware, " ", c.Probing)
				}
				if found != tt.want {
					t.Errorf("found %q, want %q", found, tt.want)
				}
				if len(d.asked[vip4]) > defaultTries {
					t.Errorf("asked at %v", d.asked[vip4])
				}
			})
		})
	}
}

// An answer counts until wait is over, and not afterwards.
func TestAnswersCountUntilTheEnd(t *testing.T) {
	for _, late := range []bool{false, true} {
		atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
			at := 2*tryPause + time.Second - time.Millisecond
			if late {
				at += 2 * time.Millisecond
			}
			timer := time.AfterFunc(at, func() {
				if e := d.earOn("eth0"); e != nil {
					e.in <- claimFrame(t, vip4, rivalMAC)
				}
			})
			defer timer.Stop()
			got, err := p.Probe(t.Context(), "eth0", []netip.Addr{vip4, nthAddr(1)}, time.Second)
			must(t, err)
			if found := len(got) == 1; found == late {
				t.Errorf("late %v: found %v", late, got)
			}
		})
	}
}

// A hardware address that has become this host's meanwhile is nobody else's.
func TestProbeForgetsWhatBecameItsOwn(t *testing.T) {
	atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
		third := iface("eth2", 9, net.FlagUp)
		d.answer = answerWith(claimFrame(t, vip4, third.HardwareAddr))
		timer := time.AfterFunc(tryPause, func() {
			d.host.mu.Lock()
			defer d.host.mu.Unlock()
			d.ifs = append(d.ifs, third)
		})
		defer timer.Stop()
		got, err := p.Probe(t.Context(), "eth0", []netip.Addr{vip4, nthAddr(1)}, time.Second)
		if err != nil || len(got) != 0 {
			t.Errorf("found %v, %v", got, err)
		}
	})
}

// Silence proves something only on a link that could send and hear from beginning to end.
func TestProbeThatProvesNothing(t *testing.T) {
	begin := func(f func(*doorstep)) func(*doorstep) { return f }
	later := func(f func(*doorstep)) func(*doorstep) { // in the midst of the wait
		return func(d *doorstep) { time.AfterFunc(500*time.Millisecond, func() { d.set(f) }) }
	}
	interfaces := func(ifs ...net.Interface) func(*doorstep) {
		return func(d *doorstep) {
			d.host.mu.Lock()
			defer d.host.mu.Unlock()
			d.ifs = ifs
		}
	}
	for _, tt := range []struct {
		name string
		f    func(*doorstep)
		want error
		took time.Duration
	}{
		{"no such link", begin(func(d *doorstep) { d.noWire = unix.ENODEV }), unix.ENODEV, 0},
		{"no such link any more", begin(interfaces()), unix.ENODEV, 0},
		{"forbidden", begin(func(d *doorstep) { d.noOpen = unix.EPERM }), unix.EPERM, 0},
		{"no list of links", begin(func(d *doorstep) { d.noLinks = unix.EMFILE }), unix.EMFILE, 0},
		{"not Ethernet", begin(func(d *doorstep) { d.noLook = ErrNotEthernet }), ErrNotEthernet, 0},
		{"down", begin(func(d *doorstep) { d.noSend = unix.ENETDOWN }), unix.ENETDOWN, 0},
		{"no carrier", begin(func(d *doorstep) { d.face.carrier = false }), ErrNoCarrier, 0},
		{"queue that takes nothing", begin(func(d *doorstep) { d.noSend = errFull }), errFull, time.Second},
		{"gone later", later(func(d *doorstep) { d.noLook = errGone }), unix.ENODEV, time.Second + 2*tryPause},
		{"carrier lost later", later(func(d *doorstep) { d.face.carrier = false }), ErrNoCarrier, time.Second + 2*tryPause},
		{"down later", later(interfaces(iface("eth0", 1, 0))), unix.ENETDOWN, time.Second + 2*tryPause},
		{"made anew later", later(interfaces(iface("eth0", 8, net.FlagUp))), unix.ENODEV, time.Second + 2*tryPause},
		{"down for a moment", later(func(d *doorstep) { d.earOn("eth0").in <- unix.ENETDOWN }), unix.ENETDOWN, time.Second + 2*tryPause},
		{"socket broken", later(func(d *doorstep) { d.earOn("eth0").in <- unix.ENOMEM }), unix.ENOMEM, time.Second + 2*tryPause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
				tt.f(d)
				_, err := p.Probe(t.Context(), "eth0", []netip.Addr{vip4, vip6}, time.Second)
				if took := time.Since(d.began); !errors.Is(err, tt.want) || took != tt.took {
					t.Errorf("after %v: %v, want after %v: %v", took, err, tt.took, tt.want)
				}
				pass(time.Second) // for what comes later
			})
		})
	}
}

func TestProbeWaitsForAFullQueue(t *testing.T) {
	atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
		d.noSend = errFull
		timer := time.AfterFunc(100*time.Millisecond, func() { d.set(func(d *doorstep) { d.noSend = nil }) })
		defer timer.Stop()
		_, err := p.Probe(t.Context(), "eth0", []netip.Addr{vip4}, time.Second)
		if err != nil || len(d.asked[vip4]) != 3 {
			t.Errorf("asked at %v, %v", d.asked[vip4], err)
		}
	})
}

// A context that is done ends the call in whatever it does, and what was heard is returned.
func TestProbeEndsWithItsContext(t *testing.T) {
	for _, at := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 700 * time.Millisecond, 900 * time.Millisecond} {
		atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
			var addrs []netip.Addr
			for i := range 1000 {
				addrs = append(addrs, nthAddr(i))
			}
			d.answer = func(addr netip.Addr) []any {
				if addr == addrs[0] {
					return []any{claimFrame(t, addr, rivalMAC)}
				}
				return nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), at)
			defer cancel()
			got, err := p.Probe(ctx, "eth0", addrs, time.Second)
			if took := time.Since(d.began); !errors.Is(err, context.DeadlineExceeded) || took != at {
				t.Errorf("%v after %v, want after %v", err, took, at)
			}
			if at == 0 && len(d.asked) != 0 {
				t.Errorf("asked for %d addresses though the context was done", len(d.asked))
			}
			if at > 0 && len(got) != 1 {
				t.Errorf("found %v after %v", got, at)
			}
		})
	}
}

func TestProbeArguments(t *testing.T) {
	atDoorstep(t, func(t *testing.T, p *Prober, d *doorstep) {
		got, err := p.Probe(t.Context(), "eth0", nil, time.Hour)
		if err != nil || got == nil || len(got) != 0 || d.listed != 0 {
			t.Errorf("no addresses: %v, %v", got, err)
		}
		for _, addr := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.MustParseAddr("ff02::1"), netip.MustParseAddr("127.0.0.1")} {
			_, err := p.Probe(t.Context(), "eth0", []netip.Addr{vip4, addr}, time.Hour)
			want := fmt.Sprintf("probe 2 addresses on eth0: %s: not an address that a link can hold", addr)
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if len(d.asked) != 0 {
			t.Errorf("asked for %v", d.asked)
		}
	})
}
