package sentinel

import (
	"testing"
	"time"
)

const unasked = "contact net1 basis true lost false unasked"

// question lets a guard ask for so long, every 50 ms.
func (l *lan) question(d time.Duration) *lan {
	for end := l.now + d; l.now < end; {
		l.m.Apply(Questioned{Link: "net1", MAC: MAC{2}}, l.now)
		l.run(50 * ms)
	}
	return l
}

// F4: a gateway that answers is no guard that hears this node.
func TestGuardsThatAskNoMoreAreNoticed(t *testing.T) {
	l := start(t, usual, 3, true).settle().question(time.Second)
	l.want(unasked, 0)
	l.run(100 * ms)
	l.want(unasked, 1)
	l.question(150 * ms)
	if l.m.links["net1"].told.Unasked {
		t.Error("it is asked again, and does not say so")
	}
	before := l.count(unasked)
	l.run(200 * ms)
	l.want(unasked, before+1)
	l.run(unaskedMost)
	if l.m.links["net1"].told.Unasked {
		t.Error("who has not asked for ten seconds does not guard")
	}
}

func TestWhoIsNotGuardedIsNotUnasked(t *testing.T) {
	for name, change := range map[string]func(*lan){
		"never asked":              func(*lan) {},
		"asked by no member":       func(l *lan) { l.m.Apply(Questioned{Link: "net1", MAC: MAC{254}}, l.now) },
		"its claims have no terms": func(l *lan) { l.question(time.Second).view.Own = []Own{{Link: "net1"}} },
		"alone in the ring": func(l *lan) {
			l.question(time.Second)
			for i := range l.view.Members[1:] {
				l.view.Members[1+i].Ready = false
			}
		},
	} {
		l := start(t, usual, 3, true).settle()
		change(l)
		l.observe()
		l.run(2 * time.Second)
		if n := l.count(unasked); n > 0 {
			t.Errorf("%s: told %d times that it is not asked", name, n)
		}
	}
}

// All registrations ended at once, as when etcd loses its leases: the guards stop asking, and begin again when they are back.
func TestGuardsThatAreBackHaveTimeToAsk(t *testing.T) {
	ready := func(l *lan, is bool) {
		for i := range l.view.Members {
			l.view.Members[i].Ready = is
		}
		l.observe()
	}
	l := start(t, usual, 3, true).settle().question(time.Second)
	ready(l, false)
	l.run(300 * ms)
	ready(l, true)
	l.run(20 * ms)
	l.question(time.Second)
	l.want(unasked, 0)
	ready(l, false)
	l.run(300 * ms)
	ready(l, true)
	l.run(100 * ms) // 73 before the VIPs would go
	l.want(unasked, 1)
}

// F4: a member that guards others asks this node as a witness, as often as guards do.
func TestMemberThatIsNoGuardIsNoneByAsking(t *testing.T) {
	l := start(t, usual, 4, true).settle().question(time.Second) // of a, b and c are the guards
	for range 4 {
		l.m.Apply(Questioned{Link: "net1", MAC: MAC{4}, Sure: true}, l.now)
		l.run(50 * ms)
	}
	l.want(unasked, 1)
}

// F2: an answer to the other guard counts as much.
func TestConsentIsTakenBack(t *testing.T) {
	l := start(t, usual, 3, true).settle()
	ward := l.view.Members[2].Ref
	l.kill(3)
	l.view.Challenges = []Standing{{Ward: ward, Mod: 700, By: l.view.Members[1].Ref, Seen: l.now}}
	l.observe()
	l.run(240 * ms)
	l.want("consent", 0) // the ward may not know yet that it is not asked
	l.run(100 * ms)
	l.want("consent", 1)
	l.want("dissent", 0)
	delete(l.dead, vip(3))
	l.run(100 * ms)
	l.want("dissent", 1)
}

// F4: who asks is there, whatever the view says: it may lag.
func TestWhoAsksIsThereWhateverTheViewSays(t *testing.T) {
	for _, asked := range []bool{true, false} {
		l := start(t, usual, 2, true).settle()
		l.view.Members, l.view.Claims = l.view.Members[:1], l.view.Claims[:1]
		l.observe()
		if asked {
			l.question(200 * ms)
		}
		l.dead[gateway.Addr] = true
		l.run(2 * time.Second)
		if got := l.m.links["net1"].lost; got != asked {
			t.Errorf("asked %t: hears nobody any more, and counts as cut off: %t", asked, got)
		}
	}
}
