package plan

import (
	"strings"
	"testing"
	"time"
)

func TestForeignNameIsRefusedAndBothAreNamed(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: []Entry{d.put("members/a", Member{V: 1, Reg: "z", Machine: "other", Boot: "b"}, 1)}})
	d.wait(time.Second, false)
	d.want("")
	if s := d.v.Standing().Trouble; !strings.Contains(s, "machine other") || !strings.Contains(s, "machine m-a") {
		t.Fatalf("trouble %q does not name both machines", s)
	}
}

func TestLateAnswerAboutAnEarlierRegistrationEndsNothing(t *testing.T) {
	for name, late := range map[string]Fact{
		"renewal": RenewFailed{Gone: true},
		"commit":  ClaimsCommitted{Writes: []ClaimWrite{{VIP: "web", Kind: Restamp}}, Revision: 99, Member: false},
	} {
		t.Run(name, func(t *testing.T) {
			d := holding(t)
			d.rev++
			d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/a", d.rev}, {"states/a", d.rev}}})
			d.wait(600*ms, false)
			d.acts = nil
			d.rev++
			d.tell(Registered{Registration: Registration{"a-2", d.rev, 78, 3 * time.Second}, Revision: d.rev, State: State{V: 1, State: StateReady, Digest: d.v.digest, Planner: Planner}})
			d.acts = nil
			d.tell(late)
			if d.v.self.phase != registered {
				t.Fatalf("registration a-2, which stands, was given up: %v", d.acts)
			}
		})
	}
}

func TestStateSeenByTheWatchIsNewerThanTheAnswerToItsWrite(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev})
	d.acts = nil
	d.rev++
	joining := State{V: 1, State: StateJoining, Digest: d.v.digest, Planner: Planner}
	d.tell(Registered{Registration: Registration{"a-1", d.rev, 77, 3 * time.Second}, Revision: d.rev, State: joining})
	var wrote State
	for _, a := range d.acts {
		if w, ok := a.(WriteState); ok {
			wrote = w.State
		}
	}
	d.tell(d.batch(d.put("states/a", State{V: 1, State: StateLeaving, Digest: d.v.digest, Planner: Planner}, 2)))
	d.tell(StateWritten{wrote})
	if got := d.v.etcd.states["a"].State.State; got != StateLeaving {
		t.Fatalf("the view says %q", got)
	}
}
