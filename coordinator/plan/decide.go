package plan

import (
	"slices"
	"strconv"
	"time"
)

// Decide returns what to do now, in a fixed order, and the boot time at which to ask again if no fact comes before. It changes nothing.
func Decide(v *View, now Now) ([]Action, time.Duration) {
	v.clock = now.Boot
	d := &decision{v: v, now: now, wake: never, calm: v.isCalm(now.Boot)}
	if d.calm {
		d.current() // what is planned anew ends rests
	}
	d.addresses() // removals first: nothing delays them
	d.contests()
	d.registration()
	d.claims()
	d.check()
	d.renewal()
	d.mend()
	d.state()
	d.neighbors()
	d.leave()
	return d.actions, d.wake
}

type decision struct {
	v       *View
	now     Now
	actions []Action
	wake    time.Duration
	urgent  bool  // an address waits for a fresh check
	after   int64 // that was answered at this revision or a later one
	tries   int
	asks    []Item // VIPs to be asked for on the LAN before a fast takeover
	aheads  []Item // and those that may be taken soon
	offers  []offer
	turn    *turn // found once
	slotted bool  // a slot of the round is being taken by this decision
	calm    bool  // VIPs may rest

	empties int // missing claims that are written by this decision

	members, rank int // how many members there are, and how many of them come before this node by name; 0: not counted yet

	strays     map[string][]string // see unaccounted
	widestWait time.Duration       // see widest; 0: not asked for yet
}

func (d *decision) do(a Action) { d.actions = append(d.actions, a) }

// at asks for a wake-up at boot time t, if it is still to come, and tells whether t has come.
func (d *decision) at(t time.Duration) bool {
	if d.now.Boot >= t {
		return true
	}
	d.wake = min(d.wake, t)
	return false
}

func (d *decision) registration() {
	v, s := d.v, &d.v.self
	if s.revoke != 0 {
		d.do(Revoke{s.revoke})
	}
	if s.phase != unregistered || s.registers || !v.observed || s.leaving || !v.etcd.synced || !d.at(s.at) {
		return
	}
	if m, ok := v.etcd.members[v.cfg.Node]; ok && (s.pending == "" || m.Reg != s.pending) {
		return // somebody has the name; its going is an event
	}
	if s.pending == "" && v.apart() != "" {
		return
	}
	id := s.pending
	if id == "" {
		id = v.cfg.Seed + "-" + strconv.Itoa(s.count+1)
	}
	d.do(Register{
		Member: d.member(id),
		State:  d.wanted(), TTL: v.cfg.TTL,
		Highest: v.etcd.highest,
	})
}

func (d *decision) renewal() {
	if s := &d.v.self; s.phase == registered && !s.renewBusy && d.at(s.renewAt) && !d.stuck() {
		d.do(Renew{s.reg.Lease})
	}
}

// stuck tells whether the kernel has not answered for so long that every address has ended: what this node claims must not keep others from it.
func (d *decision) stuck() bool {
	for _, l := range d.v.local {
		if l.op != idle && d.now.Boot-l.opAt > d.v.cfg.Hold+d.v.cfg.Wait {
			return true
		}
	}
	return false
}

// mend writes this node's member key and its configuration again, when something else has overwritten them.
func (d *decision) mend() {
	v, s := d.v, &d.v.self
	if !s.mend || s.mending || s.phase != registered || s.adopted {
		return
	}
	d.do(Commit{MemberRev: s.reg.MemberRev, Highest: v.etcd.highest, Puts: []Put{
		{Key: "members/" + v.cfg.Node, Value: Encode(d.member(s.reg.ID)), Lease: s.reg.Lease},
		{Key: "configs/" + v.digest, Value: Encode(v.layout)},
	}})
}

// member is this node's member record under a registration id.
func (d *decision) member(id string) Member {
	cfg := d.v.cfg
	return Member{V: Format, Reg: id, Machine: cfg.Machine, Boot: cfg.Boot, Address: cfg.Address, Version: cfg.Version}
}

func (d *decision) check() {
	v, s := d.v, &d.v.self
	if s.reread {
		d.do(Reread{})
	}
	if s.phase != registered || s.checkBusy || !v.etcd.synced {
		return
	}
	urgent := d.urgent && (!s.good.have || s.good.revision < d.after || d.now.Boot-s.good.t0 >= v.freshMost())
	if ((urgent || v.wantsRead()) && d.at(s.urgentAt) || d.at(min(s.checkAt, v.hastens()))) && !d.stuck() {
		d.do(Check{Since: v.etcd.rev, Keys: v.etcd.oldKeys(v.etcd.rev), Highest: v.etcd.highest})
	}
}

