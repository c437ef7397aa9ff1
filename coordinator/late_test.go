package coordinator

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
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

// A registration whose lease is granted at the last moment must not stop the daemon.
func TestSlowGrantStopsTheDaemon(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.etcd.setHook(func(ctx context.Context, call string) error {
			if call == "grant" {
				time.Sleep(2*time.Second + time.Millisecond) // answered, but as the time for all of it ends
			}
			return nil
		})
		n.etcd.loseMember()
		select {
		case err := <-n.ended:
			t.Errorf("Run returned %v", err)
			return
		case <-time.After(6 * time.Second):
		}
		n.etcd.setHook(nil)
		n.stop()
		<-n.ended
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
	_ = plan.Now{}
}

// A store that goes back while a registration is under way: two registrations at a time.
func TestTwoRegistrationsAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		under, most := 0, 0
		var mu sync.Mutex
		n.etcd.setHook(func(ctx context.Context, call string) error {
			if call == "register" {
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				under--
				mu.Unlock()
			}
			return nil
		})
		n.etcd.loseMember()
		time.Sleep(600 * time.Millisecond) // jitter
		n.etcd.mu.Lock()
		n.etcd.rev, n.etcd.log = 3, nil
		n.etcd.mu.Unlock()
		n.reread <- struct{}{}
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if most > 1 {
			t.Errorf("%d registrations at a time share one pending lease", most)
		}
		time.Sleep(3 * time.Second)
		n.etcd.setHook(nil)
		n.stop()
		<-n.ended
	})
}
