package plan

import (
	"fmt"
	"testing"
	"time"
)

// TestOthersWritesArePlannedWithNowAndThen: in a large cluster a claim that another node made as planned does not have this one plan anew at once, and
// anything else does after a pause; what it has to do by the plan goes on in the one case and waits in the other. A small cluster plans at once.
func TestOthersWritesArePlannedWithNowAndThen(t *testing.T) {
	for _, size := range []struct {
		nodes, vips int
		paces       bool
	}{{3, 1000, false}, {100, 400, true}} {
		f := newFleet(size.nodes, size.vips, 0, 0)
		v := f.view()
		decide := func(after time.Duration) *decision {
			f.now.Boot += after
			v.clock = f.now.Boot
			return &decision{v: v, now: f.now, wake: never}
		}
		first := v.placement()
		if !decide(0).current() || v.placement() != first {
			t.Fatalf("%+v: nothing has happened, and it plans anew", size)
		}
		vip := f.cfg.VIPs[0].Name
		claim := v.etcd.claims[vip].Claim
		write := func(c Claim) {
			f.put("claims/"+vip, c)
			e := f.snapshot.Entries[len(f.snapshot.Entries)-1]
			e.Version = c.Writes
			v.Apply(BatchSeen{Revision: f.snapshot.Revision, Changed: []Entry{e}}, f.now)
		}
		claim.Writes, claim.Moved = claim.Writes+1, claim.Moved+1 // still where the plan wants it
		write(claim)
		if d := decide(time.Millisecond); !d.current() || (v.placement() == first) != size.paces || size.paces != (d.wake < never) {
			t.Errorf("%+v: after a claim as planned it is current: %v, planned anew: %v, wakes %v", size, d.current(), v.placement() != first, d.wake)
		}
		other := "node-001"
		if claim.Node == other {
			other = "node-002"
		}
		claim.Writes++
		claim.Node, claim.Reg, claim.MemberRev = other, v.etcd.members[other].Reg, v.etcd.members[other].create
		write(claim)
		if d := decide(time.Millisecond); d.current() == size.paces {
			t.Errorf("%+v: after a claim that was not planned it is current: %v", size, !size.paces)
		}
		if decide(pauseMost); !decide(0).current() || v.placement() == first {
			t.Errorf("%+v: after the pause it has not planned anew", size)
		}
	}
}

// TestFewWriteWhatIsMissing: of many nodes that see a claim missing, each knows whether it is one of the first three to write it.
func TestFewWriteWhatIsMissing(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 4, 20} {
		for name := range 50 {
			writers := 0
			for n := range nodes {
				cfg := testConfig(fmt.Sprintf("n%02d", n), "web")
				v := New(cfg, Now{})
				for m := range nodes {
					v.etcd.members[fmt.Sprintf("n%02d", m)] = member{}
				}
				d := &decision{v: v}
				writers += boolInt(d.firstToWrite(fmt.Sprint("vip-", name)))
			}
			if writers != min(nodes, emptyFirst) {
				t.Errorf("%d nodes: %d write vip-%d", nodes, writers, name)
			}
		}
	}
}
