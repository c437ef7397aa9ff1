package plan

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// fleet is what etcd holds of a large cluster at rest: every member alive and ready, every VIP claimed where the placement wants it.
type fleet struct {
	cfg      Config
	now      Now
	snapshot SnapshotRead
	states   []State
}

// newFleet lays a cluster out. each is how many nodes can hold a VIP, in a stripe; 0: all.
func newFleet(nodes, vips, each, tags int) *fleet {
	f := &fleet{now: Now{Boot: time.Hour, Wall: time.Unix(1_700_000_000, 0).UTC()}}
	f.cfg = Config{
		Group: "www", Node: "node-000", Machine: "m", Boot: "b", Seed: "bench", TTL: 3 * time.Second, Hold: 3 * time.Second, CheckInterval: 300 * time.Millisecond,
		CheckTimeout: 300 * time.Millisecond, Wait: 4610 * time.Millisecond, Mature: 5 * time.Second, Failback: true, MovesPerRound: -1, Weight: 1, MaxWrites: 57,
	}
	for i := range vips {
		v := VIP{Name: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i % 256)}), 32)}}
		if tags > 0 {
			v.Spread = fmt.Sprintf("tag-%d", i%tags)
		}
		f.cfg.VIPs = append(f.cfg.VIPs, v)
	}
	l, digest := layout(f.cfg)
	f.put("configs/"+digest, l)
	for i := range nodes {
		node, st := fmt.Sprintf("node-%03d", i), State{V: Format, State: StateReady, Since: f.now.Wall, Weight: 1, Digest: digest, Planner: Planner, WaitMS: 4610}
		if each > 0 {
			st.Weight = 1 + i%4
			var all, cannot []string
			for v := range vips {
				all = append(all, l.VIPs[v].Name)
				if (i-v*7%nodes+nodes)%nodes >= each {
					cannot = append(cannot, l.VIPs[v].Name)
				}
			}
			st.say(cannot, nil, all)
		}
		f.states = append(f.states, st)
		f.put("members/"+node, Member{V: Format, Reg: "r-" + node, Machine: node, Boot: node})
		f.put("states/"+node, st)
	}
	view := f.view()
	for vip, node := range view.placement().assign {
		m := view.etcd.members[node]
		c := Claim{V: Format, VIP: vip, Node: node, Reg: m.Reg, MemberRev: m.create, WaitMS: 4610, Addresses: []string{vip + "/32"}, Since: f.now.Wall, Why: "unheld", Try: "t", Writes: 2}
		f.put("claims/"+vip, c)
		f.snapshot.Entries[len(f.snapshot.Entries)-1].Version = 2
	}
	return f
}

func (f *fleet) put(key string, value any) {
	f.snapshot.Revision++
	f.snapshot.Cluster = 1
	f.snapshot.Entries = append(f.snapshot.Entries, Entry{Key: key, Value: Encode(value), Create: f.snapshot.Revision, Mod: f.snapshot.Revision, Version: 1})
}

func (f *fleet) view() *View {
	v := New(f.cfg, f.now)
	v.Apply(f.snapshot, f.now)
	return v
}

// said is the batch in which a member says something else of itself.
func (f *fleet) said(rev int64, member int, st State) BatchSeen {
	return BatchSeen{Revision: rev, Changed: []Entry{{Key: fmt.Sprintf("states/node-%03d", member), Value: Encode(st), Create: 2, Mod: rev, Version: rev}}}
}

var fleets = []struct {
	name                      string
	nodes, vips, each, spread int
}{
	{"4096 VIPs, 256 nodes", 256, 4096, 0, 0},
	{"4096 VIPs on 32 of 256 nodes, weights, tags", 256, 4096, 32, 256},
	{"1000 VIPs, 3 nodes", 3, 1000, 0, 1},
	{"10 VIPs, 3 nodes", 3, 10, 0, 1},
}

// BenchmarkSnapshot is planning from scratch: a snapshot of etcd is decoded, the view is built, and the placement is computed.
func BenchmarkSnapshot(b *testing.B) {
	for _, c := range fleets {
		f := newFleet(c.nodes, c.vips, c.each, c.spread)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				v := New(f.cfg, f.now)
				b.StartTimer()
				v.Apply(f.snapshot, f.now)
				if p := v.placement(); len(p.assign) != c.vips {
					b.Fatalf("%d placed", len(p.assign))
				}
			}
		})
	}
}

// BenchmarkAgain is a turn of the loop in which nothing has happened.
func BenchmarkAgain(b *testing.B) {
	for _, c := range fleets {
		f := newFleet(c.nodes, c.vips, c.each, c.spread)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			v := f.view()
			Decide(v, f.now)
			for b.Loop() {
				v.placement()
				Decide(v, f.now)
			}
		})
	}
}

// BenchmarkMemberChange is a turn of the loop in which a member drains, or is back.
func BenchmarkMemberChange(b *testing.B) {
	for _, c := range fleets {
		f := newFleet(c.nodes, c.vips, c.each, c.spread)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			v := f.view()
			Decide(v, f.now)
			rev := f.snapshot.Revision
			for b.Loop() {
				rev++
				st := f.states[1]
				if rev%2 == 0 {
					st.State = StateLeaving
				}
				now := Now{Boot: f.now.Boot + time.Duration(rev)*time.Second, Wall: f.now.Wall} // so that it is planned each time
				v.Apply(f.said(rev, 1, st), now)
				v.placement()
				Decide(v, now)
				v.Notes()
			}
		})
	}
}
