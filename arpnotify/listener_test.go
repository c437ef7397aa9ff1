package arpnotify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// The limit is for each address, on each link, and for using and probing apart; it is the first frame that is delivered.
func TestStormIsLimited(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		other := netip.MustParseAddr("192.0.2.8")
		p.Set(map[string][]netip.Addr{"eth0": {vip4, other}, "eth1": {vip4}})
		pass(settlePause)
		question, err := question(vip4, rivalMAC)
		must(t, err)
		frames := []any{claimFrame(t, vip4, rivalMAC), question, claimFrame(t, other, rivalMAC)}
		for range 1000 { // for a second
			p.host.arrive("eth0", frames...)
			p.host.arrive("eth1", frames...)
			pass(time.Millisecond)
		}
		heard := map[string]int{}
		for _, c := range p.heard {
			heard[fmt.Sprint(c.Link, " ", c.Addr, " ", c.Probing)]++
		}
		want := map[string]int{
			"eth0 192.0.2.7 false": 10, "eth0 192.0.2.7 true": 10, "eth0 192.0.2.8 false": 10,
			"eth1 192.0.2.7 false": 10, "eth1 192.0.2.7 true": 10,
		}
		if fmt.Sprint(heard) != fmt.Sprint(want) {
			t.Errorf("delivered %v, want %v", heard, want)
		}
		if got, want := p.Counters(), (ListenerCounters{Using: 30, Probing: 20, Limited: 5000 - 50}); got != want {
			t.Errorf("counters %+v, want %+v", got, want)
		}
		if n, _, _ := p.host.counts(); n > 15 {
			t.Errorf("the links were listed %d times in a second of a storm", n)
		}
	})
}

// Set keeps what it knows about an address that stays, so that calling it often does not lift the limit.
func TestSetKeepsTheLimit(t *testing.T) {
	atPost(t, ListenerConfig{Limit: 1}, func(t *testing.T, p *post) {
		for range 100 {
			p.Set(map[string][]netip.Addr{"eth0": {vip6, vip4}})
			p.host.arrive("eth0", claimFrame(t, vip4, rivalMAC))
		}
		if n := p.take(); n != 1 {
			t.Errorf("%d delivered, want 1", n)
		}
		if _, n, _ := p.host.counts(); n != 1 {
			t.Errorf("opened %d times", n)
		}
	})
}

func TestSetReplaces(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		other := netip.MustParseAddr("192.0.2.8")
		for _, step := range []struct {
			want  map[string][]netip.Addr
			heard []Claimant
			open  int
		}{
			{map[string][]netip.Addr{"eth0": {other}}, []Claimant{{Link: "eth0", Addr: other}}, 1},
			{map[string][]netip.Addr{"eth1": {vip4}}, []Claimant{{Link: "eth1", Addr: vip4}}, 1},
			{map[string][]netip.Addr{"eth0": {vip4}, "eth1": {other}}, []Claimant{{Link: "eth0", Addr: vip4}, {Link: "eth1", Addr: other}}, 2},
			{map[string][]netip.Addr{"eth0": {}, "": {vip4}, "eth1": {netip.Addr{}, netip.IPv4Unspecified()}}, nil, 1},
			{nil, nil, 0},
		} {
			p.Set(step.want)
			pass(time.Second)
			for _, link := range []string{"eth0", "eth1"} {
				p.host.arrive(link, claimFrame(t, vip4, rivalMAC), claimFrame(t, other, rivalMAC))
			}
			got := ""
			for _, c := range p.heard {
				got += fmt.Sprint(c.Link, " ", c.Addr, " ")
			}
			want := ""
			for _, c := range step.heard {
				want += fmt.Sprint(c.Link, " ", c.Addr, " ")
			}
			if _, _, open := p.host.counts(); got != want || open != step.open {
				t.Errorf("want %v: heard %s, want %s; %d links open, want %d", step.want, got, want, open, step.open)
			}
			p.heard = nil
		}
	})
}

