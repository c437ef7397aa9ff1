package sentinel

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	never = time.Duration(1<<63 - 1)

	settled      = 300 * time.Millisecond // how long a claim must have been seen: its address may not be up before [F9]
	viewMost     = time.Second            // since etcd last confirmed the view [F9]
	slowPace     = time.Second            // between two questions to a host that is no ward, while nobody is suspect
	basisMost    = 5 * time.Second        // a witness counts as one for so long after its last answer
	stable       = time.Second            // how long contact must last to be back
	backoffFirst = time.Second            // after a refutation; doubles [F8]
	backoffMost  = time.Minute
	evictEvery   = 5 * time.Second         // evictions of one guard, except of those that died together [F11]
	patience     = 1500 * time.Millisecond // how long a challenge may stand without what its eviction needs, after the grace
	hearings     = 8                       // how often somebody who is missed is listened for between two questions
	repeat       = 100 * time.Millisecond  // before an order is given again that nothing came of
	streakMost   = 8                       // answers of a witness that are counted
	unaskedMost  = 10 * time.Second        // after that, those who do not ask have other reasons
	members      = 4                       // how many members that are no wards are asked on a link
)

// Machine is the state machine of one node. Make it with [New]. It is not for concurrent use.
type Machine struct {
	cfg   Config
	view  Viewed
	links map[string]*link
	order []*link // the same, by name

	wake     time.Duration // when Decide asked to be called; 0: not yet
	late     time.Duration // the last time that it was called too late
	arranged bool
	settles  time.Duration // when a claim becomes settled
	guards   []string      // who guard this node, by the ring
	guarded  time.Duration // since when there are any

	backoff map[string]backoff
	mine    map[Ref]int64         // this node's challenges that were seen to stand, by revision
	over    map[Ref]bool          // those that this node ended itself
	fallen  map[Ref]time.Duration // evictions, since when seen
	evicted time.Duration         // when this node last evicted; -1: never
	orders  map[string]time.Duration
	accused time.Duration // since when the present accusation is known
}

type backoff struct {
	until time.Duration
	next  time.Duration // how long the next one is
}

// link is one interface of this node.
type link struct {
	name     string
	targets  map[key]*target
	order    []*target     // the same, sorted
	contact  time.Duration // when somebody was last heard; 0: never
	held     bool          // see Own.Held
	lost     bool
	back     time.Duration // since when somebody is heard again
	asked    time.Duration // when a guard asked and had its answer, as the next question shows; 0: none has
	question time.Duration // the last question
	stranger time.Duration // when somebody asked last although this node knows of no other; 0: never, or it does by now
	unasked  bool
	told     Contact
}

// key is who a target is: a member's registration, or a host by its address.
type key struct {
	ref  Ref
	addr netip.Addr // of a host that is no member
}

// target is a host that is asked.
type target struct {
	key
	Host
	vip   string
	mod   int64
	terms Terms
	ward  bool // this node guards it

	mac      MAC
	due      time.Duration // when it is to be asked next
	asked    time.Duration // when it was asked last
	open     bool          // and has not answered
	misses   int           // questions lost in a row
	silent   time.Duration // when the first of these was asked
	answered time.Duration // last; 0: never
	streak   [streakMost]time.Duration
	answers  int
}

// New returns a Machine that knows nothing yet.
func New(cfg Config) *Machine {
	return &Machine{
		cfg: cfg, links: map[string]*link{}, backoff: map[string]backoff{}, mine: map[Ref]int64{}, over: map[Ref]bool{},
		fallen: map[Ref]time.Duration{}, evicted: -1, orders: map[string]time.Duration{},
	}
}

