package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A dialogue is one node's view of a story: facts in, actions out, at fake times. Everything that the node does not ask for stays as it was.
type dialogue struct {
	t    *testing.T
	v    *View
	ms   int // now, milliseconds since boot
	rev  int64
	acts []Action
}

const ms = time.Millisecond

func testConfig(node string, vips ...string) Config {
	cfg := Config{
		Group: "g", Node: node, Machine: "m-" + node, Boot: "b-" + node, Seed: node,
		TTL: 3 * time.Second, Hold: 3 * time.Second, CheckInterval: 300 * ms, CheckTimeout: 300 * ms, Wait: 4610 * ms, Mature: 5 * time.Second,
		Failback: true, MovesPerRound: -1, Weight: 1, MaxWrites: 50,
	}
	for i, vip := range vips {
		cfg.VIPs = append(cfg.VIPs, VIP{Name: vip, Prefixes: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", 100+i))}})
	}
	return cfg
}

// start begins at 10 s since boot, with every VIP's interface known and no address up.
func start(t *testing.T, cfg Config) *dialogue {
	t.Helper()
	d := &dialogue{t: t, ms: 10_000, rev: 10}
	d.v = New(cfg, d.now())
	d.tell(placesOf(cfg), AddressesObserved{})
	return d
}

func placesOf(cfg Config) PlacesObserved {
	places := map[string]Place{}
	for _, vip := range cfg.VIPs {
		places[vip.Name] = Place{Addresses: []Address{{"net1", vip.Prefixes[0]}}}
	}
	return PlacesObserved{places}
}

func (d *dialogue) now() Now {
	return Now{Boot: time.Duration(d.ms) * ms, Wall: time.Unix(1_700_000_000, 0).Add(time.Duration(d.ms) * ms)}
}

// tell applies facts and lets the node decide.
func (d *dialogue) tell(facts ...Fact) {
	d.t.Helper()
	for _, f := range facts {
		d.v.Apply(f, d.now())
	}
	actions, wake := Decide(d.v, d.now())
	again, _ := Decide(d.v, d.now())
	if fmt.Sprint(actions) != fmt.Sprint(again) {
		d.t.Fatalf("deciding twice gave %v and then %v", actions, again)
	}
	d.v.Dispatched(actions, d.now())
	d.acts = append(d.acts, actions...)
	if rest, _ := Decide(d.v, d.now()); len(rest) > 0 {
		d.t.Fatalf("after %v, which is under way, it wants %v at once", actions, rest)
	}
	if wake < d.now().Boot {
		d.t.Fatalf("wake-up at %v is in the past of %v", wake, d.now().Boot)
	}
}

// wait lets time pass in steps of 10 ms, in which the node may decide, answering its checks and renewals as a healthy etcd would when healthy is set.
func (d *dialogue) wait(dur time.Duration, healthy bool) {
	d.t.Helper()
	for end := d.ms + int(dur/ms); d.ms < end; {
		d.ms += 10
		d.tell()
		if healthy {
			d.answer()
		}
	}
}

// answer answers what is routine: checks, renewals, state, layout, and address operations, all successfully.
func (d *dialogue) answer() {
	d.t.Helper()
	var kept []Action
	acts := d.acts
	d.acts = nil
	for _, a := range acts {
		switch a := a.(type) {
		case Check:
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: d.rev, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Changed: d.changed(a.Since), Count: a.Keys + d.born(a.Since)})
		case Renew:
			d.tell(Renewed{d.v.self.reg.Lease, 3 * time.Second})
		case WriteState:
			d.tell(StateWritten{a.State})
		case WriteLayout:
			d.tell(LayoutWritten{})
		case ReadAddresses:
			present := map[Address]bool{}
			for _, l := range d.v.local {
				if l.up {
					for _, addr := range l.place.Addresses {
						present[addr] = true
					}
				}
			}
			d.tell(AddressesObserved{Present: present})
		case RaiseAddresses:
			for _, it := range a.Items {
				d.tell(AddressesRaised{VIP: it.VIP, T0: a.T0})
				if it.Fresh {
					kept = append(kept, a)
				}
			}
		case ProbeAddresses:
			for _, it := range a.Items {
				d.tell(AddressesProbed{VIP: it.VIP})
			}
		case DelAddresses:
			kept = append(kept, a)
			for _, it := range a.Items {
				d.tell(AddressesDeleted{VIP: it.VIP})
			}
		default:
			kept = append(kept, a)
		}
	}
	for _, a := range d.acts {
		switch a.(type) {
		case Check, Renew:
		default:
			kept = append(kept, a)
		}
	}
	d.acts = kept
}

