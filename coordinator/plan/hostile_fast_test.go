package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/sentinel"
)

// guard is the sentinel beside a node at a hostile etcd, on a LAN where a gateway answers, and for the VIPs of others somebody or nobody.
type guard struct {
	*sentinel.Machine
	answers bool
}

var hostileGateway = sentinel.Host{Link: "net1", Addr: netip.MustParseAddr("192.0.2.254")}

func newHostileFast(t *testing.T, answers bool) *hostile {
	return hostileTo(t, fastConfig("a", "dns", "web"), &guard{sentinel.New(usualFast), answers})
}

// step is how much time passes between two looks.
func (g *guard) step() time.Duration {
	if g == nil {
		return 100 * time.Millisecond
	}
	return 25 * time.Millisecond
}

// look lets the sentinel look and do what it wants. Whatever etcd says, it asks for nothing but VIPs of this configuration and the gateway.
func (g *guard) look(w *hostile) {
	if g == nil {
		return
	}
	v := w.v.Watched()
	v.Witnesses = []sentinel.Host{hostileGateway}
	g.Apply(v, w.boot)
	actions, wake := g.Decide(w.boot)
	if wake < w.boot {
		w.t.Fatalf("the sentinel's wake-up at %v is in the past of %v", wake, w.boot)
	}
	for _, a := range actions {
		p, isProbe := a.(sentinel.Probe)
		switch {
		case !isProbe:
			w.v.Apply(SentinelDecided{a}, w.now())
		case p.Host == hostileGateway:
			g.Apply(sentinel.Answered{Host: p.Host, MAC: sentinel.MAC{254}}, w.boot)
		case p.Link != "net1" || !slices.ContainsFunc(w.allowed, func(a Address) bool { return a.Prefix.Addr() == p.Addr }):
			w.t.Fatalf("it asks the LAN for %v", p)
		case g.answers:
			g.Apply(sentinel.Answered{Host: p.Host, MAC: sentinel.MAC{9}}, w.boot)
		}
	}
	w.act()
}

// contest is what etcd makes of a contest. A node writes of others that they are challenged and evicted, and of itself only that it is not.
func (w *hostile) contest(a Contest) []Fact {
	for _, key := range slices.Concat(putKeys(a.Puts), a.Deletes) {
		kind, node, _ := strings.Cut(key, "/")
		switch {
		case kind == "challenges" && (node != "a" || a.Kind == ToRefute):
		case a.Kind == ToRefute && strings.HasPrefix(node, "a/"): // consents to it
		case a.Kind == ToEvict && node != "a" && (kind == "evictions" || kind == "members" || kind == "states"):
		default:
			w.t.Fatalf("to %s, it writes %q", a.Kind, key)
		}
	}
	f := ContestAnswered{Contest: a, Applied: w.keys["members/a"].Create == a.MemberRev}
	for _, g := range a.Guards {
		e := w.keys[g.Key]
		rev := e.Mod
		if g.Created {
			rev = e.Create
		}
		f.Applied = f.Applied && (rev == g.Rev) != g.Not
	}
	if !f.Applied {
		return []Fact{f}
	}
	w.rev++
	b := BatchSeen{Revision: w.rev}
	for _, p := range a.Puts {
		b.Changed = append(b.Changed, w.entry(p.Key, p.Value))
	}
	for _, key := range a.Deletes {
		if _, ok := w.keys[key]; ok {
			delete(w.keys, key)
			b.Deleted = append(b.Deleted, Deleted{key, w.rev})
		}
	}
	return []Fact{f, b}
}

// revoke ends this node's registration: its keys go with the lease, if they hang on that one.
func (w *hostile) revoke(a Revoke) []Fact {
	if a.Lease != w.lease {
		return nil
	}
	w.rev++
	b := BatchSeen{Revision: w.rev}
	for _, key := range []string{"members/a", "states/a"} {
		if _, ok := w.keys[key]; ok {
			delete(w.keys, key)
			b.Deleted = append(b.Deleted, Deleted{key, w.rev})
		}
	}
	return []Fact{b}
}

