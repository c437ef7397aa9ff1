package netif

import (
	"context"
	"time"
)

// watcher collects the events of one link.
type watcher struct {
	bed
	events chan Event
}

// watch starts a Watch and waits until it is subscribed. It ends with the test.
func (b bed) watch(k *Kernel) watcher {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := watcher{b, make(chan Event, 10_000)}
	done := make(chan error, 1)
	go func() {
		done <- k.Watch(ctx, func(e Event) {
			if e.Kind == Resync || e.Address.Link == b.link || e.Link.Name == b.link {
				w.events <- e
			}
		})
	}()
	b.Cleanup(func() {
		cancel()
		b.must(<-done)
	})
	if first := w.next(); first.Kind != Resync {
		b.Fatalf("the first event is %v, want resync", first)
	}
	return w
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