// said returns what the node wanted since the last call, routine left out.
func (d *dialogue) said() string {
	var lines []string
	for _, a := range d.acts {
		switch a.(type) {
		case Check, Renew, WriteState, WriteLayout, ReadAddresses:
			continue
		}
		lines = append(lines, a.String())
	}
	d.acts = nil
	return strings.Join(lines, "\n")
}

func (d *dialogue) want(text string) {
	d.t.Helper()
	if got := d.said(); got != strings.TrimSpace(text) {
		d.t.Fatalf("at %d ms it wants\n%s\nnot\n%s", d.ms, got, strings.TrimSpace(text))
	}
}

// changed are the claims that etcd has at a later revision than since: those that the node knows of, for in a dialogue it knows all.
func (d *dialogue) changed(since int64) (out []Entry) {
	for vip, c := range d.v.etcd.claims {
		if c.valid() && c.mod > since {
			out = append(out, Entry{Key: "claims/" + vip, Value: Encode(c.Claim), Create: c.create, Mod: c.mod, Version: c.version})
		}
	}
	return out
}

// memberValue is the node's member key as etcd has it.
func (d *dialogue) memberValue() []byte { return Encode(Member{V: 1, Reg: d.v.self.reg.ID}) }

// put makes an entry as etcd would have it after the next revision.
func (d *dialogue) put(key string, record any, version int64) Entry {
	d.rev++
	return Entry{Key: key, Value: Encode(record), Create: d.rev - version + 1, Mod: d.rev, Version: version}
}

func (d *dialogue) batch(changed ...Entry) BatchSeen {
	return BatchSeen{Revision: d.rev, Changed: changed}
}

// registered brings the node to a ready member that has seen an etcd with these entries, claims missing for no longer than now.
func (d *dialogue) register(entries ...Entry) {
	d.t.Helper()
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: entries})
	d.want("register " + d.v.cfg.Seed + "-1 joining")
	d.rev++
	d.tell(Registered{Registration{d.v.cfg.Seed + "-1", d.rev, 77, 3 * time.Second}, d.rev, State{V: 1, State: StateJoining, Digest: d.v.digest}})
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Empty {
			d.commit()
			break
		}
	}
	d.answer()
	d.acts = nil
}

// member is another node's registration, ready, with the same configuration.
func (d *dialogue) member(node string) []Entry {
	m := d.put("members/"+node, Member{V: 1, Reg: node + "-1", Machine: "m-" + node, Boot: "b-" + node}, 1)
	st := d.put("states/"+node, State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner}, 1)
	return []Entry{m, st}
}

func claimOf(node string, memberRev, writes int64) Claim {
	return Claim{V: 1, VIP: "web", Node: node, Reg: node + "-1", MemberRev: memberRev, WaitMS: 4610, Addresses: []string{"192.0.2.100/32"}, Writes: writes, Try: "x"}
}

// commit answers the one transaction that the node wants now: won, and folded by the watch as well.
func (d *dialogue) commit() {
	d.t.Helper()
	for i, a := range d.acts {
		if c, ok := a.(Commit); ok {
			d.acts = append(d.acts[:i:i], d.acts[i+1:]...)
			d.rev++
			f := ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: c.Writes, Revision: d.rev, Member: true}
			for range c.Writes {
				f.Results = append(f.Results, WriteResult{Won: true})
			}
			d.tell(f)
			return
		}
	}
	d.t.Fatalf("no transaction among %v", d.acts)
}

// holding brings node a to hold web.
func holding(t *testing.T) *dialogue {
	t.Helper()
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.wait(30*ms, true)
	d.want("raise +web\nannounce web")
	return d
}

func TestFirstClaimWaitsForMatureAndW(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(4980*ms, true)
	d.want("")
	d.wait(40*ms, true)
	d.want("commit take web if 12") // which says since when nobody is known to hold it
}

func TestClaimThenCheckThenRaise(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.wait(290*ms, false) // the last check is old by now, and its successor unanswered
	d.commit()
	for _, a := range d.acts {
		if _, ok := a.(RaiseAddresses); ok {
			t.Fatalf("it raises on a check that is %v old", d.now().Boot-d.v.self.good.t0)
		}
	}
	d.answer()
	d.want("probe +web") // nobody knows who held it last: ask the LAN first
	d.tell(AddressesProbed{VIP: "web"})
	d.want("raise +web")
}

