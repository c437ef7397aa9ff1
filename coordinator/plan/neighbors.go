package plan

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A VIP that moves is told to its neighbours directly, for some take nothing else. Who they are, the members tell each other: a host that has
// spoken to the former holder alone is in no table of the new one.
//
// A record per node would cost a cluster of 100 nodes 100 copies of the same LAN, and each write is sent to all 100. So a node says only what no
// other member says already, and says nothing when an entry changes its state, as they do all the time: only a host that nobody had told of, under this
// Ethernet address, is news. What is not seen any more stays for a long time, and leaves together.

const (
	neighborsMost = 512              // in one record: 23 kB
	heardMost     = 4096             // that this node keeps in mind of its own tables
	audienceMost  = 2048             // told on one link
	forgetLeast   = 30 * time.Minute // how long a host is a neighbour that nobody has heard of
	forgetPeriods = 20               // and in periods of Config.ARPCache, if that is longer
	recordSpread  = 10 * time.Second // within which the records of nodes that started together are written
	recordRetry   = 5 * time.Second
)

// Neighbor is a host and where it was seen.
type Neighbor struct {
	Addr     netip.Addr
	Hardware [6]byte
}

func (n Neighbor) String() string {
	return n.Addr.String() + " " + strings.ReplaceAll(fmt.Sprintf("% x", n.Hardware[:]), " ", ":")
}

func (n Neighbor) compare(o Neighbor) int {
	return cmp.Or(n.Addr.Compare(o.Addr), bytes.Compare(n.Hardware[:], o.Hardware[:]))
}

// Sighting is an entry of the kernel's tables.
type Sighting struct {
	Neighbor
	Quiet time.Duration // since it was last heard of
}

// Lan is one link of this host, with what the kernel knows of the network behind it.
type Lan struct {
	Link     string
	Altnames []string
	Hardware [6]byte
	Prefixes []netip.Prefix // the host's own addresses there, no VIP among them
	Seen     []Sighting
}

// Notice is hosts that the configuration wants to be told.
type Notice struct {
	First, Last netip.Addr
	Link        string // "": where its subnet is
	PerSecond   int
}

// Audience is who is told directly of the VIPs on one link.
type Audience struct {
	Link      string
	Subnets   []netip.Prefix
	Notices   []Notice
	Neighbors []Neighbor
}

// Neighbors is the value of neighbors/<node>: hosts on its LANs that no other member had told of when it was written. It hangs on the node's lease.
type Neighbors struct {
	V         int      `json:"v"`
	Neighbors []string `json:"neighbors"` // "192.0.2.1 02:00:00:00:00:01", sorted
}

// decodeNeighbors takes a record whole or not at all: one wrong line, and it was not written by viplease.
func decodeNeighbors(value []byte) ([]Neighbor, error) {
	r, err := decode(value, func(n *Neighbors) int { return n.V })
	if err == nil && len(r.Neighbors) > neighborsMost {
		err = fmt.Errorf("%w: %d neighbours", errForeign, len(r.Neighbors))
	}
	if err != nil {
		return nil, err
	}
	list := make([]Neighbor, 0, len(r.Neighbors))
	for _, text := range r.Neighbors {
		ip, mac, _ := strings.Cut(text, " ")
		addr, err := netip.ParseAddr(ip)
		hardware, err2 := hex.DecodeString(strings.ReplaceAll(mac, ":", ""))
		n := Neighbor{Addr: addr}
		if len(hardware) == len(n.Hardware) {
			n.Hardware = [6]byte(hardware)
		}
		if err != nil || err2 != nil || n.String() != text || !n.single() {
			return nil, fmt.Errorf("%w: neighbour %q", errForeign, text)
		}
		list = append(list, n)
	}
	return list, nil
}

// single tells whether both addresses can be those of one host, found without naming a link.
func (n Neighbor) single() bool {
	return n.Addr.IsGlobalUnicast() && !n.Addr.Is4In6() && n.Addr.Zone() == "" && n.Hardware != [6]byte{} && n.Hardware[0]&1 == 0
}

// neighborhood is what this node knows of its neighbours beyond the records in etcd, and what it is about to tell.
type neighborhood struct {
	lans    []Lan
	heard   map[Neighbor]time.Duration // when last, on the boot-time clock
	past    map[Neighbor]time.Duration // told of by members that have gone, and when they went
	readAt  time.Duration              // when the tables are due to be read
	reading bool

	untold, telling bool // the audience may have changed; is being told to the announcer

	news    []Neighbor    // the record to write; nil: none
	writeAt time.Duration // not before
	dropAt  time.Duration // not before this is it written only to drop what has expired
	writing bool
}