// Apply folds a fact of the instant now. Facts come in the order of their instants; call Decide after those that are known.
func (m *Machine) Apply(f Fact, now time.Duration) {
	switch f := f.(type) {
	case Viewed:
		m.look(f, now)
	case Answered:
		m.answered(f, now)
	case Questioned:
		if l := m.links[f.Link]; l != nil && (f.Sure || l.knows(f.MAC)) {
			l.heard(now)
			m.questioned(l, f, now)
		}
	default:
		panic(fmt.Sprintf("sentinel: unknown fact %T", f))
	}
}

// look takes a view in.
func (m *Machine) look(v Viewed, now time.Duration) {
	if v.Accused.Mod != m.view.Accused.Mod {
		m.accused = now
		if l := m.links[v.Accused.Link]; l != nil && v.Accused.Mod != 0 {
			for _, t := range l.targets { // all are asked at once: any answer refutes
				t.due = now
			}
		}
	}
	for _, r := range v.Evicted {
		if _, known := m.fallen[r]; !known {
			m.fallen[r] = now
		}
	}
	maps.DeleteFunc(m.fallen, func(r Ref, at time.Duration) bool {
		return now-at > evictEvery && !slices.Contains(v.Evicted, r)
	})
	m.view, m.arranged = v, false
	for _, l := range m.links {
		if v.others() {
			l.stranger = 0
		}
	}
	m.judgePast(now)
}

// judgePast finds out what has become of this node's challenges.
func (m *Machine) judgePast(now time.Duration) {
	standing := map[Ref]int64{}
	for _, s := range m.view.Challenges {
		if s.By.Node == m.view.Me.Node {
			standing[s.Ward] = s.Mod
		}
	}
	for ref := range m.mine {
		if _, stands := standing[ref]; stands {
			continue
		}
		if _, fell := m.fallen[ref]; !fell && !m.over[ref] {
			m.back(ref.Node, now, true)
			m.forget(ref) // what it was known by may be what is wrong
		}
		delete(m.over, ref)
	}
	m.mine = standing
}

// back leaves a ward alone for a while; longer each time if it refuted.
func (m *Machine) back(node string, now time.Duration, refuted bool) {
	b := m.backoff[node]
	if now-b.until > 10*backoffMost {
		b.next = 0
	}
	wait := max(b.next, backoffFirst)
	if refuted {
		b.next = min(2*wait, backoffMost)
	} else {
		wait = backoffFirst
	}
	b.until = now + wait
	m.backoff[node] = b
}

// forget makes this node learn anew where the member's VIPs are.
func (m *Machine) forget(ref Ref) {
	for _, l := range m.links {
		if t := l.targets[key{ref: ref}]; t != nil {
			t.mac, t.misses, t.open = MAC{}, 0, false
		}
	}
}

// answered takes an answer in.
func (m *Machine) answered(f Answered, now time.Duration) {
	l := m.links[f.Link]
	if l == nil {
		return
	}
	for _, t := range l.targets {
		if t.Addr != f.Addr {
			continue
		}
		switch member := t.ref.Node != ""; {
		case t.mac == f.MAC || t.mac == MAC{} && (t.asked > 0 || f.Unasked):
		case !member: // a router may hand its address to another
		case f.Unasked && t.misses <= 1: // its interface changed
		default:
			continue // a proxy [F10]
		}
		t.mac, t.open, t.misses, t.answered = f.MAC, false, 0, now
		t.streak[t.answers%streakMost] = now
		t.answers++
		l.heard(now)
	}
}

// since counts the answers after an instant, streakMost at the most.
func (t *target) since(at time.Duration) int {
	n := 0
	for _, s := range t.streak {
		if s > at {
			n++
		}
	}
	return n
}

func (l *link) knows(mac MAC) bool {
	for _, t := range l.targets {
		if t.mac == mac {
			return true
		}
	}
	return false
}

func (l *link) heard(now time.Duration) {
	if l.lost && l.back == 0 {
		l.back = now
	}
	l.contact = now
}

