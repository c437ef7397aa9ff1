package coordinator

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
)

// fakeLans is one link with one neighbour, or a reading that hangs.
type fakeLans struct {
	neighbor plan.Neighbor
	hang     <-chan struct{}
}

func (l fakeLans) Lans() ([]plan.Lan, error) {
	if l.hang != nil {
		<-l.hang
	}
	return []plan.Lan{{Link: "net1", Hardware: [6]byte{2}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.200/24")}, Seen: []plan.Sighting{{Neighbor: l.neighbor}}}}, nil
}

// withLans runs a node that looks at its neighbours.
func withLans(lans Lans) *node {
	n := newNode(newFakeEtcd(), newFakeKernel(config().VIPs))
	n.cfg.Plan.ARPCache = 90 * time.Second
	n.ports.Lans = lans
	n.start(plan.Remembered{})
	return n
}

// What the tables show is told to the announcer and written, and nothing is written any more after that.
func TestNeighboursAreWrittenAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := withLans(fakeLans{neighbor: plan.Neighbor{Addr: netip.MustParseAddr("192.0.2.77"), Hardware: [6]byte{2, 5: 0x77}}})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if e, _ := n.etcd.get("neighbors/a"); string(e.Value) != `{"v":1,"neighbors":["192.0.2.77 02:00:00:00:00:77"]}` {
			t.Errorf("etcd has %q", e.Value)
		}
		n.kernel.mu.Lock()
		told := slices.Contains(n.kernel.steps, "tell [192.0.2.77 02:00:00:00:00:77]")
		n.kernel.mu.Unlock()
		if !told {
			t.Errorf("the announcer was not told: %v", n.kernel.steps)
		}
		before, _ := n.etcd.Read(t.Context())
		time.Sleep(time.Hour)
		synctest.Wait()
		if after, _ := n.etcd.Read(t.Context()); after.Revision != before.Revision {
			t.Errorf("%d writes in an idle hour", after.Revision-before.Revision)
		}
		n.stop()
		if err := n.over(t, 10*time.Second); err != nil {
			t.Error(err)
		}
	})
}

// Whoever does not answer about neighbours delays nothing.
func TestTablesThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		n := withLans(fakeLans{hang: hang})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := n.kernel.count(); got != 2 {
			t.Errorf("%d addresses are up, not 2", got)
		}
		close(hang)
		n.stop()
		if err := n.over(t, 10*time.Second); err != nil {
			t.Error(err)
		}
	})
}