// told is the record of one node, as etcd has it.
type told struct {
	list []Neighbor
	mod  int64
}

// neighbors reads the tables, tells the announcer, and writes the record when there is news.
func (d *decision) neighbors() {
	v, n := d.v, &d.v.neighbors
	if v.cfg.ARPCache <= 0 || v.self.leaving {
		return
	}
	if !n.reading && v.observed && d.at(n.readAt) {
		d.do(ReadNeighbors{})
	}
	if n.untold && !n.telling {
		d.do(Tell{v.audiences()})
	}
	if n.news != nil && !n.writing && v.self.phase == registered && !v.self.adopted && v.etcd.synced && d.at(n.writeAt) {
		r := Neighbors{V: Format}
		for _, h := range n.news {
			r.Neighbors = append(r.Neighbors, h.String())
		}
		d.do(WriteNeighbors{v.self.reg, r})
	}
}

// forget is how long a host is a neighbour that nobody has heard of.
func (v *View) forget() time.Duration { return max(forgetLeast, forgetPeriods*v.cfg.ARPCache) }

func (v *View) foldNeighborsRead(f NeighborsRead, now time.Duration) {
	n := &v.neighbors
	first := n.lans == nil
	n.reading, n.readAt = false, now+v.cfg.ARPCache
	if f.Err != nil {
		return
	}
	if first { // from here on every node reads at a time of its own
		n.readAt = now + share(v.cfg.Node, v.cfg.ARPCache)
	}
	n.lans = append([]Lan{}, f.Lans...)
	for _, known := range []map[Neighbor]time.Duration{n.heard, n.past} {
		maps.DeleteFunc(known, func(_ Neighbor, at time.Duration) bool { return now-at >= v.forget() })
	}
	mine := v.ownAddresses()
	for _, lan := range f.Lans {
		near := v.near(lan)
		for _, s := range lan.Seen {
			if at, known := n.heard[s.Neighbor]; (known || len(n.heard) < heardMost) && s.Quiet < v.forget() && near(s.Addr) && mine.other(s.Neighbor) {
				n.heard[s.Neighbor] = max(at, now-s.Quiet)
			}
		}
	}
	n.untold = true
	v.review(now)
}

// share spreads what all nodes do at the same time over a period.
func share(node string, period time.Duration) time.Duration {
	return time.Duration(float64(jitter(node, -1)) / float64(jitterMost) * float64(period))
}

// review finds out whether this node has to say something about its neighbours.
func (v *View) review(now time.Duration) {
	n := &v.neighbors
	n.news = nil
	if n.lans == nil {
		return
	}
	have := v.etcd.neighbors[v.cfg.Node].list
	said := map[Neighbor]bool{} // by anybody
	for _, r := range v.etcd.neighbors {
		for _, h := range r.list {
			said[h] = true
		}
	}
	var keep, fresh []Neighbor
	for _, h := range have {
		at, known := n.heard[h]
		if !known {
			at = v.self.started // an earlier process had heard of it
		}
		if now-at < v.forget() {
			keep = append(keep, h)
		}
	}
	for h := range n.heard {
		if !said[h] {
			fresh = append(fresh, h)
		}
	}
	slices.SortFunc(fresh, Neighbor.compare)
	fresh = fresh[:min(len(fresh), neighborsMost-len(keep))]
	if len(fresh) == 0 && (len(keep) == len(have) || now < n.dropAt) {
		return
	}
	n.news = append(keep, fresh...)
	slices.SortFunc(n.news, Neighbor.compare)
	if n.news == nil {
		n.news = []Neighbor{}
	}
}

func (v *View) foldNeighborsWritten(f NeighborsWritten, now time.Duration) {
	n := &v.neighbors
	n.writing = false
	if f.Err != nil || f.MemberRev != v.self.reg.MemberRev {
		n.writeAt = now + recordRetry
		return
	}
	n.dropAt = now + v.forget()
	if list, err := decodeNeighbors(Encode(f.Neighbors)); err == nil && v.etcd.neighbors[v.cfg.Node].mod < f.Revision {
		v.etcd.neighbors[v.cfg.Node] = told{list, f.Revision}
	}
	v.review(now)
}

