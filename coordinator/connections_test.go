package coordinator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
)

// fakeConnections writes into the kernel's steps, in time or not.
type fakeConnections struct{ kernel *fakeKernel }

func (c fakeConnections) Reset(addresses []plan.Address, inTime func() bool) error {
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	for _, a := range addresses {
		if !inTime() {
			return errors.New("too late")
		}
		c.kernel.step("reset " + a.Prefix.Addr().String())
		time.Sleep(2 * resetWithin / 3)
	}
	return nil
}

// While this node may speak for its addresses, connections are reset between the last announcement and the deletion.
func TestConnectionsAreResetBeforeTheAddressGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node) {
		n.kernel.steps = nil
		n.stop()
		if err := n.over(t, time.Second); err != nil {
			t.Fatal(err)
		}
		first := slices.Index(n.kernel.steps, "reset 192.0.2.1")
		if s, d := slices.Index(n.kernel.steps, "stop 192.0.2.1"), slices.Index(n.kernel.steps, "del 192.0.2.1"); s < 0 || first < s || d < first {
			t.Errorf("not stopped, reset and deleted in this order: %v", n.kernel.steps)
		}
	})
}

func TestConnectionsAreNotResetWithoutAuthority(t *testing.T) {
	for what, end := range map[string]func(*node){
		"etcd is away for longer than hold": func(n *node) {
			n.etcd.setHook(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		},
		"the loop panics": func(n *node) { go n.Do(func() { panic("test") }) },
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *node) {
				n.kernel.steps = nil
				end(n)
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if n.kernel.count() != 0 || strings.Contains(strings.Join(n.kernel.steps, " "), "reset") {
					t.Errorf("%d addresses are up; it did %v", n.kernel.count(), n.kernel.steps)
				}
				n.stop()
				<-n.ended
			})
		})
	}
}
