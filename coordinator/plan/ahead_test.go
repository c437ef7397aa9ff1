package plan

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// widowed is node a, which has seen the holder of web go.
func widowed(t *testing.T) (d *dialogue, owner MemberRef) {
	t.Helper()
	d = start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	return d, MemberRef{"b", b[0].Create}
}

// askedAhead lets time pass until the node asks the LAN, and leaves the answer to the caller.
func askedAhead(d *dialogue) {
	d.t.Helper()
	d.wait(3500*ms, true)
	d.wait(200*ms, false)
	if got := d.said2(); got != "probe +web" {
		d.t.Fatalf("at %d ms it wants %q, not to ask the LAN", d.ms, got)
	}
	d.acts = slices.DeleteFunc(d.acts, func(a Action) bool { return a.String() == "probe +web" })
	d.answer()
}

// The LAN is asked while W runs, so that nothing is waited for when the claim may be taken.
func TestLANIsAskedAhead(t *testing.T) {
	d, owner := widowed(t)
	askedAhead(d)
	d.tell(AddressesProbed{VIP: "web", Ahead: true})
	d.wait(800*ms, true)
	d.want("")
	d.wait(120*ms, true)
	take := fmt.Sprintf("commit take web if 13, %s/%d gone", owner.Node, owner.MemberRev)
	if got := d.said2(); got != take {
		t.Fatalf("it wants %q, not %q", got, take)
	}
	d.commit()
	d.wait(30*ms, true)
	d.want("raise +web\nannounce web")
}

// Who answers while W runs may be the last holder, whose address ends before W does: the LAN is asked again.
func TestLANIsAskedAgainWhereSomebodyAnswered(t *testing.T) {
	for name, answer := range map[string]AddressesProbed{
		"answered":    {VIP: "web", Ahead: true, Rival: "02:00:00:00:00:09"},
		"not heard":   {VIP: "web", Ahead: true, Err: errors.New("the link is down")},
		"of no claim": {VIP: "other", Ahead: true},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := widowed(t)
			askedAhead(d)
			d.tell(answer)
			d.wait(1000*ms, true)
			d.commit()
			d.answer() // the check
			d.want("probe +web")
		})
	}
}

// Silence does not count for ever: etcd may have been away when the claim could be taken.
func TestSilenceOfLongAgoDoesNotCount(t *testing.T) {
	a := ahead{mod: 7}
	a.answered(AddressesProbed{}, time.Minute)
	c := claim{mod: 7}
	if !a.silent(c, time.Minute+aheadCount-1) || a.silent(c, time.Minute+aheadCount) || a.silent(claim{mod: 8}, time.Minute) {
		t.Error("silence counts for another claim, or too long")
	}
}