// wanted is the state that states/<node> should hold now.
func (d *decision) wanted() State {
	v := d.v
	state, why, until := v.readiness(d.now.Boot)
	d.at(until)
	st := State{V: Format, State: state, Why: why, Since: d.now.Wall, Weight: v.cfg.Weight, Digest: v.digest, Planner: Planner, WaitMS: v.waitMS(), Fast: v.takesPart()}
	lists := d.lists()
	st.Cannot, st.Only, st.Because, st.Recovers = lists.Cannot, lists.Only, lists.Because, lists.Recovers
	st.Checks = d.checks()
	return st
}

// lists is what the state says of single VIPs.
type lists struct {
	rest
	State // Cannot, Only, Because and Recovers
}

func (d *decision) lists() *lists {
	v := d.v
	if d.awaits(v.lists.rest) {
		return &v.lists
	}
	v.lists = lists{rest: rest{until: never}}
	last, fails := "", false
	var cannot, because, all []string
	d.look(&v.lists.rest, func() {
		for i, vip := range v.names {
			l, why := v.locals[i], ""
			if l.here {
				all = append(all, vip)
				why = d.cannotHere(vip, l)
			}
			fails = fails || l.fails > 0
			switch {
			case why == "":
				continue
			case why == last:
				why = ""
			default:
				last = why
			}
			cannot, because = append(cannot, vip), append(because, why)
		}
		v.lists.Recovers = d.recovers()
	})
	v.lists.say(cannot, because, all)
	if d.calm && !fails { // one that fails is looked at again after a while
		v.lists.rest.era, v.lists.rest.t0 = v.era, -1
	}
	return &v.lists
}

// cannot says why this node cannot hold the VIP now; "" when it can. It is found once.
func (d *decision) cannot(vip string) string {
	return d.cannotHere(vip, d.v.local[vip])
}

func (d *decision) cannotHere(vip string, l *local) string {
	if l.judged != d {
		l.judged, l.cannot = d, d.unable(vip, l)
	}
	return l.cannot
}

func (d *decision) unable(vip string, l *local) string {
	v := d.v
	if !l.here {
		return "it is not in this node's configuration"
	}
	mine := false
	if c := v.etcd.claims[vip]; v.mine(c) {
		mine = true
		if other := v.otherName(vip, c.mod, d.now.Boot); other != "" {
			return other
		}
		if !v.means(vip, c) {
			return "its claim names other addresses than this node's configuration"
		}
	}
	switch {
	case l.place.Why != "":
		return l.place.Why
	case v.cutOff(l) != "":
		return "nobody is heard on " + v.cutOff(l)
	case mine && v.unanswered(vip, l):
		return "it was challenged, and its address is not up"
	case l.fails > 0 && !d.at(l.raiseAt):
		return l.why
	}
	return ""
}

func (d *decision) state() {
	v, s := d.v, &d.v.self
	if s.phase != registered || s.adopted || !v.etcd.synced || !v.observed {
		return
	}
	want, have := d.wanted(), v.etcd.states[v.cfg.Node]
	same := !have.lost && have.State.State == want.State && have.Why == want.Why && have.Weight == want.Weight && have.Digest == want.Digest &&
		have.Planner == want.Planner && have.WaitMS == want.WaitMS && have.Fast == want.Fast && have.samePlaces(want) && slices.Equal(have.Because, want.Because) &&
		slices.EqualFunc(have.Checks, want.Checks, CheckState.equal) && slices.Equal(have.Recovers, want.Recovers)
	if !same && !s.stateBusy && d.at(s.stateAt) {
		if have.State.State == want.State && have.samePlaces(want) && slices.Equal(have.Recovers, want.Recovers) {
			want.Since = have.Since // since when all that holds it back does
		}
		d.do(WriteState{s.reg, want})
	}
	if _, ok := v.etcd.layouts[v.digest]; !ok && !v.layoutBusy && d.at(s.layoutAt) && (d.firstToWrite(v.digest) || d.at(s.since+emptyLater)) {
		d.do(WriteLayout{v.digest, v.layout})
	}
}

// leave ends the registration once nothing is held and nothing is under way, or when the time for it is over.
func (d *decision) leave() {
	v, s := d.v, &d.v.self
	if !s.leaving || s.deregistering || len(d.actions) > 0 && !d.at(s.deadline) {
		return
	}
	for _, l := range v.local {
		if l.op != idle || l.some {
			return // an address that is up, or may be: never leave before it is down
		}
	}
	if d.at(s.deadline) || s.phase != registered && s.phase != registering {
		d.do(Deregister{s.reg.Lease})
		return
	}
	if s.phase == registering || s.stateBusy || s.renewBusy {
		return
	}
	for vip, c := range v.etcd.claims {
		if v.mine(c) || v.own(c) || v.of(vip).write {
			return
		}
	}
	d.do(Deregister{s.reg.Lease})
}
