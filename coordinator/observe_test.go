package coordinator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
)

// tally is an Observer.
type tally struct {
	turns  int
	late   time.Duration
	events []Event
}

func (y *tally) Turned(late, _ time.Duration) { y.turns++; y.late = max(y.late, late) }
func (y *tally) Happened(e Event)             { y.events = append(y.events, e) }

// An observer hears of every turn, and of every event of this node with its cause.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, y := newNode(newFakeEtcd(), newFakeKernel(config().VIPs)), &tally{}
		n.ports.Observer = y
		n.start(plan.Remembered{})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		n.stop()
		if err := n.over(t, time.Second); err != nil {
			t.Fatal(err)
		}
		if y.turns < 60 || y.late <= 0 || y.late > 10*time.Millisecond {
			t.Errorf("%d turns in 6 s, the latest by %v", y.turns, y.late)
		}
		claimed := 0
		for _, e := range y.events {
			if e.What == "claimed" && e.Cause == plan.CauseNobody && e.Node == "a" {
				claimed++
			}
		}
		if claimed != 2 || !slices.ContainsFunc(y.events, func(e Event) bool { return e.What == "released" }) {
			t.Errorf("%d VIPs were claimed, of 2: %+v", claimed, y.events)
		}
	})
}
