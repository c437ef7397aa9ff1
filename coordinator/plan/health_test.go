package plan

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWhereChecksLeaveAVIP: a row is what the checks of nodes a, b and c say, who holds the VIP and who is to hold it. A capital letter is drained, a star has the pin.
func TestWhereChecksLeaveAVIP(t *testing.T) {
	for _, row := range []struct{ checks, holder, want, why string }{
		{"a+ b+ c+", "b", "b", ""},
		{"a+ b- c+", "c", "c", "its holder passes"},
		{"a+ b- c?", "b", "a", "the one that passes"},
		{"a- b- c+", "", "c", "the one that passes"},
		{"a- b- c-", "b", "b", "no node passes: the last holder keeps it"},
		{"a- b- c-*", "b", "b", "though it is pinned to another"},
		{"a- b- c+*", "b", "c", ""},
		{"a? b- c-", "b", "b", "and one that has nothing to say is given nothing"},
		{"a+ b? c-", "b", "b", "who has nothing to say keeps what it holds"},
		{"a? b+ c?", "gone", "b", ""},
		{"a? b? c-", "gone", "c", "no node passes: the checks tell nothing"},
		{"a? b? c?", "gone", "", "but a verdict is near"},
		{"a- B- c?", "b", "a", "its holder may not keep it"},
		{"a! b- c!", "gone", "b", "where a required check fails it is never held"},
		{"a+ b! c-", "b", "a", ""},
		{"a! b! c!", "b", "", "a required check takes it down"},
		{"a! b! c-", "b", "c", "fails, but may hold it"},
	} {
		v := New(testConfig("a", "web"), Now{})
		for i, text := range strings.Fields(row.checks) {
			node := strings.ToLower(text[:1])
			st := State{V: 1, State: StateReady, Weight: 1, Digest: v.digest, Planner: Planner}
			if text[1] != '+' {
				st.Checks = []CheckState{{Check: "other", Fails: true, Require: true, VIPs: []string{"dns"}}, {Check: "x", Fails: text[1] != '?', Require: text[1] == '!'}}
			}
			v.etcd.members[node] = member{Member{Reg: node + "-1"}, int64(1 + i)}
			v.etcd.states[node] = stated{State: st, mod: 1}
			if strings.HasSuffix(text, "*") {
				v.etcd.pins["web"] = Intent{Node: node}
			}
			if node != text[:1] {
				v.etcd.drains[node] = Intent{}
			}
			if node == row.holder {
				v.etcd.claims["web"] = claim{Claim: claimOf(node, int64(1+i), 1), mod: 5, version: 1}
			}
		}
		if row.holder == "gone" {
			v.etcd.claims["web"] = claim{Claim: claimOf("gone", 9, 1), mod: 5, version: 1}
		}
		if got := v.placement().assign["web"]; got != row.want {
			t.Errorf("%s, held by %q, goes to %q and not to %q: %s", row.checks, row.holder, got, row.want, row.why)
		}
	}
}

// checked is node a with a check, ready, holding web, its check passing; b is another, ready.
func checked(t *testing.T, require bool) (d *dialogue, b []Entry) {
	t.Helper()
	cfg := testConfig("a", "web")
	cfg.Checks = []HealthCheck{{Name: "x", Require: require}}
	d = start(t, cfg)
	b = d.member("b")
	b = append(b, d.put("drains/b", Intent{V: 1}, 1))
	d.register(b...)
	d.play(6 * time.Second)
	if c := d.v.etcd.claims["web"]; c.Node != "" {
		t.Fatalf("a node whose check has no verdict took a VIP: %+v", c)
	}
	d.tell(HealthJudged{Check: "x", Passes: true})
	d.play(500 * ms)
	if !d.v.local["web"].up {
		t.Fatalf("it does not hold web: %+v", d.v.etcd.claims["web"])
	}
	return d, b
}

func undrained(d *dialogue) Fact {
	d.rev++
	return BatchSeen{Revision: d.rev, Deleted: []Deleted{{"drains/b", d.rev}}}
}

// done are the actions of a kind among those that were played.
func done(said []string, kind string) bool {
	return slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, ": "+kind) || strings.Contains(s, "commit "+kind) })
}

func TestVIPStaysWhenNoNodePasses(t *testing.T) {
	d, _ := checked(t, false)
	d.tell(HealthJudged{Check: "x", Why: "503"})
	if said := d.play(3 * time.Second); done(said, "del") || done(said, "offer") {
		t.Fatalf("nobody is better off: %v", said)
	}
	if s := d.v.VIPs(d.now())[0]; s.State != "held" || !strings.Contains(s.Why, "a keeps it although check x fails there") {
		t.Errorf("status: %+v", s)
	}
	if m := d.v.Members()[0]; m.State != "unfit" || m.Why != "check x fails: 503" || m.Since.IsZero() {
		t.Errorf("status: %+v", m)
	}
}

