package sentinel

import (
	"testing"
	"time"
)

// F4.
func TestQuarantine(t *testing.T) {
	for name, c := range map[string]struct {
		members int
		witness bool
		want    int
	}{
		"two and a gateway": {2, true, 1},
		"three":             {3, false, 1},
		"two, no witness":   {2, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, usual, c.members, c.witness)
			l.view.Own[0].Fast = c.want > 0
			l.observe()
			l.run(4 * time.Second)
			began := l.now
			l.drop = func(Probe) bool { return true }
			for l.count("contact net1 basis true lost true") == 0 && l.now-began < 5*time.Second {
				l.run(ms)
			}
			l.want("contact net1 basis true lost true", c.want)
			if c.want == 0 {
				return
			}
			if took := l.now - began; took > usual.quarantine()+10*ms || took < usual.quarantine()-usual.Interval-10*ms {
				t.Errorf("in quarantine after %v, want %v", took, usual.quarantine())
			}
			l.run(time.Second)
			l.drop = nil
			l.run(900 * ms)
			l.want("contact net1 basis true lost false", 1) // that of the start
			l.run(time.Second)
			l.want("contact net1 basis true lost false", 2)
			l.want("challenge", 0)
		})
	}
}

// A process that finds addresses up and cannot read etcd hears somebody soon, or is in quarantine.
func TestQuarantineOfWhatAnEarlierProcessPutUp(t *testing.T) {
	for name, heard := range map[string]bool{"cut off": false, "guarded": true} {
		t.Run(name, func(t *testing.T) {
			m, now := New(usual), time.Hour
			m.Apply(Viewed{Own: []Own{{Link: "net1", Fast: true, Held: true}}}, now)
			began, lost := now, time.Duration(0)
			for ; now < began+time.Second; now += ms {
				if heard && (now-began)%usual.Interval == 0 {
					m.Apply(Questioned{Link: "net1", Sure: true}, now)
				}
				actions, _ := m.Decide(now)
				for _, a := range actions {
					if c, ok := a.(Contact); ok && c.Lost && lost == 0 {
						lost = now - began
					}
				}
			}
			if heard != (lost == 0) || lost > usual.quarantine()+ms {
				t.Errorf("cut off after %v; quarantine is %v", lost, usual.quarantine())
			}
		})
	}
}

// When no other member is left, nobody can be in the way: a node alone carries on.
func TestQuarantineEndsWhenNobodyIsLeft(t *testing.T) {
	l := start(t, usual, 3, false).settle()
	l.drop = func(Probe) bool { return true }
	l.run(time.Second)
	l.want("contact net1 basis true lost true", 1)
	l.view.Members = l.view.Members[:1]
	l.observe()
	l.run(100 * ms)
	if l.m.links["net1"].lost {
		t.Error("still in quarantine")
	}
}

func TestGuardsQuestionsAreContact(t *testing.T) {
	l := start(t, usual, 2, true).settle()
	l.drop = func(Probe) bool { return true }
	for range 40 {
		l.run(50 * ms)
		l.m.Apply(Questioned{Link: "net1", MAC: MAC{2}}, l.now)
	}
	l.want("contact net1 basis true lost true", 0)
	l.m.Apply(Questioned{Link: "net1", MAC: MAC{99}}, l.now)
	for range 10 { // somebody else's are not
		l.run(50 * ms)
		l.m.Apply(Questioned{Link: "net1", MAC: MAC{99}}, l.now)
	}
	l.want("contact net1 basis true lost true", 1)
}