func putKeys(puts []Put) (keys []string) {
	for _, p := range puts {
		keys = append(keys, p.Key)
	}
	return keys
}

func (w *hostile) found(key string) *Entry {
	if e, ok := w.keys[key]; ok {
		return &e
	}
	return nil
}

// FuzzFastView is FuzzView with fast takeover: what is written may be challenges, consents, evictions, terms and members with any values.
func FuzzFastView(f *testing.F) {
	for kind := range hostileKinds {
		f.Add([]byte{3, 200, 0, byte(kind), 4, byte(kind), 0, 0, 0, 3, 100, 0, byte(kind), 1, byte(kind), 1, 8, 2, 3, 3, 40, 5, byte(kind), 1, 3, 255}, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, answers bool) {
		if len(data) <= 400 {
			newHostileFast(t, answers).play(data)
		}
	})
}

func (w *hostile) play(data []byte) {
	for p := program(data); len(p) > 0; {
		w.step(&p)
		w.look()
	}
}

// TestHostileFastView is TestHostileView with fast takeover.
func TestHostileFastView(t *testing.T) {
	for seed := range *programs / 3 {
		random := rand.New(rand.NewPCG(uint64(seed), 2))
		data := make([]byte, 40+random.IntN(120))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { newHostileFast(t, seed%2 == 0).play(data) }) {
			return
		}
	}
}

// TestNonsenseEvictsNobody: what names another registration, another node or nothing at all takes no VIP of this node down, nor does a challenge that is about
// no VIP of it. What names its registration does: it cannot know who wrote that. Then it registers anew, and has its VIPs again.
func TestNonsenseEvictsNobody(t *testing.T) {
	for key, values := range map[string][]string{
		"evictions/a": {
			`{`, `{"v":1}`, `{"v":9,"member_rev":CREATE}`, `{"v":1,"member_rev":-1,"kept":{"grace_ms":9223372036854775807,"silence_ms":9223372036854775807},"count":-5}`,
			`{"v":1,"member_rev":9223372036854775807,"kept":{"grace_ms":1000,"silence_ms":1000},"at":"9999-12-31T23:59:59Z","count":9223372036854775807}`,
		},
		"evictions/b": {`{"v":1,"member_rev":CREATE,"kept":{"grace_ms":1000,"silence_ms":1000}}`},
		"challenges/a": {
			`{`, `{"v":1}`, `{"v":1,"member_rev":1,"vip":"web","by":"b"}`, `{"v":1,"member_rev":CREATE,"vip":"evil","by":"b"}`, `{"v":1,"member_rev":CREATE,"by":"a"}`,
			`{"v":1,"member_rev":CREATE,"vip":"web","claim_mod":-1,"by":"","by_rev":-1}`,
		},
		"challenges/a/b": {`{"v":1,"member_rev":CREATE,"vip":"web"}`},
		"challenges/":    {`{"v":1,"member_rev":CREATE,"vip":"web"}`},
		"members/b":      {`{"v":1,"reg":"B"}`},
	} {
		for _, value := range values {
			w := newHostileFast(t, true)
			w.put(key, value)
			for range 200 { // longer than hold
				w.pass(25 * time.Millisecond)
				if len(w.up) != 2 {
					t.Fatalf("%s = %s takes down all but %v", key, value, w.up)
				}
			}
		}
	}
	w := newHostileFast(t, true)
	old := w.v.self.reg.ID
	w.put("evictions/a", `{"v":1,"member_rev":CREATE,"kept":{"grace_ms":1000,"silence_ms":1000},"at":"2020-01-01T00:00:00Z"}`)
	w.act()
	if len(w.up) != 0 {
		t.Fatalf("it was evicted, and has %v up", w.up)
	}
	w.pass(12 * time.Second)
	if len(w.up) != 2 || w.v.self.reg.ID == old {
		t.Fatalf("registered as %s after %s, it has %v up", w.v.self.reg.ID, old, w.up)
	}
}