// A claimant is judged by a list of hardware addresses that is fresh, and renewed when the kernel reports a change.
func TestOwnAddressesAreKnownInTime(t *testing.T) {
	atPost(t, ListenerConfig{Limit: 1e9}, func(t *testing.T, p *post) {
		own := claimFrame(t, vip4, net.HardwareAddr{2, 0, 0, 0, 0, 9})
		heard := func() bool {
			pass(time.Millisecond)
			p.host.arrive("eth0", own)
			return p.take() == 1
		}
		appear := func() {
			p.host.mu.Lock()
			defer p.host.mu.Unlock()
			p.host.ifs = append(p.host.ifs, iface("eth2", 9, net.FlagUp))
		}
		if !heard() {
			t.Error("not delivered while no link has the address")
		}
		appear()
		if !heard() {
			t.Error("the list was read again though it was fresh")
		}
		pass(ownFresh)
		if heard() {
			t.Error("delivered by a list that was not fresh")
		}
		p.host.change(func(h *host) { h.ifs = h.ifs[:2] })
		if !heard() {
			t.Error("not delivered after the kernel reported that the link has gone")
		}
		p.host.changes.in <- []byte("something") // the links are listed, and not again before settlePause is over
		synctest.Wait()
		appear()
		p.host.changes.in <- unix.ENOBUFS // too many changes to report
		synctest.Wait()
		if heard() {
			t.Error("delivered after the kernel reported changes")
		}
	})
}

// When the links cannot be listed, what is known of them is used, and a claimant is rather delivered.
func TestLinksThatCannotBeListed(t *testing.T) {
	atPost(t, ListenerConfig{Limit: 1e9}, func(t *testing.T, p *post) {
		p.host.change(func(h *host) { h.noLinks = errors.New("out of memory") })
		p.host.arrive("eth0", claimFrame(t, vip4, rivalMAC), claimFrame(t, vip4, p.host.ifs[1].HardwareAddr))
		if n := p.take(); n != 1 {
			t.Errorf("%d delivered, want the one that is not of this host", n)
		}
		pass(time.Minute)
		if log := p.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "out of memory") {
			t.Errorf("log:\n%s", log)
		}
		if e := p.Counters().Errors; e < 55 || e > 65 {
			t.Errorf("%d tries in a minute, want about one per second", e)
		}
	})
}

// Each change of a link is logged once, and each is got over.
func TestLinkComesAndGoes(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		all := p.host.ifs
		down := []net.Interface{iface("eth0", 1, 0)}
		anew := []net.Interface{iface("eth0", 7, net.FlagUp)}
		renamed := []net.Interface{iface("eth9", 7, net.FlagUp)}
		set := func(ifs []net.Interface, noOpen error) func(*post) {
			return func(p *post) { p.host.change(func(h *host) { h.ifs, h.noOpen = ifs, noOpen }) }
		}
		for _, step := range []struct {
			name   string
			happen func(*post)
			opened int // since the beginning
			heard  int
			log    string
		}{
			{"gone", set(nil, nil), 1, 0, "no such device"},
			{"back", set(all, nil), 2, 1, "listens again"},
			{"down", func(p *post) { p.host.arrive("eth0", unix.ENETDOWN); set(down, nil)(p) }, 2, 1, "network is down"},
			{"up", set(all, nil), 2, 1, "listens again"},
			{"replaced", set(anew, nil), 3, 1, ""},
			{"renamed", set(renamed, nil), 3, 0, "no such device"},
			{"not Ethernet", set(all, ErrNotEthernet), 3, 0, "no Ethernet address"},
			{"forbidden", set(all, unix.EPERM), 3, 0, "not permitted"},
			{"allowed", set(all, nil), 4, 1, "listens again"},
			{"broken", func(p *post) { p.host.arrive("eth0", unix.ENOMEM) }, 4, 0, "cannot allocate"},
			{"at the next try", func(*post) { pass(retryMost) }, 5, 1, "listens again"},
		} {
			step.happen(p)
			pass(300 * time.Millisecond) // less than the time between two tries
			p.host.arrive("eth0", claimFrame(t, vip4, rivalMAC))
			log := p.log.take()
			if strings.Count(log, "\n") != min(len(step.log), 1) || !strings.Contains(log, step.log) {
				t.Errorf("%s: log %q, want one record with %q", step.name, log, step.log)
			}
			_, opened, _ := p.host.counts()
			if n := p.take(); n != step.heard || opened != step.opened {
				t.Errorf("%s: heard %d, want %d; opened %d times, want %d", step.name, n, step.heard, opened, step.opened)
			}
		}
	})
}