func TestVIPLeavesForANodeThatPasses(t *testing.T) {
	for _, require := range []bool{false, true} {
		d, b := checked(t, require)
		d.tell(undrained(d))
		d.tell(HealthJudged{Check: "x", Why: "503"})
		said := d.play(200 * ms)
		if !done(said, "state ready") || !done(said, "offer") || done(said, "del") {
			t.Fatalf("require %v: it says so, offers it, and keeps it meanwhile: %v", require, said)
		}
		c := d.v.etcd.claims["web"]
		accepted := c.Claim
		accepted.Accept, accepted.Writes = b[0].Create, c.version+1
		e := d.put("claims/web", accepted, c.version+1)
		d.tell(d.batch(e))
		if said := d.play(100 * ms); !done(said, "del") || !done(said, "transfer") {
			t.Fatalf("require %v: not handed over: %v", require, said)
		}
	}
}

func TestRequiredCheckTakesTheVIPDownWhenNobodyPasses(t *testing.T) {
	d, _ := checked(t, true)
	d.tell(HealthJudged{Check: "x", Why: "503"})
	if said := d.play(500 * ms); !done(said, "del") || !done(said, "release") {
		t.Fatalf("it is still there: %v", said)
	}
	if s := d.v.VIPs(d.now())[0]; s.State != "unplaceable" || !strings.Contains(s.Why, "check x fails: 503") {
		t.Errorf("status: %+v", s)
	}
	d.tell(HealthJudged{Check: "x", Passes: true})
	if said := d.play(4900 * ms); done(said, "take") {
		t.Fatalf("taken back before the check had passed for as long as mature: %v", said)
	}
	if said := d.play(300 * ms); !done(said, "take") || !done(said, "raise") {
		t.Fatalf("not taken back: %v", said)
	}
}

// A required check takes the VIP down even if nothing can be written to etcd.
func TestRequiredCheckTakesTheVIPDownWithoutWrites(t *testing.T) {
	d, _ := checked(t, true)
	d.tell(undrained(d))
	d.tell(HealthJudged{Check: "x", Why: "503"})
	d.acts = nil // the write of its state is never answered
	d.wait(900*ms, true)
	if !d.v.local["web"].up {
		t.Fatal("it went before the others could know")
	}
	d.wait(300*ms, true)
	if d.v.local["web"].some {
		t.Fatal("it is still there")
	}
}

func TestNodeWhoseCheckHasJustFailedAcceptsNothing(t *testing.T) {
	d, b := checked(t, false)
	c := d.v.etcd.claims["web"]
	d.tell(undrained(d))
	theirs := claimOf("b", b[0].Create, c.version+1)
	d.tell(d.batch(d.put("claims/web", theirs, c.version+1)))
	d.play(200 * ms)
	d.tell(HealthJudged{Check: "x", Why: "503"})
	d.acts = nil // the write of its state is under way
	offer := theirs
	offer.To, offer.Writes = "a", c.version+2
	d.tell(d.batch(d.put("claims/web", offer, c.version+2)))
	if said := d.play(200 * ms); done(said, "accept") {
		t.Fatalf("it accepts: %v", said)
	}
	free := claimOf("", 0, c.version+3)
	free.Reg = ""
	d.tell(d.batch(d.put("drains/b", Intent{V: 1}, 1)), d.batch(d.put("claims/web", free, c.version+3)))
	if said := d.play(200 * ms); done(said, "take") {
		t.Fatalf("it takes what the others think that it is fit for: %v", said)
	}
	d.tell(StateWritten{(&decision{v: d.v, now: d.now(), wake: never}).wanted()})
	if said := d.play(200 * ms); !done(said, "take") {
		t.Fatalf("no other node can have it: %v", said)
	}
}

// Members that lack the same VIPs share what they cannot hold.
func TestCheckOfOneNodeSaysNothingOfAnother(t *testing.T) {
	v := New(testConfig("a", "dns", "web"), Now{})
	other := testConfig("b", "dns", "web")
	other.VIPs = other.VIPs[1:]
	l, digest := layout(other)
	v.etcd.layouts[digest] = l
	for i, node := range []string{"b", "c"} {
		v.etcd.members[node] = member{Member{Reg: node + "-1"}, int64(1 + i)}
		st := State{V: 1, State: StateReady, Weight: 1, Digest: digest, Planner: Planner}
		if node == "b" {
			st.Checks = []CheckState{{Check: "x", Fails: true}}
		}
		v.etcd.states[node] = stated{State: st, mod: 1}
	}
	if got := v.placement().assign["web"]; got != "c" {
		t.Errorf("it goes to %q, not to c", got)
	}
}
