package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const arpCache = 90 * time.Second

// host is the i-th neighbour on the LAN of the dialogues.
func host(i int) Neighbor {
	return Neighbor{netip.AddrFrom4([4]byte{192, 0, byte(2 + i>>8), byte(i)}), [6]byte{2, 0, 0, 0, byte(i >> 8), byte(i)}}
}

// lanWith is the node's link, with these neighbours, all just heard of.
func lanWith(seen ...Neighbor) NeighborsRead {
	lan := Lan{Link: "net1", Hardware: [6]byte{2, 0xaa}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.250/21"), netip.MustParsePrefix("fe80::1/64")}}
	for _, n := range seen {
		lan.Seen = append(lan.Seen, Sighting{Neighbor: n})
	}
	return NeighborsRead{Lans: []Lan{lan}}
}

// neighborly is a registered node that has read its tables and found nobody.
func neighborly(t *testing.T) *dialogue {
	t.Helper()
	cfg := testConfig("a", "web")
	cfg.ARPCache = arpCache
	d := start(t, cfg)
	d.want("read neighbours")
	d.tell(lanWith())
	d.want("tell 0 neighbours")
	d.tell(Told{})
	d.register()
	d.ms += 10_000 // the records of nodes that start together are spread over this time
	d.tell()
	d.acts = nil
	return d
}

// pass lets time go by, in which nothing else is asked.
func (d *dialogue) pass(dur time.Duration) {
	d.t.Helper()
	d.ms += int(dur / ms)
	d.acts = nil
	d.tell()
}

// aboutNeighbors returns what is asked about neighbours.
func (d *dialogue) aboutNeighbors() string {
	var lines []string
	for _, a := range d.acts {
		switch a := a.(type) {
		case ReadNeighbors, Tell:
			lines = append(lines, a.String())
		case WriteNeighbors:
			lines = append(lines, "write "+strings.Join(a.Neighbors.Neighbors, ", "))
		}
	}
	d.acts = nil
	return strings.Join(lines, "; ")
}

func (d *dialogue) wantNeighbors(want string) {
	d.t.Helper()
	if got := d.aboutNeighbors(); got != want {
		d.t.Fatalf("at %d ms it wants\n%q, not\n%q", d.ms, got, want)
	}
}

// written answers a record as etcd does: committed, and seen by the watch.
func (d *dialogue) written(hosts ...Neighbor) {
	d.t.Helper()
	r := Neighbors{V: Format}
	for _, h := range hosts {
		r.Neighbors = append(r.Neighbors, h.String())
	}
	e := d.put("neighbors/a", r, 1)
	d.tell(NeighborsWritten{MemberRev: d.v.self.reg.MemberRev, Revision: d.rev, Neighbors: r}, d.batch(e), Told{})
	d.acts = nil
	d.tell(Told{})
}

func said(node string, d *dialogue, hosts ...Neighbor) Entry {
	r := Neighbors{V: Format, Neighbors: []string{}}
	for _, h := range hosts {
		r.Neighbors = append(r.Neighbors, h.String())
	}
	return d.put("neighbors/"+node, r, 1)
}

func TestNewNeighbourIsSaidAndTold(t *testing.T) {
	d := neighborly(t)
	d.tell(lanWith(host(2), host(1)))
	d.wantNeighbors("tell 2 neighbours; write 192.0.2.1 02:00:00:00:00:01, 192.0.2.2 02:00:00:00:00:02")
	d.written(host(1), host(2))
	d.wantNeighbors("")
	d.tell(lanWith(host(1), host(2), host(3)))
	d.wantNeighbors("tell 3 neighbours; write 192.0.2.1 02:00:00:00:00:01, 192.0.2.2 02:00:00:00:00:02, 192.0.2.3 02:00:00:00:00:03")
}

// An idle cluster writes nothing: entries that change their state, are dropped by the kernel and come back, in any order, are no news.
func TestTablesThatFlapAreNoNews(t *testing.T) {
	d := neighborly(t)
	d.tell(lanWith(host(1), host(2)))
	d.written(host(1), host(2))
	for i := range 200 { // five hours
		d.pass(arpCache)
		if got := d.aboutNeighbors(); got != "read neighbours" {
			t.Fatalf("reading %d: %s", i, got)
		}
		f := lanWith(host(2), host(1))
		f.Lans[0].Seen[0].Quiet = time.Duration(i%20) * time.Minute
		if i%15 != 0 { // away for 22 minutes, back for a moment
			f.Lans[0].Seen = f.Lans[0].Seen[:1]
		}
		d.tell(f)
		if got := d.aboutNeighbors(); got != "tell 2 neighbours" {
			t.Fatalf("after reading %d: %s", i, got)
		}
		d.tell(Told{})
	}
}

func TestWhatHasGoneLeavesTogether(t *testing.T) {
	d := neighborly(t)
	d.tell(lanWith(host(1), host(2), host(3)))
	d.written(host(1), host(2), host(3))
	writes := 0
	for i := range 60 { // 90 minutes; host 2 goes at once, host 1 after 15 minutes
		d.pass(arpCache)
		seen := []Neighbor{host(3)}
		if i < 10 {
			seen = append(seen, host(1))
		}
		d.tell(lanWith(seen...))
		if got := d.aboutNeighbors(); strings.Contains(got, "write") {
			writes++
			if writes == 1 && !strings.HasSuffix(got, "write 192.0.2.1 02:00:00:00:00:01, 192.0.2.3 02:00:00:00:00:03") {
				t.Errorf("first drops %s", got)
			}
			if writes == 1 {
				d.written(host(1), host(3))
				continue
			}
			if !strings.HasSuffix(got, "write 192.0.2.3 02:00:00:00:00:03") {
				t.Errorf("then drops %s", got)
			}
			d.written(host(3))
		}
		d.tell(Told{})
	}
	if writes != 2 {
		t.Errorf("%d writes, want one in half an hour", writes)
	}
}

// One copy of what all see is enough; when its author goes, one of the others says it again, after a time of its own.
func TestOnlyWhatNobodyElseSays(t *testing.T) {
	d := neighborly(t)
	b := said("b", d, host(1), host(2), host(7))
	d.tell(d.batch(b))
	d.wantNeighbors("tell 3 neighbours")
	d.tell(Told{})
	d.tell(lanWith(host(1), host(2)))
	d.wantNeighbors("tell 3 neighbours")
	d.tell(Told{}, lanWith(host(1), host(2), host(3)))
	d.wantNeighbors("tell 4 neighbours; write 192.0.2.3 02:00:00:00:00:03")
	d.written(host(3))
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{Key: "neighbors/b", Mod: d.rev}}})
	d.wantNeighbors("tell 4 neighbours") // host 7, too, which nobody else has seen
	d.tell(Told{})
	d.pass(share("a", arpCache) - 20*ms)
	if got := d.aboutNeighbors(); strings.Contains(got, "write") {
		t.Fatalf("all who see them would say so at the same time: %s", got)
	}
	d.pass(21 * ms)
	if got := d.aboutNeighbors(); !strings.HasSuffix(got, "write 192.0.2.1 02:00:00:00:00:01, 192.0.2.2 02:00:00:00:00:02, 192.0.2.3 02:00:00:00:00:03") {
		t.Fatalf("it wants %s", got)
	}
}