// What is missing when Run begins is listened to when it appears, also without a report.
func TestMissingLinkIsListenedToWhenItAppears(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		p.Set(map[string][]netip.Addr{"eth5": {vip4}})
		pass(time.Minute)
		if log := p.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "link=eth5 addresses=1") {
			t.Errorf("log:\n%s", log)
		}
		p.host.mu.Lock()
		p.host.ifs = []net.Interface{iface("eth5", 5, net.FlagUp)}
		p.host.mu.Unlock()
		pass(retryMost + settlePause)
		p.host.arrive("eth5", claimFrame(t, vip4, rivalMAC))
		if n := p.take(); n != 1 {
			t.Errorf("%d delivered, want 1", n)
		}
	})
}

// A host where links come and go all the time does not keep the Listener busy.
func TestManyLinkChangesAreLookedAtTogether(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		before, _, _ := p.host.counts()
		for range 1000 { // for a second
			p.host.changes.in <- []byte("something")
			pass(time.Millisecond)
		}
		if n, _, _ := p.host.counts(); n-before > int(time.Second/settlePause)+1 {
			t.Errorf("the links were listed %d times in a second", n-before)
		}
	})
}

func TestLostFramesAreCounted(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		e := p.host.earOn("eth0")
		e.drops.Store(3)
		if got := p.Counters().Lost; got != 3 {
			t.Errorf("lost %d, want 3", got)
		}
		e.drops.Store(2)
		p.Set(nil) // what was lost is not forgotten with the socket
		pass(settlePause)
		if got := p.Counters().Lost; got != 5 {
			t.Errorf("lost %d, want 5", got)
		}
	})
}

// One claimant is delivered at a time, and deliver may call the Listener. In real time: who waits for a mutex does not let
// a bubble's clock go on.
func TestDeliverIsCalledForOneAtATime(t *testing.T) {
	p := newPost(ListenerConfig{Limit: 1e9})
	p.Set(map[string][]netip.Addr{"eth0": {vip4}, "eth1": {vip4}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var inside, most, delivered atomic.Int32
	goOn := make(chan struct{})
	go func() {
		done <- p.Run(ctx, func(c Claimant) {
			most.Store(max(most.Load(), inside.Add(1)))
			p.Set(map[string][]netip.Addr{"eth0": {vip4}, "eth1": {vip4}})
			<-goOn
			inside.Add(-1)
			delivered.Add(1)
		})
	}()
	frame := claimFrame(t, vip4, rivalMAC)
	for _, link := range []string{"eth0", "eth1"} {
		eventually(t, "listening", func() bool { return p.host.earOn(link) != nil })
		for range 3 {
			p.host.earOn(link).in <- frame
		}
	}
	eventually(t, "both links are about to deliver", func() bool { return p.Counters().Using == 2 })
	if n := inside.Load(); n != 1 {
		t.Errorf("%d calls at once", n)
	}
	close(goOn)
	eventually(t, "all are delivered", func() bool { return delivered.Load() == 6 })
	if n := most.Load(); n != 1 {
		t.Errorf("%d calls at once", n)
	}
	cancel()
	must(t, <-done)
}

func TestListenerRunsOnce(t *testing.T) {
	atPost(t, ListenerConfig{}, func(t *testing.T, p *post) {
		if err := p.Run(t.Context(), nil); err == nil {
			t.Error("Run ran twice")
		}
	})
}

// Without reports of changes a Listener would be deaf one day and not know.
func TestListenerNeedsReportsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ListenerConfig{})
		p.openLinks = func() (ear, error) { return nil, unix.EMFILE }
		if err := p.Run(t.Context(), nil); !errors.Is(err, unix.EMFILE) || err.Error() != "run listener: too many open files" {
			t.Errorf("Run: %v", err)
		}
		p = newPost(ListenerConfig{})
		p.host.changes.in <- unix.ENOTCONN
		if err := p.Run(t.Context(), nil); !errors.Is(err, unix.ENOTCONN) || !strings.HasPrefix(err.Error(), "run listener: watch links: ") {
			t.Errorf("Run: %v", err)
		}
		if _, _, open := p.host.counts(); open != 0 {
			t.Errorf("%d links open after Run", open)
		}
	})
}
