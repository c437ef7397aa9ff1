package arpnotify

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
)

// told is one frame that told one host, read at fixed offsets: to whom, by which Ethernet address, what, when.
type told struct {
	at         time.Duration
	host, addr netip.Addr
	to, kind   string
}

// notices picks what was sent to single hosts.
func notices(shots []shot) (out []told) {
	for _, s := range shots {
		b := s.raw
		n := told{at: s.at, to: net.HardwareAddr(b[:6]).String(), kind: s.kind, addr: s.addr}
		switch {
		case s.kind == "request" || s.kind == "reply":
			n.host = netip.AddrFrom4([4]byte(b[38:42]))
		case s.kind == "advert":
			n.host = netip.AddrFrom16([16]byte(b[38:54]))
		case b[12] == 0x86 && b[54] == 135:
			n.kind, n.addr, n.host = "solicit", netip.AddrFrom16([16]byte(b[22:38])), netip.AddrFrom16([16]byte(b[62:78]))
		}
		if n.host != n.addr && n.host.IsValid() && !n.host.IsMulticast() {
			out = append(out, n)
		}
	}
	return out
}

// of returns when a host was told in that way, counted from the first shot.
func of(list []told, began time.Duration, host, kind string) (s string) {
	for _, n := range list {
		if n.host.String() == host && n.kind == kind {
			s += fmt.Sprint(n.at-began, " ")
		}
	}
	return s
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	lan4 = netip.MustParsePrefix("192.0.2.0/24")
	lan6 = netip.MustParsePrefix("2001:db8::/64")
)

func neighbors(n int) (list []Neighbor) {
	for i := range n {
		list = append(list, Neighbor{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), [6]byte{2, 9, 0, 0, byte(i >> 8), byte(i)}})
	}
	return list
}

func TestNeighborsAreToldAtTheirAddresses(t *testing.T) {
	inBubble(t, Config{Settle: 4600 * time.Millisecond, Refresh: time.Minute}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{
			Subnets: []netip.Prefix{lan4, lan6, netip.MustParsePrefix("10.9.0.0/24")},
			Neighbors: []Neighbor{
				{addr("192.0.2.1"), [6]byte{2, 1, 0, 0, 0, 1}},
				{addr("2001:db8::1"), [6]byte{2, 1, 0, 0, 0, 6}},
				{addr("10.9.0.1"), [6]byte{2, 1, 0, 0, 0, 9}},                    // of another subnet
				{addr("192.0.2.2"), [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, // nobody
				{addr("192.0.2.3"), [6]byte{}},                                   // nobody
				{addr("192.0.2.4"), [6]byte{2, 0, 0, 0, 0, 1}},                   // this host
				{vip4, [6]byte{2, 1, 0, 0, 0, 7}},                                // who had it before
			},
		})
		must(t, r.Announce("eth0", vip4, yes))
		must(t, r.Announce("eth0", vip6, yes))
		pass(10 * time.Minute)
		shots := r.lan.take()
		list := notices(shots)
		const want = "0s 1s 4.6s "
		for _, x := range []struct{ host, kind string }{{"192.0.2.1", "reply"}, {"192.0.2.1", "request"}, {"2001:db8::1", "advert"}} {
			if got := of(list, shots[0].at, x.host, x.kind); got != want {
				t.Errorf("%s told by %s at %s, want %s", x.host, x.kind, got, want)
			}
		}
		for _, n := range list {
			if to := map[string]string{"192.0.2.1": "02:01:00:00:00:01", "2001:db8::1": "02:01:00:00:00:06"}[n.host.String()]; n.to != to {
				t.Errorf("%s of %s to %s at %s", n.kind, n.addr, n.host, n.to)
			}
		}
		if got := r.Counters().Directed; got != 9 || len(list) != 9 {
			t.Errorf("%d frames counted, %d seen, want 9", got, len(list))
		}
	})
}

