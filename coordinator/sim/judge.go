package sim

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"viplease/coordinator/plan"
)

// judge holds what happens against the promises.
type judge struct {
	w       *world
	changed bool
	verdict string // the first promise that was broken, and how
	settled bool

	since   time.Duration // since when everything is as it should be
	rev     int64         // etcd's revision then
	trouble string        // why it is not
	claims  map[string]decoded
	rounds  rounds
}

func (j *judge) breaks(format string, args ...any) {
	if j.verdict == "" {
		j.verdict = fmt.Sprintf(format, args...)
		if j.w.trace.on {
			j.w.trace.say("!!", "%s", j.verdict)
		}
	}
}

// gone is told of every address that goes. In a schedule that must not move anything none may.
func (j *judge) gone(n *node, slot int) {
	if j.w.s.Still > 0 && j.w.now >= j.w.s.Still {
		j.breaks("promise 5: %s went from %s", slotAddress(slot).Prefix.Addr(), n.name)
	}
}

// set is told of every address that is set.
func (j *judge) set() { j.changed = true }

// look judges what is so after an event: one holder.
func (j *judge) look() {
	if !j.changed {
		return
	}
	j.changed = false
	var seen, twice slots
	for i, n := range j.w.nodes {
		if seen&n.kernel.up != 0 && !j.w.s.Fast {
			twice |= seen & n.kernel.up
		}
		for _, o := range j.w.nodes[:i] {
			if both := o.kernel.up & n.kernel.up; both != 0 && j.w.s.Fast && !j.w.excuses(o, n) {
				twice |= both
			}
		}
		seen |= n.kernel.up
	}
	if twice == 0 {
		return
	}
	slot := bits.TrailingZeros32(uint32(twice))
	var where []string
	for _, n := range j.w.nodes {
		if n.kernel.up>>slot&1 != 0 {
			where = append(where, n.name)
		}
	}
	j.breaks("promise 1: %s is up on %s", slotAddress(slot).Prefix.Addr(), strings.Join(where, " and "))
}

// again looks whether every VIP is up, on a node that is on the LAN.
func (j *judge) again() {
	for i, v := range j.w.final().vips {
		mask := j.w.final().slots[i]
		if !slices.ContainsFunc(j.w.nodes, func(n *node) bool { return n.kernel.up&mask == mask && !n.cut() }) {
			j.breaks("fast: %s is not up again", v.Name)
		}
	}
}

// stops is told when a daemon stops to run freely: from then on no address may stay for longer than hold + K, and what was under way.
func (j *judge) stops(n *node) {
	if n.stopped >= 0 {
		return
	}
	n.stopped = j.w.now
	n.frozen()
	since := n.stopped
	most := n.clock.until(n.cfg.Hold+n.cfg.CheckTimeout) + j.w.timers.late
	j.w.after(most+time.Millisecond, nil, func() {
		if n.stopped == since && n.kernel.up != 0 {
			j.breaks("promise 4: %s stopped at %.3f, and its addresses %b are still up", n.name, since.Seconds(), n.kernel.up)
		}
	})
}

// runs is told when it goes on.
func (j *judge) runs(n *node) {
	n.frozen()
	n.stopped = -1
}

// told is told what the operator's programs are told: gains and losses by turns.
func (j *judge) told(p *process, c plan.Change) {
	if c.Kind == plan.Faulty {
		return
	}
	gain := c.Kind == plan.Acquired
	if p.gained[c.VIP] == gain {
		j.breaks("hooks: %s is told twice that %s was %s", p.n.name, c.VIP, c.Kind)
	}
	p.gained[c.VIP] = gain
}

// settleEvery is how often the judge looks whether everything has settled, and idle for how long nothing may be written then.
const settleEvery = 100 * time.Millisecond

// eventsLeast is how many events every run has: one that has settled before goes on, idle.
const eventsLeast = 200

func (j *judge) idle() time.Duration { return j.w.timers.wait / 2 }