// departed keeps in mind what the record of a member said that is there no more: whoever takes over from a dead node has to tell the hosts that only that
// node has seen, and its record goes before its VIPs may be taken.
func (v *View) departed(r told, now time.Duration) {
	for _, h := range r.list {
		if _, known := v.neighbors.past[h]; known || len(v.neighbors.past) < heardMost {
			v.neighbors.past[h] = now
		}
	}
}

// neighborsChanged is told that a record in etcd may have changed. What a member that has gone had told of, one of the others has to say again; the first
// of them does, and the others see it.
func (v *View) neighborsChanged(now time.Duration) {
	n := &v.neighbors
	n.untold = n.lans != nil
	had := n.news != nil
	if v.review(now); n.news != nil && !had {
		n.writeAt = max(n.writeAt, now+share(v.cfg.Node, v.cfg.ARPCache))
	}
}

// audiences says who is told directly on each link that has a place for a VIP: the configured hosts, and every neighbour that this node or another
// member, also one that has gone, has heard of there.
func (v *View) audiences() []Audience {
	var out []Audience
	mine := v.ownAddresses()
	for _, lan := range v.neighbors.lans {
		near := v.near(lan)
		a := Audience{Link: lan.Link, Subnets: lan.subnets(), Notices: v.notices(lan)}
		known := map[Neighbor]bool{}
		add := func(list []Neighbor) {
			for _, h := range list {
				if len(a.Neighbors) < audienceMost && !known[h] && near(h.Addr) && mine.other(h) {
					known[h] = true
					a.Neighbors = append(a.Neighbors, h)
				}
			}
		}
		add(slices.SortedFunc(maps.Keys(v.neighbors.heard), Neighbor.compare))
		for _, node := range sortedKeys(v.etcd.neighbors) {
			add(v.etcd.neighbors[node].list)
		}
		add(slices.SortedFunc(maps.Keys(v.neighbors.past), Neighbor.compare))
		out = append(out, a)
	}
	return out
}

// near returns which addresses are those of neighbours on the link: they share a subnet with it and with a VIP that goes there.
func (v *View) near(lan Lan) func(netip.Addr) bool {
	subnets := lan.subnets()
	var with []netip.Prefix
	for _, l := range v.local {
		for _, a := range l.place.Addresses {
			if a.Link != lan.Link {
				continue
			}
			holding := slices.DeleteFunc(slices.Clone(subnets), func(p netip.Prefix) bool { return !p.Contains(a.Prefix.Addr()) })
			if len(holding) == 0 { // the VIP is in no subnet of the link: those who are may have a route to it
				holding = subnets
			}
			with = append(with, holding...)
		}
	}
	return func(addr netip.Addr) bool {
		return slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(addr) && slices.Contains(with, p) })
	}
}

// subnets are those of the link's own addresses.
func (l Lan) subnets() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range l.Prefixes {
		if p := p.Masked(); !p.IsSingleIP() && !p.Addr().IsLinkLocalUnicast() && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// notices are the configured hosts on a link.
func (v *View) notices(lan Lan) []Notice {
	var out []Notice
	for _, n := range v.cfg.Notices {
		if n.Link != "" {
			if n.Link == lan.Link || slices.Contains(lan.Altnames, n.Link) {
				out = append(out, n)
			}
			continue
		}
		for _, p := range lan.subnets() {
			if c, ok := n.within(p); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// within is the part of the range that a subnet, masked, holds.
func (n Notice) within(p netip.Prefix) (Notice, bool) {
	first, last := p.Addr(), n.Last
	if n.First.BitLen() != first.BitLen() {
		return n, false
	}
	if n.First.Compare(first) > 0 {
		first = n.First
	}
	if end := lastOf(p); end.Less(last) {
		last = end
	}
	n.First, n.Last = first, last
	return n, first.Compare(last) <= 0
}

// lastOf is the last address of a subnet.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// owned is what is no neighbour: this host's own addresses, and every VIP, for it is where its claim says.
type owned struct {
	addresses map[netip.Addr]bool
	hardware  map[[6]byte]bool
}

func (v *View) ownAddresses() owned {
	o := owned{map[netip.Addr]bool{}, map[[6]byte]bool{}}
	for _, lan := range v.neighbors.lans {
		o.hardware[lan.Hardware] = true
		for _, p := range lan.Prefixes {
			o.addresses[p.Addr()] = true
		}
	}
	for _, vip := range v.vips {
		for _, p := range vip.Prefixes {
			o.addresses[p.Addr()] = true
		}
	}
	return o
}

func (o owned) other(n Neighbor) bool {
	return n.single() && !o.addresses[n.Addr] && !o.hardware[n.Hardware]
}