func TestNoticesAreThrottled(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{
			Subnets:   []netip.Prefix{lan4},
			Neighbors: []Neighbor{{addr("192.0.2.3"), [6]byte{2, 1, 0, 0, 0, 3}}, {addr("192.0.2.4"), [6]byte{3, 1, 0, 0, 0, 4}}}, // a group's
			Notices: []Notice{
				{First: addr("192.0.2.0"), Last: addr("192.0.2.15"), PerSecond: 8},
				{First: addr("192.0.2.0"), Last: addr("192.0.2.15"), PerSecond: 8}, // said twice, told once
			},
		})
		must(t, r.Announce("eth0", vip4, yes))
		must(t, r.Announce("eth0", nthAddr(1), yes)) // both share the throttle
		pass(time.Hour)
		list := slices.DeleteFunc(notices(r.lan.take()), func(n told) bool { return n.kind != "reply" })
		count := map[string]int{}
		for _, n := range list {
			count[n.host.String()+" "+n.to]++
		}
		for host, want := range map[string]int{
			"192.0.2.0 ff:ff:ff:ff:ff:ff": 0, "192.0.2.1 ff:ff:ff:ff:ff:ff": 4, "192.0.2.4 ff:ff:ff:ff:ff:ff": 4, "192.0.2.15 ff:ff:ff:ff:ff:ff": 4,
			"192.0.2.7 ff:ff:ff:ff:ff:ff": 2, "192.0.2.3 02:01:00:00:00:03": 8,
		} { // two passes of two addresses; the VIP itself is told of the other one alone, the neighbour also at once
			if count[host] != want {
				t.Errorf("%s told %d times, want %d", host, count[host], want)
			}
		}
		throttled := slices.DeleteFunc(list, func(n told) bool { return n.host == addr("192.0.2.3") })
		for i := 8; i < len(throttled); i++ {
			if took := throttled[i].at - throttled[i-8].at; took < time.Second {
				t.Fatalf("nine notices within %v", took)
			}
		}
	})
}

func TestUnseenIPv6HostIsAsked(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{Notices: []Notice{{First: addr("2001:db8::aa:1"), Last: addr("2001:db8::aa:2"), PerSecond: 1000}}})
		must(t, r.Announce("eth0", vip6, yes))
		pass(500 * time.Millisecond)
		for i, n := range notices(r.lan.take()) {
			if n.kind != "solicit" || n.addr != vip6 || n.to != fmt.Sprintf("33:33:ff:aa:00:%02x", i+1) {
				t.Errorf("told by %+v", n)
			}
		}
		if got := r.Counters().Directed; got != 2 {
			t.Errorf("%d hosts told", got)
		}
	})
}

// Nobody waits for the frames to single hosts: not the first announcement of an address, not its first repeats.
func TestAllAreToldFirst(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{Neighbors: neighbors(2000)})
		for i := range 50 {
			must(t, r.Announce("eth0", nthAddr(i), yes))
		}
		pass(200 * time.Millisecond)
		r.lan.take()
		must(t, r.Announce("eth0", vip4, yes))
		if s := r.lan.take(); len(s) != 2 || s[0].addr != vip4 || s[1].addr != vip4 {
			t.Errorf("sent %d frames by the time Announce returned, want the announcement alone", len(s))
		}
		pass(10 * time.Second)
		shots := r.lan.take()
		list := notices(shots)
		rate := float64(len(list)) / 10
		if rate < 3800 || rate > 4100 {
			t.Errorf("%.0f frames a second to single hosts, want 4000", rate)
		}
		count := map[netip.Addr]int{}
		for _, n := range list {
			count[n.addr]++
		}
		ofVIP := 0
		for _, s := range shots {
			if s.addr == vip4 {
				ofVIP++
			}
		}
		if repeats := ofVIP - count[vip4]; repeats != 2*6 { // up to 8 s
			t.Errorf("%d frames of the repeats to all, want 12", repeats)
		}
		for i := range 50 { // in turn for all addresses
			if count[nthAddr(i)] < 600 {
				t.Errorf("%s: %d frames", nthAddr(i), count[nthAddr(i)])
			}
		}
	})
}

func TestNobodyIsToldAfterStop(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{Neighbors: neighbors(2000), Notices: []Notice{{addr("192.0.2.1"), addr("192.0.2.200"), 8}}})
		must(t, r.Announce("eth0", vip4, yes))
		pass(20 * time.Millisecond)
		r.Stop("eth0", vip4)
		if n := len(notices(r.lan.take())); n < 100 || n > 1000 {
			t.Fatalf("%d frames so far: nothing is under way", n)
		}
		pass(time.Hour)
		if s := r.lan.take(); len(s) != 0 {
			t.Errorf("%d frames after Stop", len(s))
		}
		must(t, r.Announce("eth0", vip4, yes)) // and from the beginning
		pass(2 * time.Second)
		if got := of(notices(r.lan.take()), 0, "10.9.0.0", "reply"); got == "" {
			t.Error("the first host is not told when the address is back")
		}
	})
}