// Who takes over from a dead node tells the hosts that only that node had seen: its record ends with its lease, long before its VIPs may be taken. Half an
// hour later they are forgotten.
func TestNeighboursOfADeadNode(t *testing.T) {
	for _, how := range []string{"deleted", "missing from a snapshot"} {
		d := neighborly(t)
		d.tell(d.batch(said("b", d, host(7))))
		d.wantNeighbors("tell 1 neighbours")
		d.tell(Told{})
		d.rev++
		if how == "deleted" {
			d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{Key: "neighbors/b", Mod: d.rev}}})
		} else {
			member := Entry{Key: "members/a", Value: d.memberValue(), Create: d.v.self.reg.MemberRev, Mod: d.v.self.reg.MemberRev, Version: 1}
			d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: []Entry{member}})
		}
		d.wantNeighbors("tell 1 neighbours")
		d.tell(Told{})
		d.pass(d.v.forget())
		d.tell(lanWith())
		if got := d.aboutNeighbors(); got != "read neighbours; tell 0 neighbours" {
			t.Errorf("%s: half an hour later: %s", how, got)
		}
	}
}

func TestAnotherSaysItFirst(t *testing.T) {
	d := neighborly(t)
	d.tell(lanWith(host(1)))
	d.written(host(1))
	c, b := said("c", d, host(2)), said("b", d, host(2))
	d.tell(d.batch(c, b), Told{}, lanWith(host(1), host(2)), Told{})
	d.acts = nil
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{Key: "neighbors/b", Mod: d.rev}, {Key: "neighbors/c", Mod: d.rev}}})
	d.tell(d.batch(said("c", d, host(2))), Told{})
	d.pass(arpCache)
	if got := d.aboutNeighbors(); strings.Contains(got, "write") {
		t.Errorf("it repeats what c says: %s", got)
	}
}

