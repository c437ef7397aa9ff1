package netif

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viplease/nstest"
)

// watcher collects the events of one link.
type watcher struct {
	bed
	events chan Event
}

// watch starts a Watch and waits until it is subscribed.
func (b bed) watch(k *Kernel) watcher {
	b.Helper()
	w := watcher{b, make(chan Event, 10_000)}
	b.startWatch(k, func(e Event) { w.events <- e })
	w.wantEvents("resync")
	return w
}

// startWatch starts a Watch that delivers what concerns the link of the bed, and ends it with the test.
func (b bed) startWatch(k *Kernel, deliver func(Event)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- k.Watch(ctx, func(e Event) {
			if e.Kind == Resync || b.concerns(e) {
				deliver(e)
			}
		})
	}()
	b.Cleanup(func() {
		cancel()
		b.must(<-done)
	})
}

// concerns says whether an event is about the link of the bed, by any of the names that the tests give it, and not about the
// link-local addresses that the kernel makes.
func (b bed) concerns(e Event) bool {
	name := e.Address.Link + e.Link.Name
	return (name == b.link || name == "was"+b.link) && !(e.Address.Prefix.IsValid() && e.Address.Prefix.Addr().IsLinkLocalUnicast())
}

func (w watcher) next() Event {
	w.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(10 * time.Second):
		w.Fatal("no event for 10 s")
		panic("unreachable")
	}
}

// await skips events until one of this kind about this address.
func (w watcher) await(kind EventKind, a Address) {
	w.Helper()
	for {
		if e := w.next(); e.Kind == kind && e.Address.Address == a {
			return
		}
	}
}

// wantEvents fails unless these are the next events about the link. Changes of its state, which come when the kernel pleases, are
// skipped where none is wanted.
func (w watcher) wantEvents(want ...string) {
	w.Helper()
	for _, text := range want {
		e := w.next()
		for e.Kind == LinkChanged && e.String() != text {
			e = w.next()
		}
		if e.String() != text {
			w.Fatalf("event %q, want %q", e, text)
		}
	}
}

func TestEventsInOrder(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	watched, k := b.open(nil), b.open(nil) // a Kernel is not told what it raised itself
	w := b.watch(watched)
	one, two, six := b.v4(1, 32), b.v4(2, 24), b.v6(1, 128)
	b.noErrors(k.Raise([][]Address{{one, two}}, 30*time.Second, soon()))
	for range 5 {
		b.noErrors(k.Raise([][]Address{{one}}, 30*time.Second, soon())) // no change, no event
	}
	b.noErrors(k.Delete([]Address{one}))
	b.noErrors(k.Raise([][]Address{{six}}, time.Second, soon()))
	w.wantEvents(
		fmt.Sprintf("address %s added", one),
		fmt.Sprintf("address %s added", two),
		fmt.Sprintf("address %s deleted", one),
		fmt.Sprintf("address %s added", six),
		fmt.Sprintf("address %s deleted", six), // lapsed
	)
}

// A thousand refreshes are not read, a deletion of what was refreshed is.
func TestOwnRefreshIsNotTold(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k, other := b.open(nil), b.open(nil)
	w := b.watch(k)
	one, two := b.v4(1, 32), b.v4(2, 32)
	b.noErrors(k.Raise(groups(one), 30*time.Second, soon()))
	b.noErrors(other.Raise(groups(two), 30*time.Second, soon()))
	b.noErrors(other.Delete([]Address{one}))
	w.wantEvents(fmt.Sprintf("address %s added", two), fmt.Sprintf("address %s deleted", one))
}

func TestEventWhenAnAddressChangesHands(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	k := b.open(nil)
	a := b.v4(1, 32)
	b.noErrors(k.Raise(groups(a), 30*time.Second, soon()))
	w := b.watch(k)
	addr, err := netlink.ParseAddr(a.Prefix.String())
	b.must(err)
	addr.ValidLft, addr.PreferedLft = forever, forever
	b.must(netlink.AddrReplace(b.find(b.link), addr))
	e := w.next()
	if e.Kind != AddressAdded || e.Address.Address != a || e.Address.Ours || e.Address.Valid >= 0 {
		t.Errorf("event %+v", e)
	}
}

