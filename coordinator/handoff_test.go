package coordinator

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// SIGHUP's check of the new file takes a moment; SIGTERM meanwhile must still mean "leave".
func TestHandoffDoesNotUndoLeave(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.etcd.setHook(func(ctx context.Context, call string) error { // etcd takes 50 ms for a write
			if call == "commit" {
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		})
		n.stop()
		time.Sleep(10 * time.Millisecond)
		n.Handoff()
		if err := <-n.ended; errors.Is(err, ErrHandoff) {
			t.Error("told to leave, it hands off to a next process, which will not leave")
		}
	})
}

type ears struct {
	fakeEars
	mu   sync.Mutex
	want map[string][]netip.Addr
}

func (e *ears) Set(w map[string][]netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want = w
}

func TestRivalsOfKeptAddressesAreListenedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.Handoff()
		<-n.ended
		next := newNode(n.etcd, n.kernel)
		e := &ears{}
		next.ports.Ears = e
		next.start(n.memory.last)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		e.mu.Lock()
		if len(e.want["net1"]) != 2 {
			t.Errorf("it holds 2 VIPs and listens for %v", e.want)
		}
		e.mu.Unlock()
		next.stop()
		<-next.ended
	})
}