// Who is no neighbour is neither said nor told, whether this node sees it or etcd holds it.
func TestWhoIsNoNeighbour(t *testing.T) {
	strangers := []Neighbor{
		{netip.MustParseAddr("192.0.2.250"), [6]byte{2, 1}},      // this node's address
		{netip.MustParseAddr("192.0.2.9"), [6]byte{2, 0xaa}},     // and its interface
		{netip.MustParseAddr("192.0.2.100"), [6]byte{2, 1}},      // a VIP
		{netip.MustParseAddr("198.51.100.1"), [6]byte{2, 1}},     // not on the link
		{netip.MustParseAddr("fe80::2"), [6]byte{2, 1}},          // which link?
		{netip.MustParseAddr("192.0.2.10"), [6]byte{0xff, 0xff}}, // to all
		{netip.MustParseAddr("192.0.2.10"), [6]byte{1}},          // to a group
		{netip.MustParseAddr("192.0.2.10"), [6]byte{}},           // nowhere
		{netip.MustParseAddr("2001:db8::1"), [6]byte{2, 1}},      // the VIP is IPv4, and no subnet holds it
	}
	d := neighborly(t)
	d.tell(lanWith(strangers...))
	d.wantNeighbors("tell 0 neighbours")
	d.tell(Told{})
	for _, n := range strangers {
		d.tell(d.batch(said("b", d, n)), Told{})
		if got := d.aboutNeighbors(); got != "tell 0 neighbours" {
			t.Errorf("%s: %s", n, got)
		}
	}
}

// A link whose VIPs are in one of its subnets has neighbours there alone.
func TestNeighboursAreOfTheSubnetOfAVIP(t *testing.T) {
	d := neighborly(t)
	f := lanWith(host(1), Neighbor{netip.MustParseAddr("10.0.0.1"), [6]byte{2, 1}})
	f.Lans[0].Prefixes = append(f.Lans[0].Prefixes, netip.MustParsePrefix("10.0.0.9/24"))
	other := lanWith(Neighbor{netip.MustParseAddr("192.0.2.77"), [6]byte{2, 7}}).Lans[0]
	other.Link = "docker0"
	f.Lans = append(f.Lans, other)
	d.tell(f)
	d.wantNeighbors("tell 1 neighbours; write 192.0.2.1 02:00:00:00:00:01")
}

func TestConfiguredHostsOnALink(t *testing.T) {
	v := New(Config{Notices: []Notice{
		{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.1"), "net1", 8},
		{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.9"), "lan", 8}, // an alternative name; believed, whatever the subnet
		{netip.MustParseAddr("192.0.1.9"), netip.MustParseAddr("192.0.2.5"), "", 8},
		{netip.MustParseAddr("192.0.2.250"), netip.MustParseAddr("192.0.9.9"), "", 8},
		{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.9"), "", 8},
		{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::9"), "", 8},
		{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9"), "net2", 8},
	}}, Now{})
	lan := Lan{Link: "net1", Altnames: []string{"lan"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("192.0.2.8/24")}}
	var got []string
	for _, n := range v.notices(lan) {
		got = append(got, fmt.Sprintf("%s-%s", n.First, n.Last))
	}
	want := []string{"192.0.2.1-192.0.2.1", "203.0.113.1-203.0.113.9", "192.0.2.0-192.0.2.5", "192.0.2.250-192.0.2.255"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A hundred nodes on one LAN of 300 hosts, all started at once: what they write, and how much.
func TestHundredNodesOnOneLAN(t *testing.T) {
	var seen []Neighbor
	for i := range 300 {
		seen = append(seen, host(i+1))
	}
	writes, bytes := 0, 0
	records := map[string]Entry{}
	for i := range 100 { // each at a time of its own, after those before it
		d := neighborly(t)
		for node, e := range records {
			e.Mod, e.Create = d.rev+1, d.rev+1
			d.rev++
			d.tell(d.batch(e))
			records[node] = e
		}
		d.tell(Told{}, lanWith(seen...))
		for _, a := range d.acts {
			if w, ok := a.(WriteNeighbors); ok {
				writes, bytes = writes+1, bytes+len(Encode(w.Neighbors))
				records[fmt.Sprint("n", i)] = Entry{Key: fmt.Sprint("neighbors/n", i), Value: Encode(w.Neighbors), Version: 1}
			}
		}
	}
	if writes != 1 || bytes > 16<<10 {
		t.Errorf("%d writes of %d bytes in all", writes, bytes)
	}
	t.Logf("%d write, %d bytes", writes, bytes)
}