// bound is how long everything may take to settle after the last fault.
func (j *judge) bound() time.Duration {
	t := j.w.timers
	return 3*(t.ttl+t.wait*2) + 9*t.mature + 20*time.Second + time.Duration(2*j.w.s.VIPs+4)*t.round
}

// settle looks whether all is well, from the end of the faults on.
func (j *judge) settle() {
	w := j.w
	j.trouble = j.unsettled()
	if j.trouble == "" && w.etcd.rev != j.rev {
		j.trouble = "etcd is still written to"
	}
	if j.trouble != "" {
		j.since = w.now
	}
	j.rev = w.etcd.rev
	if w.now-j.since >= j.idle() { // the placement, which is dear, of what has not changed for a while
		if j.trouble = j.misplaced(); j.trouble != "" {
			j.since = w.now
		}
	}
	switch {
	case w.now-j.since >= j.idle() && w.events >= eventsLeast:
		j.settled = true
	case w.now > w.quiet+j.bound():
		j.breaks("promises 2 and 3: %v after the last fault: %s", j.bound(), j.trouble)
	default:
		w.after(settleEvery, nil, j.settle)
	}
}

// unsettled says what is not as it should be; "" if all is.
func (j *judge) unsettled() string {
	w := j.w
	load := make([]int, len(w.nodes))
	var known slots
	for i, v := range w.final().vips {
		vip, holder, mask := v.Name, "", w.final().slots[i]
		known |= mask
		for _, n := range w.nodes {
			up := n.kernel.up & mask
			if n.proc != nil && n.proc.gained[vip] != (up != 0) {
				return fmt.Sprintf("the programs of %s were told that %s is up there: %t", n.name, vip, n.proc.gained[vip])
			}
			if up == 0 {
				continue
			}
			if up != mask {
				return fmt.Sprintf("%s is not whole on %s", vip, n.name)
			}
			holder = n.name
			load[n.id]++
		}
		c, ok := j.claim(vip)
		switch {
		case w.able() == 0 && holder == "":
		case !ok:
			return fmt.Sprintf("nobody claims %s", vip)
		case c.Node != holder || holder == "":
			return fmt.Sprintf("%s is claimed by %q and up on %q", vip, c.Node, holder)
		case w.etcd.member(holder) != c.MemberRev:
			return fmt.Sprintf("the claim of %s names a registration that is gone", vip)
		case c.To != "":
			return fmt.Sprintf("%s is moving", vip)
		}
	}
	for _, n := range w.nodes {
		if n.kernel.up&^known != 0 {
			return fmt.Sprintf("an address that no configuration has is up on %s", n.name)
		}
		if n.proc == nil {
			continue
		}
		for vip, gained := range n.proc.gained {
			if gained && !w.final().has(vip) {
				return fmt.Sprintf("the programs of %s were not told that a VIP which no configuration has is gone", n.name)
			}
		}
	}
	return j.uneven(load)
}

// claim returns the claim of a VIP as it stands.
func (j *judge) claim(vip string) (c plan.Claim, ok bool) {
	k, ok := j.w.etcd.keys["claims/"+vip]
	known := j.claims[vip]
	if known.mod != k.Mod {
		known = decoded{k.Mod, decodeClaim(k.Value)}
		if j.claims == nil {
			j.claims = map[string]decoded{}
		}
		j.claims[vip] = known
	}
	return known.claim, ok
}

// decoded is a claim, and the revision that wrote it.
type decoded struct {
	mod   int64
	claim plan.Claim
}

// able counts the nodes that should hold VIPs.
func (w *world) able() int {
	able := 0
	for _, n := range w.nodes {
		if n.able() {
			able++
		}
	}
	return able
}

func (n *node) able() bool {
	_, drained := n.w.etcd.keys["drains/"+n.name]
	return n.proc != nil && !n.proc.leaving && !drained && n.linkDown <= n.w.now && !n.cut() && n.w.split.until <= n.w.now
}