func TestTakesOverOnlyAfterW(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	d.want("")
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(4600*ms, true)
	d.want("")
	d.wait(20*ms, true)
	d.want(fmt.Sprintf("commit take web if 13, b/%d gone", b[0].Create))
}

func TestLargerWaitInTheClaimCounts(t *testing.T) { // S10
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	c.WaitMS = 7000
	d.register(append(b, d.put("claims/web", c, 1))...)
	d.wait(6*time.Second, true)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(6900*ms, true)
	d.want("")
	d.wait(120*ms, true)
	if got := d.said(); !strings.Contains(got, "take web") {
		t.Fatalf("not taken after the larger wait: %q", got)
	}
}

func TestTimerOfAnOwnerDoesNotRunForTheNext(t *testing.T) { // S6
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(4*time.Second, true)
	again := d.member("b")
	d.tell(d.batch(append(again, d.put("claims/web", claimOf("b", again[0].Create, 2), 2))...))
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}, {"states/b", d.rev}}})
	d.wait(4600*ms, true)
	d.want("")
}

func TestOwnerIsNotJudgedFromAnOlderState(t *testing.T) { // S5
	d := start(t, testConfig("a", "web"))
	d.register(d.put("claims/web", Claim{V: 1, VIP: "web", WaitMS: 4610, Writes: 1, Try: "x", Addresses: []string{"192.0.2.100/32"}}, 1))
	d.wait(5030*ms, true)
	// b registered and took it; this node knows the claim from its lost write alone, its watch lags behind b's registration.
	b := d.put("members/b", Member{V: 1, Reg: "b-1"}, 1)
	newer := d.put("claims/web", claimOf("b", b.Create, 2), 2)
	var lost []ClaimWrite
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			lost = c.Writes
		}
	}
	d.acts = nil
	d.tell(ClaimsCommitted{Writes: lost, Revision: d.rev, Member: true, Results: []WriteResult{{Current: &newer}}})
	d.wait(10*time.Second, false)
	d.want("")
}