func TestEachNoticeIsAskedFor(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		var dialogue []string
		r.lan.set(func(l *lan) { l.onSend = func(s shot) { dialogue = append(dialogue, s.kind) } })
		allow := true
		r.SetAudience("eth0", Audience{Neighbors: neighbors(1)})
		must(t, r.Announce("eth0", vip4, func() bool { dialogue = append(dialogue, "?"); return allow }))
		synctest.Wait()
		if got, want := strings.Join(dialogue, " "), "? request ? reply ? reply ? request"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		r.mu.Lock()
		allow = false
		r.mu.Unlock()
		pass(time.Hour)
		if n := r.Counters().Directed; n != 2 {
			t.Errorf("%d frames to the neighbour, want those that were allowed", n)
		}
	})
}

func TestKeptAddressIsToldToNobody(t *testing.T) {
	inBubble(t, Config{Refresh: time.Minute}, func(t *testing.T, r *rig) {
		must(t, r.Keep("eth0", vip4, yes))
		r.SetAudience("eth0", Audience{Neighbors: neighbors(10)})
		pass(10 * time.Minute)
		if n := r.Counters().Directed; n != 0 {
			t.Errorf("%d frames to neighbours that know it", n)
		}
	})
}

// Who is told may become known a moment after the address is up, and change at any time.
func TestAudienceChanges(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		must(t, r.Announce("eth0", vip4, yes))
		pass(50 * time.Millisecond)
		router := Notice{addr("192.0.2.1"), addr("192.0.2.1"), 8}
		r.SetAudience("eth0", Audience{Neighbors: neighbors(100), Notices: []Notice{router}})
		pass(100 * time.Millisecond)
		r.SetAudience("eth0", Audience{Neighbors: neighbors(3), Notices: []Notice{router}})
		pass(100 * time.Millisecond)
		list := notices(r.lan.take())
		if n := len(list); n != 202 {
			t.Errorf("%d frames, want those of 100 neighbours and the router", n)
		}
		pass(time.Hour)
		if n := len(notices(r.lan.take())); n != 2*4 {
			t.Errorf("%d frames in the second pass, want those of 3 neighbours and the router", n)
		}
	})
}

// A neighbour that becomes known a moment later is told in the next pass.
func TestNeighborThatIsKnownLate(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{})
		must(t, r.Announce("eth0", vip4, yes))
		pass(50 * time.Millisecond)
		r.SetAudience("eth0", Audience{Neighbors: neighbors(1)})
		pass(time.Hour)
		if n := r.Counters().Directed; n != 2 {
			t.Errorf("%d frames to the neighbour, want those of one pass", n)
		}
	})
}

// What was under way when the link broke begins anew when it is back, after the announcement to all.
func TestToldAnewWhenTheLinkIsBack(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *rig) {
		r.SetAudience("eth0", Audience{Neighbors: neighbors(1000)})
		must(t, r.Announce("eth0", vip4, yes))
		pass(20 * time.Millisecond)
		r.lan.set(func(l *lan) { l.face.carrier = false })
		pass(5 * time.Second)
		r.lan.set(func(l *lan) { l.face.carrier, l.shots = true, nil })
		pass(3 * time.Second)
		shots := r.lan.take()
		if shots[0].kind != "request" || len(shots) < 2 || len(notices(shots[:2])) != 0 {
			t.Fatalf("began with %+v", shots[0])
		}
		if got := of(notices(shots), shots[0].at, "10.9.0.0", "reply"); got != "0s 1s " {
			t.Errorf("the first neighbour told at %s", got)
		}
	})
}

// Each kind of frame to one host moves the entry of a neighbour that gets nothing else.
func TestToldNeighbourLearns(t *testing.T) {
	for _, tt := range []struct {
		name string
		addr netip.Addr
		host string
		part int
	}{{"reply", vip4, "192.0.2.1", 0}, {"request", vip4, "192.0.2.1", 1}, {"advertisement", vip6, "2001:db8::1", 0}, {"solicitation", vip6, "2001:db8::1", -1}} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCable(t)
			c.believe(t, tt.addr)
			if tt.part == 0 && tt.addr == vip4 { // an entry in its first second takes a request alone
				must(t, c.far.NeighSet(&netlink.Neigh{LinkIndex: c.farLink.Attrs().Index, IP: tt.addr.AsSlice(), HardwareAddr: oldMAC, State: netlink.NUD_STALE}))
			}
			w, err := openWire(c.near)
			must(t, err)
			defer w.close()
			f, err := w.look()
			must(t, err)
			h := Neighbor{Addr: addr(tt.host), Hardware: hardware(c.farLink.Attrs().HardwareAddr)}
			if tt.part < 0 {
				h.Hardware, tt.part = hardware{}, 0
			}
			b, err := frameTo(h, tt.addr, tt.part, f)
			must(t, err)
			eventually(t, "the neighbour learns", func() bool {
				must(t, w.send(b))
				return c.believed(t, tt.addr) == c.mac(t).String()
			})
		})
	}
}
