package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/judge"
	"viplease/e2e/lab"
)

// What happens to a node.
const (
	hostDeath    = "host death"    // frozen and cut, with its neighbours' carrier kept
	gracefulStop = "graceful stop" // SIGTERM
)

// A gap is what the client lost of one VIP by one accident.
type gap struct {
	program *program
	event   string
	nodes   int
	victim  string
	vip     netip.Addr
	lost    time.Duration // from the first lost probe to the first answer, and all outages that followed until a second after
	stalled time.Duration // how much of it the client itself was not given the CPU: nobody knows whether there was an answer then
}

func (g gap) String() string {
	return fmt.Sprintf("%s of %s: %s %.1f ms", g.event, g.victim, g.vip, milliseconds(g.lost))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A stage is a cluster of one program, to which things happen.
type stage struct {
	*cluster.Cluster
	t       lab.T
	program *program
	gaps    []gap
}

// measure lets a host die on a cluster of its own; if asked to, it stops a daemon before and starts it again. It returns what the client lost, and each
// overlap: a VIP that two hosts had up at once while they were connected. What was measured before an error counts.
func (p *program) measure(nodes int, stop bool) (gaps []gap, overlaps []judge.Overlap, err error) {
	s := &stage{program: p}
	err, verdict := try(func(t lab.T) {
		s.t = t
		s.Cluster = cluster.Start(t, cluster.Options{Nodes: nodes, Mode: p.mode, Takeover: p.takeover, Gateway: true, Idle: p.vrrp != nil})
		if p.vrrp != nil {
			for _, n := range s.Nodes {
				s.start(n)
			}
		}
		s.rest()
		mark := s.Probe.Mark()
		t.Cleanup(func() { // before the cluster's own
			overlaps = slices.DeleteFunc(s.Judge.Overlaps(), func(o judge.Overlap) bool { return o.Kind == judge.Apart || o.At < mark })
		})
		if stop {
			n := s.victim()
			s.happens(gracefulStop, n, func() { s.must(n.Stop()) })
			s.start(n)
			s.rest()
		}
		n := s.victim()
		s.happens(hostDeath, n, func() { s.Die(n) })
	})
	if p.vrrp == nil {
		err = errors.Join(err, verdict) // of the other program it only counts overlaps; its first election makes some
	}
	return s.gaps, overlaps, err
}

// start starts the node's daemon, or starts it again.
func (s *stage) start(n *lab.Node) {
	if s.program.vrrp == nil {
		n.Restart()
		return
	}
	s.must(s.program.vrrp.start(n, slices.Index(s.Nodes, n), s.VIPs))
}

// calm is how long a keepalived must have moved nothing to be at rest: its backups have heard the master then.
const calm = 2 * time.Second

// rest returns when nothing moves any more, at an instant that no timer of the program knows.
func (s *stage) rest() {
	if s.program.vrrp == nil {
		s.Guarded()
	} else {
		s.still()
	}
	time.Sleep(rand.N(time.Second)) // the phase that an accident finds is measured, nothing is waited for
}

// still waits until every VIP is held, answers, and has not moved for a while.
func (s *stage) still() {
	deadline := time.Now().Add(30 * time.Second)
	for {
		s.Within(time.Until(deadline), "every VIP on one host", s.AllHeld)
		s.Answering(time.Until(deadline))
		history := s.Judge.History()
		quiet := s.Probe.Mark() - history[len(history)-1].At
		if quiet >= calm {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("VIPs are still being moved:\n%s", s.Layout())
		}
		<-time.After(calm - quiet)
	}
}

// victim is one of the nodes that hold VIPs, by chance.
func (s *stage) victim() *lab.Node {
	holders := slices.DeleteFunc(s.Alive(), func(n *lab.Node) bool { return len(holding(s.Cluster, n)) == 0 })
	if len(holders) == 0 {
		s.t.Fatalf("nobody holds a VIP")
	}
	return holders[rand.IntN(len(holders))]
}

// aftermath is how long the client goes on looking once all is well again.
const aftermath = time.Second

// happens lets an accident befall a node and notes what the client lost of each VIP that it held.
func (s *stage) happens(event string, n *lab.Node, accident func()) {
	held, mark := holding(s.Cluster, n), s.Probe.Mark()
	accident()
	s.Answering(30 * time.Second)
	<-time.After(aftermath)
	lost := map[netip.Addr]gap{}
	for _, o := range s.Outages(mark) {
		g := lost[o.VIP]
		lost[o.VIP] = gap{lost: g.lost + o.Duration + o.Stalled, stalled: g.stalled + o.Stalled}
	}
	for _, v := range held {
		s.gaps = append(s.gaps, gap{s.program, event, len(s.Nodes), n.Name, v, lost[v].lost, lost[v].stalled})
	}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v", err)
	}
}
