package sim

import (
	"fmt"
	"strings"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// trace writes down what happens, if it is asked to, and in any case keeps a sum of it: two runs of one schedule are the same if their sums are.
type trace struct {
	w     *world
	on    bool
	sum   uint64
	lines []string
}

func (t *trace) mix(values ...uint64) {
	for _, v := range values {
		t.sum = (t.sum ^ v) * 0x100000001b3
		t.sum ^= t.sum >> 29
	}
}

func (t *trace) say(who, format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf("%9.3f %-4s ", t.w.now.Seconds(), who)+fmt.Sprintf(format, args...))
}

func (t *trace) note(n *node, what string) {
	t.mix(uint64(t.w.now), uint64(n.id))
	if t.on {
		t.say(n.name, "== %s", what)
	}
}

func (t *trace) action(n *node, a plan.Action) {
	t.mix(uint64(t.w.now), uint64(n.id), 1)
	if t.on {
		t.say(n.name, "-> %s", a)
	}
}

// sentinel writes down what a sentinel wants.
func (t *trace) sentinel(n *node, a sentinel.Action) {
	t.mix(uint64(t.w.now), uint64(n.id), 7)
	if t.on {
		t.say(n.name, "-- %s", a)
	}
}

func (t *trace) fact(n *node, f plan.Fact) {
	t.mix(uint64(t.w.now), uint64(n.id), 2)
	if t.on {
		t.say(n.name, "   %s", factText(f))
	}
}

func (t *trace) notes(n *node, v *plan.View) {
	for _, note := range v.Notes() {
		if t.on {
			t.say(n.name, "   (%s %s: %s)", note.VIP, note.What, note.Why)
		}
	}
}

func (t *trace) etcd(e *etcd, c record) {
	t.mix(uint64(t.w.now), uint64(c.rev), 3)
	if !t.on {
		return
	}
	if c.deleted {
		t.say("etcd", "   %d: delete %s", c.rev, c.entry.Key)
		return
	}
	t.say("etcd", "   %d: put %s %s", c.rev, c.entry.Key, c.entry.Value)
}

func (t *trace) kernel(n *node, slot int, what string) {
	t.mix(uint64(t.w.now), uint64(n.id), uint64(slot), 4)
	if t.on {
		t.say(n.name, "   kernel: %s %s", slotAddress(slot).Prefix.Addr(), what)
	}
}

func (t *trace) fault(f Fault) {
	t.mix(uint64(t.w.now), 5)
	if t.on {
		t.say("**", "%s", f)
	}
}

// factText is a fact in few words.
func factText(f plan.Fact) string {
	switch f := f.(type) {
	case plan.SnapshotRead:
		return fmt.Sprintf("SnapshotRead at %d", f.Revision)
	case plan.BatchSeen:
		var keys []string
		for _, e := range f.Changed {
			keys = append(keys, fmt.Sprintf("%s@%d", e.Key, e.Mod))
		}
		for _, d := range f.Deleted {
			keys = append(keys, fmt.Sprintf("-%s@%d", d.Key, d.Mod))
		}
		return fmt.Sprintf("BatchSeen to %d: %s", f.Revision, strings.Join(keys, " "))
	case plan.CheckAnswered:
		var keys []string
		for _, e := range f.Changed {
			keys = append(keys, fmt.Sprintf("%s@%d", e.Key, e.Mod))
		}
		return fmt.Sprintf("CheckAnswered t0 %.3f since %d at %d, member %d, keys %d count %d %s", f.T0.Seconds(), f.Since, f.Revision, f.MemberRev, f.Keys, f.Count, strings.Join(keys, " "))
	case plan.ClaimsCommitted:
		var results []string
		for i, r := range f.Results {
			s := "lost"
			if r.Won {
				s = "won"
			}
			results = append(results, f.Writes[i].String()+" "+s)
		}
		return fmt.Sprintf("ClaimsCommitted at %d, member %t: %s", f.Revision, f.Member, strings.Join(results, ", "))
	case plan.ClaimsFailed:
		return fmt.Sprintf("ClaimsFailed in doubt %t: %v", f.InDoubt, f.Writes)
	case plan.PlacesObserved:
		return "PlacesObserved"
	case plan.AddressesObserved:
		var up []string
		for i := range maxSlots {
			if f.Present[slotAddress(i)] {
				up = append(up, slotAddress(i).Prefix.Addr().String())
			}
		}
		return "AddressesObserved " + strings.Join(up, " ")
	}
	return fmt.Sprintf("%T%+v", f, f)[len("plan."):]
}

// outcome is how the run of a schedule ended.
type outcome struct {
	Verdict string // "" if every promise held
	Events  int
	Sum     uint64
	Now     time.Duration
	Lines   []string
}