func TestReStampsBeforeItShowsAgain(t *testing.T) { // S1
	d := holding(t)
	d.rev++
	d.tell(RenewFailed{Lease: 77, Gone: true}, BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/a", d.rev}, {"states/a", d.rev}}})
	d.wait(600*ms, false)
	d.want("revoke\nregister a-2 ready")
	d.rev++
	d.tell(Registered{Registration{"a-2", d.rev, 78, 3 * time.Second}, d.rev, State{V: 1, State: StateReady, Digest: d.v.digest, Planner: Planner}})
	d.wait(10*ms, true)
	d.want(fmt.Sprintf("commit re-stamp web if %d", d.v.etcd.claims["web"].mod)) // and no refresh on the new check
	// The old stamp is not shown any longer, whatever checks say.
	if _, ok := d.v.mayShow("web", d.now().Boot); ok {
		t.Fatal("it may show a claim of an earlier registration")
	}
}

func TestUnansweredTransferLeavesDoubt(t *testing.T) { // S2
	d := holding(t)
	c := d.v.etcd.claims["web"]
	b := d.member("b")
	d.tell(d.batch(append(b, d.put("drains/a", Intent{V: 1}, 1))...))
	d.want(fmt.Sprintf("commit offer web if %d, b/%d here", c.mod, b[0].Create))
	d.acts = []Action{Commit{Writes: d.inFlight(Offer, "b")}}
	d.commit()
	accepted := d.v.etcd.claims["web"].Claim
	accepted.Accept, accepted.Writes = b[0].Create, accepted.Writes+1
	e := d.put("claims/web", accepted, accepted.Writes)
	e.Create = c.create
	d.tell(d.batch(e))
	d.want("del web")
	d.tell(AddressesDeleted{VIP: "web"})
	d.want(fmt.Sprintf("commit transfer web if %d, b/%d here", e.Mod, b[0].Create))
	d.tell(ClaimsFailed{Writes: []ClaimWrite{{VIP: "web", Kind: Transfer}}, InDoubt: true})
	d.wait(300*ms, true)
	d.want(fmt.Sprintf("commit re-stamp web if %d", e.Mod)) // not: raise
}

func (d *dialogue) inFlight(k Kind, to string) []ClaimWrite {
	c := d.v.etcd.claims["web"]
	n := c.Claim
	n.To, n.Writes = to, c.version+1
	return []ClaimWrite{{VIP: "web", Kind: k, Claim: n, IfMod: c.mod}}
}

func TestWithdrawsAtHold(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(CheckFailed{fmt.Errorf("no answer")})
	last := d.v.self.good.t0
	for d.now().Boot < last+3*time.Second-10*ms {
		d.ms += 10
		d.tell()
		if s := d.said(); s != "" {
			t.Fatalf("%v before hold is over it wants %s", last+3*time.Second-d.now().Boot, s)
		}
		d.tell(CheckFailed{fmt.Errorf("no answer")})
	}
	d.wait(20*ms, false)
	d.want("del web")
}

func TestMissingClaimIsWrittenAgainByItsHolderAlone(t *testing.T) { // S9
	d := holding(t)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"claims/web", d.rev}}})
	if _, ok := d.v.mayShow("web", d.now().Boot); ok {
		t.Fatal("it may show a VIP whose claim is missing")
	}
	if got := d.acts[len(d.acts)-1].String(); got != "commit re-stamp web if 0" {
		t.Fatalf("it wants %s", got)
	}
	d.commit() // the claim came out of nothing: it is written once more, while the address is up
	d.want("commit re-stamp web if 15")
	// Everybody else waits W.
	o := start(t, testConfig("o", "web"))
	b := o.member("b")
	o.register(append(b, o.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	o.wait(6*time.Second, true)
	o.rev++
	o.tell(BatchSeen{Revision: o.rev, Deleted: []Deleted{{"claims/web", o.rev}, {"members/b", o.rev}, {"states/b", o.rev}}})
	o.commit() // empty
	o.wait(4600*ms, true)
	o.want("")
	o.wait(20*ms, true)
	o.want("commit take web if 16")
}

func TestCheckThatMissesAClaimExtendsNothing(t *testing.T) { // S9
	d := holding(t)
	before := d.v.self.good.t0
	d.ms += 310
	d.tell()
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			d.acts = nil
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: c.Since, Keys: c.Keys, Revision: d.rev + 1, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Count: c.Keys - 1})
		}
	}
	if d.v.self.good.t0 != before {
		t.Fatal("a check that found a claim missing extended authority")
	}
	d.want("reread")
}

func TestHandWrittenClaimIsEvidenceOfNothing(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(append(b, d.put("claims/web", claimOf("b", b[0].Create, 1), 1))...)
	d.wait(6*time.Second, true)
	released := Claim{V: 1, VIP: "web", Writes: 1, Try: "by hand"} // says write 1, but it is the second
	e := d.put("claims/web", released, 2)
	d.tell(d.batch(e))
	d.want("commit empty web if 15") // W runs from when that is seen
}

func TestNewProcessKeepsButDoesNotRefreshBeforeItHasWritten(t *testing.T) { // S3, A9
	cfg := testConfig("a", "web")
	d := &dialogue{t: t, ms: 10_000, rev: 20}
	d.v = New(cfg, d.now())
	reg := Registration{"a-1", 11, 77, 3 * time.Second}
	d.tell(Remembered{Last: reg, Known: []string{"a-1"}}, placesOf(cfg), AddressesObserved{Present: map[Address]bool{{"net1", cfg.VIPs[0].Prefixes[0]}: true}})
	d.want("")
	c := claimOf("a", 11, 1)
	d.tell(SnapshotRead{Cluster: 1, Revision: 20, Entries: []Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: "a-1"}), Create: 11, Mod: 11, Version: 1},
		{Key: "states/a", Value: Encode(State{V: 1, State: StateReady, Digest: d.v.digest, Planner: Planner}), Create: 11, Mod: 11, Version: 1},
		{Key: "claims/web", Value: Encode(c), Create: 12, Mod: 12, Version: 1},
	}})
	d.answer()
	d.want("commit re-stamp web if 12")
	d.acts = []Action{Commit{Writes: d.inFlight(Restamp, "")}}
	d.commit()
	d.want("raise web") // a refresh, not an add
	d.tell(AddressesRaised{VIP: "web", T0: d.v.self.good.t0})
	d.want("announce web (kept)")
}

