package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// published is the last state that the node wanted to write, and forgets it.
func (d *dialogue) published() State {
	d.t.Helper()
	for _, a := range slices.Backward(d.acts) {
		if w, ok := a.(WriteState); ok {
			return w.State
		}
	}
	d.t.Fatalf("no state among %v", d.acts)
	return State{}
}

func TestLinkThatComesBackIsNotTrustedAtOnce(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register(d.put("claims/web", claimOf("b", 99, 1), 1))
	d.wait(6*time.Second, true)
	down := PlacesObserved{map[string]Place{"web": {Why: "net1 is down"}}}
	up := placesOf(d.v.cfg)
	d.tell(down)
	if st := d.published(); fmt.Sprint(st.unable(d.v.layout), st.Because, st.Recovers) != "[web] [net1 is down] []" {
		t.Fatalf("down: %+v", st)
	}
	d.answer()
	d.tell(up)
	st := d.published()
	if fmt.Sprint(st.unable(d.v.layout), st.Recovers) != "[] [web]" {
		t.Fatalf("up again: %+v", st)
	}
	since := st.Since
	d.answer()
	d.acts = nil
	d.wait(4900*ms, true)
	for _, a := range d.acts {
		if w, ok := a.(WriteState); ok {
			t.Fatalf("before mature it says %+v", w.State)
		}
	}
	d.wait(200*ms, false)
	if st := d.published(); len(st.Recovers) > 0 || !st.Since.After(since) {
		t.Fatalf("after mature: %+v, since %v before", st, since)
	}
}

func TestAddressThatCannotBeSetIsTriedEverMoreSeldom(t *testing.T) {
	d := holding(t)
	var gaps []time.Duration
	for range 8 {
		l := d.v.local["web"]
		l.op, l.up = raising, false
		d.tell(AddressesRaised{VIP: "web", Err: fmt.Errorf("IPv6 is disabled")})
		gaps = append(gaps, (d.v.recovered(l) - d.now().Boot).Round(time.Second))
	}
	want := "[11s 22s 44s 1m28s 2m56s 5m32s 6m0s 6m0s]" // 1 s and 5 s, doubling to 1 and 5 minutes
	if fmt.Sprint(gaps) != want {
		t.Fatalf("it asks to be trusted again after %v, not %s", gaps, want)
	}
}

// The holder's view: a is preferred, and its link has come back.
func TestPreferredVIPGoesHomeOnlyToANodeThatHasRecovered(t *testing.T) {
	cfg := testConfig("b", "web")
	cfg.VIPs[0].Prefer = []string{"a"}
	d := start(t, cfg)
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.wait(30*ms, true)
	d.acts = nil
	a := d.member("a")
	state := State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, Recovers: []string{"web"}}
	d.tell(d.batch(a...), d.batch(d.put("states/a", state, 2)))
	d.wait(time.Second, true)
	d.want("")
	state.Recovers = nil
	d.tell(d.batch(d.put("states/a", state, 3)))
	if got := d.said(); !strings.HasPrefix(got, "commit offer web") {
		t.Fatalf("a has recovered: %q", got)
	}
}

func TestWhoRecoversTakesWhatNobodyElseCanHave(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register(d.put("claims/web", Claim{V: 1, VIP: "web", WaitMS: 4610, Writes: 1, Try: "x", Addresses: []string{"192.0.2.100/32"}}, 1))
	d.tell(PlacesObserved{map[string]Place{"web": {Why: "net1 is down"}}})
	d.wait(6*time.Second, true)
	d.want("")
	d.tell(placesOf(d.v.cfg))
	d.wait(20*ms, true)
	if got := d.said(); !strings.Contains(got, "commit take web") {
		t.Fatalf("its link is back and nobody holds web: %q", got)
	}
}

func TestNodeThatCanHoldNothingIsUnfit(t *testing.T) {
	d := start(t, testConfig("a", "web", "dns"))
	d.register()
	b := d.member("b")
	for _, tt := range []struct {
		said       State
		state, why string
	}{
		{State{}, StateReady, ""},
		{State{Cannot: []string{"web"}, Because: []string{"net1 is down"}}, StateReady, "cannot hold web: net1 is down"},
		{State{Cannot: []string{"dns", "web"}, Because: []string{"net1 is down", ""}}, "unfit", "cannot hold any VIP: net1 is down"},
		{State{Only: []string{"dns"}, Because: []string{"net1 is down"}}, StateReady, "cannot hold web: net1 is down"},
		{State{Only: []string{}, Because: []string{"net1 is down"}}, "unfit", "cannot hold any VIP: net1 is down"},
		{State{Recovers: []string{"dns", "web"}}, StateJoining, "can hold dns, web again, and is given what others hold when that has been so for a while"},
	} {
		st := tt.said
		st.V, st.State, st.Weight, st.Digest, st.Planner, st.Since = 1, StateReady, 1, d.v.digest, Planner, d.now().Wall
		d.tell(d.batch(append(b, d.put("states/b", st, 2))...))
		if m := d.v.memberStatus("b"); m.State != tt.state || m.Why != tt.why || !m.Since.Equal(st.Since) {
			t.Errorf("%+v: %s, %q, since %v", tt.said, m.State, m.Why, m.Since)
		}
	}
}