func TestLinkEvents(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	watched, k := b.open(nil), b.open(nil) // a Kernel is not told what it raised itself
	w := b.watch(watched)
	until := func(what string, is func(Link) bool) {
		b.Helper()
		for {
			if e := w.next(); e.Kind == LinkChanged && is(e.Link) {
				return
			} else if e.Kind != LinkChanged {
				t.Fatalf("event %v while waiting for: %s", e, what)
			}
		}
	}
	b.must(netlink.LinkSetDown(b.find(b.link)))
	until("down", func(l Link) bool { return !l.Up && !l.Carrier })
	b.must(netlink.LinkSetUp(b.find(b.link)))
	until("carrier", func(l Link) bool { return l.Up && l.Carrier })
	b.must(netlink.LinkAddAltName(b.find(b.link), b.link+"alt"))
	until("alternative name", func(l Link) bool { return len(l.Altnames) == 1 && l.Altnames[0] == b.link+"alt" })

	a := b.v4(1, 24)
	b.noErrors(k.Raise(groups(a), 30*time.Second, soon()))
	w.wantEvents(fmt.Sprintf("address %s added", a))
	b.rename(b.link, "was"+b.link)
	until("new name", func(l Link) bool { return l.Name == "was"+b.link })
	b.must(netlink.LinkDel(b.find("was" + b.link)))
	a.Link = "was" + b.link
	w.wantEvents(fmt.Sprintf("address %s deleted", a), "link "+a.Link+" deleted")

	b.makeLink()
	until("back", func(l Link) bool { return l.Up && l.Carrier })
	b.noErrors(k.Raise(groups(b.v4(1, 24)), 30*time.Second, soon()))
	w.wantEvents(fmt.Sprintf("address %s added", b.v4(1, 24)))
}

// A bridge says "deleted" of a port that leaves it.
func TestLeavingABridgeIsNoDeletion(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	watched, k := b.open(nil), b.open(nil) // a Kernel is not told what it raised itself
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: b.link + "br"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		nstest.Lacking(t, "no bridge: %v", err)
	}
	defer func() { b.must(netlink.LinkDel(bridge)) }()
	w := b.watch(watched)
	b.must(netlink.LinkSetMaster(b.find(b.link), bridge))
	b.must(netlink.LinkSetNoMaster(b.find(b.link)))
	b.noErrors(k.Raise(groups(b.v4(1, 32)), 30*time.Second, soon()))
	w.wantEvents(fmt.Sprintf("address %s added", b.v4(1, 32)))
}

// The receive buffer overflows while deliver blocks: Watch says so, once it is up to date again, and goes on.
func TestLostEvents(t *testing.T) {
	b := newBed(t)                         // not in parallel: the small buffer is no match for what other tests do
	watched, k := b.open(nil), b.open(nil) // a Kernel is not told what it raised itself
	watched.watchBuffer = 8 << 10          // a score of events
	w := watcher{b, make(chan Event, 10_000)}
	resume := make(chan struct{})
	b.startWatch(watched, func(e Event) {
		w.events <- e
		if e.Kind == AddressAdded {
			select {
			case <-resume:
			case <-t.Context().Done():
			}
		}
	})
	w.wantEvents("resync")
	all := b.many("v4", 200)
	b.noErrors(k.Raise(groups(all[0]), time.Minute, soon()))
	w.wantEvents(fmt.Sprintf("address %s added", all[0])) // and deliver blocks
	b.noErrors(k.Raise(groups(all...), time.Minute, soon()))
	b.noErrors(k.Delete(all))
	close(resume)
	for e := w.next(); e.Kind != Resync; e = w.next() {
	}
	// In step again: nothing older is told, such as the additions before the buffer was full.
	b.noErrors(k.Raise(groups(all[0]), time.Minute, soon()))
	b.noErrors(k.Delete(all[:1]))
	w.wantEvents(fmt.Sprintf("address %s added", all[0]), fmt.Sprintf("address %s deleted", all[0]))
}

// An address message that was queued before its link was deleted is no news.
func TestTableForgetsLinks(t *testing.T) {
	t.Parallel()
	address := told{prefix: "10.0.0.1/32", valid: 3, proto: 'v'}.body() // on link 7
	link := append([]byte{}, (&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: 7}}).Serialize()...)
	link = append(link, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("eth0")).Serialize()...)
	var tab table
	tab.reset(nil, nil)
	for i, m := range []struct {
		kind uint16
		body []byte
		want string
	}{
		{unix.RTM_NEWADDR, address, ""},
		{unix.RTM_NEWLINK, link, "link eth0 changed"},
		{unix.RTM_NEWLINK, link, ""},
		{unix.RTM_NEWADDR, address, "address 10.0.0.1/32 dev eth0 added"},
		{unix.RTM_NEWADDR, address, ""},
		{unix.RTM_DELADDR, address, "address 10.0.0.1/32 dev eth0 deleted"},
		{unix.RTM_DELADDR, address, "address 10.0.0.1/32 dev eth0 deleted"}, // it may be one that this process raised
		{unix.RTM_DELLINK, link, "link eth0 deleted"},
		{unix.RTM_NEWADDR, address, ""},
		{unix.RTM_DELLINK, link, ""},
	} {
		got := ""
		if e, ok := tab.apply(m.kind, m.body); ok {
			got = e.String()
		}
		if got != m.want {
			t.Errorf("message %d: event %q, want %q", i, got, m.want)
		}
	}
}
