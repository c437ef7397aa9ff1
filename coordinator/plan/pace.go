package plan

import "time"

// Where many nodes plan for many VIPs, each event of a storm of them, such as a hundred nodes that claim their shares, would have all of them plan anew. So
// what others write is planned with now and then: the first time at once, and again when a pause has passed that grows with the cost of planning. As long as
// everything goes as planned, the plan is carried on with meanwhile; after anything else nothing is begun by it. Nothing that keeps an address from being
// shown, or takes it down, waits for a plan; what is asked of this node, and what it finds out for itself, is planned with at once.

const (
	pace      = time.Microsecond       // the pause, for each pair of member and VIP: some ten times what planning costs
	pauseMost = 200 * time.Millisecond // as far as it grows
	pauseMin  = 5 * time.Millisecond   // a shorter one is none
)

// age is how a placement stands to what has happened since.
type age int

const (
	fresh  age = iota // nothing has
	behind            // what it says was carried out, in part
	stale             // something else
)

// planDue is when the placement is to be planned anew.
func (v *View) planDue() time.Duration {
	pause := time.Duration(len(v.etcd.members)*len(v.vips)) * pace
	switch {
	case v.age == fresh:
		return never
	case v.plannedAt == 0 || pause < pauseMin:
		return 0
	case v.age == behind:
		return v.plannedAt + pauseMost
	}
	return v.plannedAt + min(pause, pauseMost)
}

// current tells whether something may be begun by the placement, and sees to it that it may be later.
func (d *decision) current() bool {
	d.v.placement()
	return d.v.age == fresh || d.at(d.v.planDue()) || d.v.age == behind
}

// replan forgets what was concluded from the state of etcd and of this node.
func (v *View) replan() { v.age, v.plannedAt, v.plain = stale, 0, nil }

// replanFor is replan where this has changed in etcd and nothing else.
func (v *View) replanFor(t touched) {
	if t.or || v.placed == nil {
		v.replan()
		return
	}
	is := behind
	if len(t.nodes) > 0 {
		is = stale
	}
	plain := v.plain != nil && *v.plain
	for _, node := range t.nodes {
		st, said := v.etcd.states[node]
		plain = plain && (!said || st.Digest == v.digest)
	}
	for _, vip := range t.claims {
		c := v.etcd.claims[vip]
		plain = plain && v.isPlain(vip, c)
		if c.Node != v.placed.assign[vip] || c.To != "" || c.Stay || !c.valid() || !v.etcd.alive(c.owner()) {
			is = stale
		}
	}
	v.age = max(v.age, is)
	if !plain {
		v.plain = nil // it may be again, or not
	}
}

// replanForKey is replan where this key has changed.
func (v *View) replanForKey(key string) {
	var t touched
	t.add(key)
	if !t.neighbors {
		v.replanFor(t)
	}
}