// Decide returns what to do now, in a fixed order, and when to call it again if no fact comes before.
func (m *Machine) Decide(now time.Duration) ([]Action, time.Duration) {
	d := &decision{m: m, now: now, wake: never}
	if m.wake > 0 && now-m.wake > m.cfg.Interval {
		m.late = now
		m.void()
	}
	if !m.arranged || now >= m.settles {
		m.arrange(now)
	}
	if m.settles < never {
		d.at(m.settles)
	}
	for _, l := range m.byName() {
		d.contact(l)
		d.unasked(l)
		d.ask(l)
	}
	d.refute()
	d.accuse()
	d.report()
	m.wake = d.wake
	return d.actions, d.wake
}

// void forgets the questions under way: this process did not run, and answers may wait to be read.
func (m *Machine) void() {
	for _, l := range m.links {
		for _, t := range l.targets {
			t.open = false
		}
	}
}

type decision struct {
	m       *Machine
	now     time.Duration
	actions []Action
	wake    time.Duration
}

func (d *decision) do(a Action) { d.actions = append(d.actions, a) }

// at asks for a wake-up at t, if it is still to come, and tells whether t has come.
func (d *decision) at(t time.Duration) bool {
	if d.now >= t {
		return true
	}
	d.wake = min(d.wake, t)
	return false
}

// order gives an order, and again only if nothing has come of it.
func (d *decision) order(a Action) {
	name := a.String()
	if at, given := d.m.orders[name]; given && !d.at(at+repeat) {
		return
	}
	maps.DeleteFunc(d.m.orders, func(_ string, at time.Duration) bool { return d.now-at > time.Minute })
	d.m.orders[name] = d.now
	d.do(a)
}

// ask sends what is due on a link.
func (d *decision) ask(l *link) {
	fast := l.suspicious() || l.lost || d.m.view.Accused.Mod != 0 && d.m.view.Accused.Link == l.name || l.contact > 0 && !l.lost && d.at(l.contact+2*d.m.cfg.Interval)
	for _, t := range l.sorted() {
		pace := slowPace
		if t.ward || fast && t.mac != (MAC{}) {
			pace = d.m.cfg.Interval
			t.due = min(t.due, t.asked+pace)
		}
		if !d.at(t.due) {
			continue
		}
		if t.open {
			if t.misses++; t.misses == 1 {
				t.silent = t.asked
			}
		}
		p := Probe{Host: t.Host, MAC: t.mac}
		if !t.ward && t.misses >= d.m.cfg.Misses && t.misses%4 == 0 {
			p.MAC = MAC{} // it may have another by now
		}
		if t.misses > 0 && !fast { // from here on witnesses are asked as often
			fast = true
			d.wake = min(d.wake, d.now+1)
		}
		t.asked, t.open = d.now, true
		if t.due = beat(t.due+pace/2, pace); t.due <= d.now {
			t.due = beat(d.now+pace/2, pace)
		}
		d.at(t.due)
		d.do(p)
	}
	if fast {
		d.wake = min(d.wake, d.now+d.m.cfg.Interval/hearings)
	}
}

// beat is the first instant at t or after it that all targets share, so that they are asked in one go: a process is woken for each, and that is most of
// what asking costs.
func beat(t, pace time.Duration) time.Duration { return (t + pace - 1) / pace * pace }

// suspicious tells whether a ward has left a question unanswered.
func (l *link) suspicious() bool {
	for _, t := range l.targets {
		if t.ward && t.misses > 0 {
			return true
		}
	}
	return false
}

func (l *link) sorted() []*target { return l.order }

// sort brings the order up to date with the targets.
func (l *link) sort() {
	l.order = slices.SortedFunc(maps.Values(l.targets), func(a, b *target) int {
		if c := strings.Compare(a.ref.Node, b.ref.Node); c != 0 {
			return c
		}
		if a.ref.Rev != b.ref.Rev {
			return int(a.ref.Rev - b.ref.Rev)
		}
		return a.addr.Compare(b.addr)
	})
}
