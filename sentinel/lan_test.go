package sentinel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// lan is the world around one Machine: hosts that answer after a millisecond, and an etcd that commits after two.
type lan struct {
	t       *testing.T
	m       *Machine
	view    Viewed
	now     time.Duration
	dead    map[netip.Addr]bool
	macs    map[netip.Addr]MAC
	drop    func(p Probe) bool // nil: none
	asked   []Probe
	orders  []string
	checked time.Duration // the last time
	events  []event

	noCommit bool // etcd does not answer
	refutes  bool // wards do, after 5 ms
	agree    bool // the other guard does, after 20 ms
}

type event struct {
	at time.Duration
	do func()
}

func (l *lan) later(d time.Duration, do func()) { l.events = append(l.events, event{l.now + d, do}) }

func vip(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

var gateway = Host{"net1", netip.MustParseAddr("192.0.2.254")}

// start is a LAN of members a, b, c..., each with one VIP, .1, .2, and so on; the Machine is that of the first. With or without a gateway.
func start(t *testing.T, cfg Config, members int, witness bool) *lan {
	l := &lan{t: t, m: New(cfg), now: time.Hour, dead: map[netip.Addr]bool{}, macs: map[netip.Addr]MAC{}, agree: true}
	for i := range members {
		ref := Ref{string(rune('a' + i)), int64(10 + i)}
		l.view.Members = append(l.view.Members, Member{Ref: ref, Ready: true, Fast: true})
		l.view.Claims = append(l.view.Claims, Claim{
			VIP: fmt.Sprintf("v%d", i+1), Owner: ref, Mod: int64(100 + i), Seen: l.now, Terms: cfg.Terms(), Host: Host{"net1", vip(i + 1)},
		})
		l.macs[vip(i+1)] = MAC{byte(i + 1)}
	}
	l.macs[gateway.Addr] = MAC{254}
	l.view.Me, l.view.Ready = l.view.Members[0].Ref, true
	l.view.Own = []Own{{Link: "net1", Fast: true}}
	if witness {
		l.view.Witnesses = []Host{gateway}
	}
	l.observe()
	return l
}

func (l *lan) observe() {
	l.view.Confirmed, l.checked = l.now, l.now
	v := l.view
	v.Challenges, v.Members = slices.Clone(v.Challenges), slices.Clone(v.Members)
	v.Claims, v.Evicted = slices.Clone(v.Claims), slices.Clone(v.Evicted)
	l.m.Apply(v, l.now)
}

// run lets time pass.
func (l *lan) run(d time.Duration) {
	end := l.now + d
	for {
		actions, wake := l.m.Decide(l.now)
		for _, a := range actions {
			l.act(a)
		}
		next := min(wake, end, l.checked+300*ms)
		for _, e := range l.events {
			next = min(next, e.at)
		}
		l.now = max(next, l.now)
		for i := 0; i < len(l.events); i++ {
			if e := l.events[i]; e.at <= l.now {
				l.events = slices.Delete(l.events, i, i+1)
				i--
				e.do()
			}
		}
		if l.now >= l.checked+300*ms && !l.noCommit {
			l.observe()
		}
		if l.now >= l.checked+300*ms {
			l.checked = l.now
		}
		if l.now >= end {
			return
		}
	}
}

func (l *lan) act(a Action) {
	switch a := a.(type) {
	case Probe:
		l.asked = append(l.asked, a)
		if l.dead[a.Addr] || l.drop != nil && l.drop(a) || a.MAC != (MAC{}) && a.MAC != l.macs[a.Addr] {
			return
		}
		mac := l.macs[a.Addr]
		l.later(ms, func() { l.m.Apply(Answered{Host: a.Host, MAC: mac}, l.now) })
	default:
		l.orders = append(l.orders, fmt.Sprintf("%.3f %s", (l.now-time.Hour).Seconds(), a))
		if !l.noCommit {
			l.later(2*ms, func() { l.commit(a) })
		}
	}
}

// commit is what plan and etcd make of an order.
func (l *lan) commit(a Action) {
	v := &l.view
	at := func(ref Ref) int {
		return slices.IndexFunc(v.Challenges, func(s Standing) bool { return s.Ward == ref })
	}
	switch a := a.(type) {
	case Challenge:
		if at(a.Ward) >= 0 {
			return
		}
		v.Challenges = append(v.Challenges, Standing{Ward: a.Ward, Mod: 500 + int64(len(l.orders)), By: v.Me, Seen: l.now})
		l.later(2*ms, func() {
			if i := at(a.Ward); i >= 0 {
				v.Challenges[i].Read = true
				l.observe()
			}
		})
		if l.refutes {
			l.later(5*ms, func() { l.end(a.Ward) })
		}
		if l.agree {
			l.later(20*ms, func() {
				if i := at(a.Ward); i >= 0 {
					v.Challenges[i].Consents = []string{"z"}
					l.observe()
				}
			})
		}
	case Cancel:
		l.end(a.Ward)
	case Consent:
		if i := at(a.Ward); i >= 0 {
			v.Challenges[i].Consents = append(v.Challenges[i].Consents, v.Me.Node)
		}
	case Evict:
		v.Challenges = slices.DeleteFunc(v.Challenges, func(s Standing) bool { return s.Ward == a.Ward })
		v.Members = slices.DeleteFunc(v.Members, func(x Member) bool { return x.Ref == a.Ward })
		v.Evicted = append(v.Evicted, a.Ward)
	case Refute:
		v.Accused = Accused{}
	}
	l.observe()
}

func (l *lan) end(ref Ref) {
	l.view.Challenges = slices.DeleteFunc(l.view.Challenges, func(s Standing) bool { return s.Ward == ref })
	l.observe()
}

// count is how many orders of a kind there were.
func (l *lan) count(kind string) int {
	n := 0
	for _, o := range l.orders {
		if _, text, _ := strings.Cut(o, " "); strings.HasPrefix(text, kind) {
			n++
		}
	}
	return n
}

// settle lets the machine learn its neighbours.
func (l *lan) settle() *lan {
	l.run(3 * time.Second)
	l.want("challenge", 0)
	return l
}

func (l *lan) want(kind string, n int) {
	l.t.Helper()
	if got := l.count(kind); got != n {
		l.t.Fatalf("%d orders to %s, want %d:\n%s", got, kind, n, strings.Join(l.orders, "\n"))
	}
}

// kill makes a member dead.
func (l *lan) kill(n int) { l.dead[vip(n)] = true }
