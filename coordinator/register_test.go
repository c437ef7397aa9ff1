package coordinator

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A registration whose lease is granted at the last moment must not stop the daemon.
func TestSlowGrantDoesNotStopTheDaemon(t *testing.T) {
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

// A store that goes back while a registration is under way asks for the next: two at a time would share one pending lease.
func TestOneRegistrationAtATime(t *testing.T) {
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
		mu.Lock() // a later attempt may be under way
		if most > 1 {
			t.Errorf("%d registrations at a time share one pending lease", most)
		}
		mu.Unlock()
		time.Sleep(3 * time.Second)
		n.etcd.setHook(nil)
		n.stop()
		<-n.ended
	})
}