func TestNewProcessGivesNothingAwayBeforeItHasLookedAtTheKernel(t *testing.T) {
	cfg := testConfig("a", "web")
	d := &dialogue{t: t, ms: 10_000, rev: 20}
	d.v = New(cfg, d.now())
	d.tell(Remembered{Last: Registration{"a-1", 11, 77, 3 * time.Second}, Known: []string{"a-1"}})
	d.tell(SnapshotRead{Cluster: 1, Revision: 20, Entries: []Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: "a-1"}), Create: 11, Mod: 11, Version: 1},
		{Key: "claims/web", Value: Encode(claimOf("a", 11, 1)), Create: 12, Mod: 12, Version: 1},
	}})
	d.v.Apply(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: 20, Keys: 1, Revision: 20, MemberRev: 11, Member: Encode(Member{V: 1, Reg: "a-1"}), Count: 1}, d.now())
	d.tell()
	d.want("") // its interface is not known yet, but its address may well be up
}

func TestStoreThatWentBackIsForgotten(t *testing.T) { // S11
	d := holding(t)
	d.tell(BatchSeen{Revision: d.rev})
	d.rev = 9
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: []Entry{{Key: "claims/web", Value: Encode(claimOf("a", 11, 1)), Create: 12, Mod: 12, Version: 1}}})
	d.want("del web\nrevoke\nregister a-2 joining")
	if _, ok := d.v.mayShow("web", d.now().Boot); ok {
		t.Fatal("it may show a VIP by what it knew")
	}
}

func TestAcceptsOnlyWhatItCouldRaiseAtOnce(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	d.register(append(b, d.put("claims/web", c, 1))...)
	d.wait(2*time.Second, true)
	offer := c
	offer.To, offer.Writes = "a", 2
	e := d.put("claims/web", offer, 2)
	d.tell(d.batch(e))
	d.wait(500*ms, true)
	d.want("") // joining
	d.wait(3*time.Second, true)
	d.want(fmt.Sprintf("commit accept web if %d", e.Mod))
}

func TestForeignNameIsRefusedAndBothAreNamed(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: []Entry{d.put("members/a", Member{V: 1, Reg: "z", Machine: "other", Boot: "b"}, 1)}})
	d.wait(time.Second, false)
	d.want("")
	if s := d.v.Standing().Trouble; !strings.Contains(s, "machine other") || !strings.Contains(s, "machine m-a") {
		t.Fatalf("trouble %q does not name both machines", s)
	}
}

func TestAddressUnderTwoNamesIsTakenUnderNeither(t *testing.T) {
	d := start(t, testConfig("a", "www")) // 192.0.2.100; b still calls it web, and does not hold it
	b := d.member("b")
	old := Layout{V: 1, VIPs: []LayoutVIP{{Name: "web", Addresses: []string{"192.0.2.100/32"}}}}
	b[1] = d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: "old", Planner: Planner}, 1)
	d.register(append(b, d.put("configs/old", old, 1))...)
	d.wait(6*time.Second, true)
	d.want("")
	d.tell(d.batch(d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, Cannot: []string{"www"}}, 2)))
	d.wait(20*ms, true)
	d.want("commit take www if 16")
}

func TestAddressClaimedUnderAnotherNameIsNotTaken(t *testing.T) {
	d := start(t, testConfig("a", "www"))
	b := d.member("b")
	c := claimOf("b", b[0].Create, 1)
	d.register(append(b[:1], d.put("claims/web", c, 1))...)
	d.wait(6*time.Second, true)
	d.want("")
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}}})
	d.wait(4600*ms, true)
	d.want("")
	d.wait(20*ms, true)
	d.want("commit take www if 15")
}

func TestClaimOutOfNothingIsShownOnlyByWhomItsAddressIsUpAllAlong(t *testing.T) {
	d := holding(t)
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"claims/web", d.rev}}})
	late := d.acts[len(d.acts)-1].(Commit)
	d.tell(ClaimsFailed{Writes: late.Writes, InDoubt: true})
	d.wait(3100*ms, false) // cut off: it withdraws
	d.tell(AddressesDeleted{VIP: "web"}, CheckFailed{}, ClaimsFailed{Writes: late.Writes, InDoubt: true})
	d.acts = nil
	// The write commits after all: others may have held and lost the VIP in between.
	c := late.Writes[0].Claim
	d.tell(d.batch(d.put("claims/web", c, 1)))
	d.wait(400*ms, true)
	if got := d.said(); !strings.HasPrefix(got, "commit empty web if ") || strings.Contains(got, "raise") {
		t.Fatalf("it wants %q", got)
	}
}

func TestEmptyClaimAsksForTheWidestWaitKnown(t *testing.T) { // S10
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	b[1] = d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, WaitMS: 9000}, 1)
	d.register(b...)
	if got := d.v.etcd.claims["web"]; !got.Empty || got.WaitMS != 9000 {
		t.Fatalf("the empty claim is %+v", got.Claim)
	}
}

func TestTargetWithALongerHoldAsksForItsOwnWaitWhenItAccepts(t *testing.T) { // S10
	cfg := testConfig("a", "web")
	cfg.Wait = 9 * time.Second
	d := start(t, cfg)
	b := d.member("b")
	offer := claimOf("b", b[0].Create, 1)
	offer.To = "a"
	d.register(append(b, d.put("claims/web", offer, 1))...)
	d.wait(5100*ms, true)
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Accept && c.Writes[0].Claim.WaitMS == 9000 {
			return
		}
	}
	t.Fatalf("it wants %v", d.acts)
}

func TestClaimCopiedFromAnotherKeyIsForeign(t *testing.T) {
	if _, err := decodeClaim("web", Encode(claimOf("b", 7, 2)), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := decodeClaim("dns", Encode(claimOf("b", 7, 2)), 2); err == nil {
		t.Fatal("the claim of web was taken for that of dns")
	}
}

func TestStateDeletedByHandMovesNothing(t *testing.T) {
	d := holding(t)
	d.tell(d.batch(d.member("b")...))
	d.acts = nil
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"states/a", d.rev}, {"states/b", d.rev}}})
	if got := d.acts; len(got) != 1 || got[0].String() != "state ready" {
		t.Fatalf("it wants %v, not just its state again", got)
	}
	if !d.v.ready("b") {
		t.Fatal("b, which stands, counts as not ready")
	}
}

func TestAddressThatKeepsVanishingIsGivenUp(t *testing.T) {
	d := holding(t)
	for i := range fightsMost + 1 {
		d.tell(AddressChanged{Address: Address{"net1", d.v.cfg.VIPs[0].Prefixes[0]}})
		d.acts = nil
		d.tell(AddressesObserved{})
		d.wait(20*ms, true)
		if i < fightsMost {
			d.want("raise +web\nannounce web")
		}
	}
	if got := d.said(); !strings.HasPrefix(got, "commit release web") {
		t.Fatalf("after %d fights in a minute it wants %q", fightsMost+1, got)
	}
}

func TestAfterAPauseNothingIsSetBeforeACheck(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(Paused{"test"})
	if _, ok := d.v.mayShow("web", d.now().Boot); ok || d.v.MayAnnounce() > d.now().Boot {
		t.Fatal("it may set or announce on a check from before the pause")
	}
	if len(d.acts) == 0 {
		t.Fatal("it does not check at once")
	}
	d.ms++
	d.answer()
	if _, ok := d.v.mayShow("web", d.now().Boot); !ok || d.v.MayAnnounce() <= d.now().Boot {
		t.Fatal("it may not, after a check")
	}
}

func TestStoreThatWentBackIsReadAgainAndForgottenOnce(t *testing.T) {
	d := holding(t)
	d.tell(BatchSeen{Revision: d.rev})
	d.ms += 310
	d.tell()
	var sent Check
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			sent = c
		}
	}
	d.acts = nil
	d.rev = 1
	d.tell(SnapshotRead{Cluster: 1, Revision: 1})
	d.acts = nil
	d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: sent.Since, Keys: sent.Keys, Revision: 1})
	if !d.v.etcd.synced {
		t.Fatal("an answer to a check from before made it forget the new store as well")
	}
	e := holding(t)
	e.tell(BatchSeen{Revision: e.rev})
	e.acts = nil
	e.tell(CheckAnswered{T0: e.now().Boot, Cluster: 1, Since: e.rev, Revision: 1})
	if got := e.said(); !strings.Contains(got, "reread") {
		t.Fatalf("a check that sees the store go back leads to %q", got)
	}
}

func TestAddressThatAMachineOutsideTheClusterHasStaysDown(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.want("probe +web")
	d.tell(AddressesProbed{VIP: "web", Rival: "02:00:00:00:00:01"})
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Release && c.Writes[0].Claim.Contested {
			d.commit()
			d.wait(5*time.Second, true)
			d.want("") // it tries again later
			d.wait(6*time.Second, true)
			if w := d.acts[0].(Commit).Writes[0]; w.Kind != Take || !w.Probe {
				t.Fatalf("it wants %v", w)
			}
			return
		}
	}
	t.Fatalf("it wants %v", d.acts)
}

// TestAnswerToAProbeOfAClaimSinceGivenAway: a node that comes up first claims all, asks the LAN, and has given half away before the answer is there.
func TestAnswerToAProbeOfAClaimSinceGivenAway(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.want("probe +web")
	b := d.member("b")
	c := claimOf("b", b[0].Create, 3)
	d.tell(d.batch(append(b, d.put("claims/web", c, 3))...))
	d.tell(AddressesProbed{VIP: "web", Rival: "02:00:00:00:00:0b"}) // its new holder
	if why := d.v.local["web"].why; why != "" {
		t.Errorf("it cannot hold the VIP: %s", why)
	}
	for _, n := range d.v.Notes() {
		if n.What == "conflict" {
			t.Errorf("it says: %s", n.Why)
		}
	}
}

func TestRivalIsAnsweredAfterACheckOrNotAtAll(t *testing.T) {
	heard := RivalHeard{Address: Address{"net1", netip.MustParsePrefix("192.0.2.100/32")}, Hardware: "02:00:00:00:00:01"}
	d := holding(t)
	d.acts = nil
	d.tell(heard)
	d.wait(20*ms, true)
	if got := d.said(); !strings.Contains(got, "announce web") {
		t.Fatalf("after a good check it wants %q, no defence", got)
	}
	d.tell(heard)
	d.wait(9*time.Second, true)
	if got := d.said(); strings.Contains(got, "announce") {
		t.Fatal("it defends more than once in ten seconds")
	}
	e := holding(t)
	e.acts = nil
	e.tell(heard)
	e.wait(110*ms, false) // no answer from etcd
	if got := e.said(); got != "del web" {
		t.Fatalf("without a check in 100 ms it wants %q", got)
	}
}

func TestOwnKeysThatWereOverwrittenByHandAreWrittenAgain(t *testing.T) {
	d := holding(t)
	d.ms += 310
	d.tell()
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			d.acts = nil
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: c.Since, Keys: c.Keys, Revision: d.rev, MemberRev: d.v.self.reg.MemberRev, Member: []byte("x"), Changed: d.changed(c.Since), Count: c.Keys + d.born(c.Since)})
			break
		}
	}
	var mend Commit
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			mend = c
		}
	}
	if len(mend.Puts) != 2 || mend.Puts[0].Lease != 77 || mend.Puts[0].Key != "members/a" {
		t.Fatalf("its member key was overwritten, and it wants %v", d.acts)
	}
	d.tell(ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Revision: d.rev, Member: true})
	d.acts = nil
	d.tell(LayoutWritten{Err: fmt.Errorf("configs/x is taken")})
	if got := d.said2(); !strings.Contains(got, "put configs/") {
		t.Fatalf("its configuration was overwritten, and it wants %q", got)
	}
}

// said2 is said without forgetting it.
func (d *dialogue) said2() string {
	acts := d.acts
	text := d.said()
	d.acts = acts
	return text
}

func TestCheckThatLacksAKnownChangeMeansThatTheStoreWentBack(t *testing.T) {
	d := holding(t) // its claim is known at a revision that its view has not reached
	d.ms += 310
	d.tell()
	for _, a := range d.acts {
		if c, ok := a.(Check); ok {
			d.acts = nil
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: c.Since, Keys: c.Keys, Revision: d.rev + 5, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Count: c.Keys})
			break
		}
	}
	if got := d.said(); !strings.HasPrefix(got, "del web") {
		t.Fatalf("it wants %q", got)
	}
}

func TestOldEmptyClaimCopiedBackIsWaitedOutWithTheWidestWait(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	b[1] = d.put("states/b", State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner, WaitMS: 9000}, 1)
	d.register(append(b, d.put("claims/web", Claim{V: 1, VIP: "web", Empty: true, WaitMS: 1000, Writes: 1, Try: "x"}, 1))...)
	d.wait(8900*ms, true)
	d.want("")
}

func TestStateSeenByTheWatchIsNewerThanTheAnswerToItsWrite(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev})
	d.acts = nil
	d.rev++
	joining := State{V: 1, State: StateJoining, Digest: d.v.digest, Planner: Planner}
	d.tell(Registered{Registration{"a-1", d.rev, 77, 3 * time.Second}, d.rev, joining})
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
