package sim

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// and joins rules that are broken at the same time, because each covers for the other.
const and = " + "

// mutants are the rules that are broken, one at a time, and the theme of the schedules that find each soonest. S1 to S10 are explained in docs/protocol.md,
// rules 1 to 5 in package plan. What a rule is about tells which promise it serves: rounds, frozen, flap and placement their own, all others the first.
var mutants = []struct{ rule, theme string }{
	{"S1: authority belongs to a registration and a stamp", "lags"},
	{"S2: an unanswered transfer leaves doubt", "hand-overs"},
	{"S3: a new process is in doubt", "hand-overs"},
	{"S4: nothing goes back behind an own write", "moves"},
	{"S5: an owner is not judged from a state older than its claim", "lags"},
	{"S6: the timer of one registration does not run for the next", "lags"},
	{"S7: W covers how late the kernel may be", "hand-overs"},
	{"S8: the clock is read before and after each kernel call", "stalls"},
	{"S8: an order to the kernel has an end", "stalls"},
	{"S9: a check brings the changed claims", "missing"},
	{"S9: an empty claim is waited out", "missing"},
	{"S10: the larger wait counts", "lags"},
	{"S10: an empty claim has the larger wait too", "missing"},
	{"S10: who accepts a move asks for its own wait", "hand-overs"},
	{"rule 1: a check grows old", "stalls"},
	{"rule 3: W", "lags"},
	{"rule 4: a write that gives away counts as done", "moves"},
	{"rule 4: the addresses are down first", "moves"},
	{"rule 5: a claim out of nothing is not shown", "twice"},
	{"rule 5: it is written only by who shows it", "twice"},
	{"S11: a check from another store", "restores"},
	{"names: a claim is about the addresses that it lists", "roll-out"},
	{"names: a check since the claim was won", "roll-out"},
	{"names: an address is not taken under a second name", "roll-out"},
	{"F1: a challenged node gains no authority", "flushes"},
	{"F1: an address is added on a young check", "flushes"},
	{"F2: an answer cancels", "flaps"},
	{"F3: an eviction names a registration", "returns"},
	{"F4: a node that hears nobody takes its VIPs down" + and + "F4: a node that its guards ask no more lives on its checks", "suspicions"},
	{"F4: a node that its guards ask no more lives on its checks", "splits"},
	{"F5: the LAN is asked before a fast takeover", "suspicions"},
	{"F7: an owner without a member key is guarded", "deaths"},
	{"rounds: an offer for balance takes a slot", "operators"},
	{"rounds: a round has so many slots", "operators"},
	{"rounds: the interval counts from the last slot", "operators"},
	{"rounds: two nodes do not fill one slot", "operators"},
	{"frozen: nobody is moved", "operators"},
	{"flap: a link that comes back is not trusted at once", "operators"},
	{"placement: pins", "operators"},
	{"placement: preferences bring home", "operators"},
	{"placement: weights", "operators"},
}

// edits turn package plan into one whose rules can be broken. Each text stands once in its file; when one is not found, its rule has been rewritten, and
// the edit has to follow.
var edits = []struct{ file, sound, breakable string }{
	{"fold.go", `c.MemberRev == v.self.reg.MemberRev && c.Node == v.cfg.Node && c.Reg == v.self.reg.ID`, `c.Node == v.cfg.Node && (broken("S1: authority belongs to a registration and a stamp") || c.MemberRev == v.self.reg.MemberRev && c.Reg == v.self.reg.ID)`},
	{"fold.go", `f.InDoubt && l.giving`, `!broken("S2: an unanswered transfer leaves doubt") && f.InDoubt && l.giving`},
	{"view.go", `doubt: true}`, `doubt: !broken("S3: a new process is in doubt")}`},
	{"store.go", `known.mod >= e.Mod {`, `!broken("S4: nothing goes back behind an own write") && known.mod >= e.Mod {`},
	{"store.go", `|| s.alive(c.owner()) || s.rev < c.mod {`, `|| s.alive(c.owner()) || s.rev < c.mod && !broken("S5: an owner is not judged from a state older than its claim") {`},
	{"store.go", `} else if s.rev >= c.mod {`, `} else if broken("S5: an owner is not judged from a state older than its claim") || s.rev >= c.mod {`},
	{"store.go", `return MemberRef{c.Node, c.MemberRev} }`, `return MemberRef{c.Node, pick("S6: the timer of one registration does not run for the next", 0, c.MemberRev)} }`},
	{"show.go", `Until: t0 + within`, `Until: pick("S8: an order to the kernel has an end", never, pick("rule 1: a check grows old", never, t0+within))`},
	{"self.go", `if _, accused := v.accused(); accused {`, `if _, accused := v.accused(); accused && !broken("F1: a challenged node gains no authority") {`},
	{"show.go", `until = v.self.good.t0 + v.addWithin()`, `until = v.self.good.t0 + pick("F1: an address is added on a young check", v.cfg.CheckTimeout, v.addWithin())`},
	{"show.go", `d.burst(due.raise, true, v.addWithin())`, `d.burst(due.raise, true, pick("F1: an address is added on a young check", v.cfg.CheckTimeout, v.addWithin()))`},
	{"show.go", `if sooner, unasked := v.unasked(l); unasked {`, `if sooner, unasked := v.unasked(l); unasked && !broken("F4: a node that its guards ask no more lives on its checks") {`},
	{"../../sentinel/ring.go", `	return true
}

func (m *Machine) known`, `	return !broken("F7: an owner without a member key is guarded")
}

func (m *Machine) known`},
	{"../../sentinel/machine.go", `		case t.mac == f.MAC ||`, `		case broken("F2: an answer cancels") && m.mine[t.ref] > 0:
			continue
		case t.mac == f.MAC ||`},
	{"contest.go", `	case !v.takesPart() || !v.evicted(c) || v.etcd.alive(c.owner()):
		return none`, `	case !v.takesPart() || !v.evicted(c) || v.etcd.alive(c.owner()):
		return none
	case broken("F5: the LAN is asked before a fast takeover"):
		return quiet`},
	{"contest.go", `!v.evicted(c) || v.etcd.alive(c.owner())`, `!v.evicted(c) && !v.evictedOnce(c) || v.etcd.alive(c.owner())`},
	{"show.go", `if v.evicted(c) {`, `if v.evicted(c) && !broken("evicted: it withdraws before anything else") {`},
	{"show.go", `return until, now < until`, `return until, now < until || broken("rule 1: a check grows old")`},
	{"self.go", `v.fold(f.Changed, nil, now)`, `v.fold(pick("S9: a check brings the changed claims", nil, f.Changed), nil, now)`},
	{"claims.go", `return e.since + max(v.cfg.Wait, c.wait(), e.wait)`, `return e.since + pick("S9: an empty claim is waited out", 0, pick("S10: an empty claim has the larger wait too", v.cfg.Wait, max(v.cfg.Wait, c.wait(), e.wait)))`},
	{"claims.go", `n.WaitMS = max(n.WaitMS, v.waitMS())`, `n.WaitMS = pick("S10: who accepts a move asks for its own wait", n.WaitMS, max(n.WaitMS, v.waitMS()))`},
	{"show.go", `case c.wait() < v.cfg.Wait:`, `case c.wait() < v.cfg.Wait && !broken("S10: who accepts a move asks for its own wait"):`},
	{"claims.go", `return since + max(v.cfg.Wait, c.wait())`, `return since + pick("S10: the larger wait counts", v.cfg.Wait, pick("rule 3: W", max(v.cfg.Wait, c.wait())/2, max(v.cfg.Wait, c.wait())))`},
	{"show.go", `case l.doubt || l.giving:`, `case l.doubt || l.giving && !broken("rule 4: a write that gives away counts as done"):`},
	{"claims.go", `if l.some || l.op != idle {`, `if !broken("rule 4: the addresses are down first") && (l.some || l.op != idle) {`},
	{"self.go", `case v.etcd.cluster != 0 && f.Cluster != v.etcd.cluster || f.Revision < max(f.Since, f.Highest) || v.contradicts(f):`, `case !broken("S11: a check from another store") && (v.etcd.cluster != 0 && f.Cluster != v.etcd.cluster || f.Revision < max(f.Since, f.Highest) || v.contradicts(f)):`},
	{"show.go", `v.self.good.revision < c.mod ||`, `v.self.good.revision < c.mod && !broken("names: a check since the claim was won") ||`},
	{"show.go", `case c.born() && !l.up:`, `case c.born() && !l.up && !broken("rule 5: a claim out of nothing is not shown"):`},
	{"claims.go", `return slices.Equal(c.Addresses, v.texts[vip])`, `return broken("names: a claim is about the addresses that it lists") || slices.Equal(c.Addresses, v.texts[vip])`},
	{"claims.go", `|| v.rivalName(vip, d.now.Boot) != ""`, `|| v.rivalName(vip, d.now.Boot) != "" && !broken("names: an address is not taken under a second name")`},
	{"claims.go", `l.lost && l.up && d.now.Boot < v.keepUntil(l)`, `l.lost && (l.up && d.now.Boot < v.keepUntil(l) || broken("rule 5: it is written only by who shows it"))`},
	{"offer.go", `if m.Round > 0 && d.v.cfg.MovesPerRound > 0 {`, `if m.Round > 0 && d.v.cfg.MovesPerRound > 0 && !broken("rounds: an offer for balance takes a slot") {`},
	{"round.go", `v.cfg.MovesPerRound-len(t.round.Slots)`, `v.cfg.MovesPerRound-pick("rounds: a round has so many slots", 0, len(t.round.Slots))`},
	{"round.go", `return v.evidence.round.since + v.cfg.Interval`, `return v.evidence.round.since + pick("rounds: the interval counts from the last slot", v.cfg.Interval/2, v.cfg.Interval)`},
	{"place.go", `Frozen: v.etcd.frozen != nil}`, `Frozen: v.etcd.frozen != nil && !broken("frozen: nobody is moved")}`},
	{"recover.go", `v.cfg.Mature<<min(l.fails, 16)`, `v.cfg.Mature<<min(l.fails, 16)/pick("flap: a link that comes back is not trusted at once", 4, time.Duration(1))`},
	{"place.go", `v.seats(&in)`, `if !broken("placement: pins") { v.seats(&in) }`},
	{"place.go", `Failback: v.cfg.Failback,`, `Failback: v.cfg.Failback && !broken("placement: preferences bring home"),`},
	{"place.go", `Weight: st.Weight,`, `Weight: pick("placement: weights", 1, st.Weight),`},
}

// breakable is what the edits call, in each package that has some.
const breakable = `
// Broken are the rules that are left out.
var Broken []string

func broken(rule string) bool {
	for _, b := range Broken {
		if b == rule {
			return true
		}
	}
	return false
}

func pick[T any](rule string, mutant, sound T) T {
	if broken(rule) {
		return mutant
	}
	return sound
}
`

// loose is what some edits of package plan call.
const loose = `
// evictedOnce tells whether some registration of the claim's owner was evicted.
func (v *View) evictedOnce(c claim) bool {
	e, ok := v.etcd.evictions[c.Node]
	return broken("F3: an eviction names a registration") && ok && c.valid() && c.Fast != (Terms{}) && e.Kept.covers(c.Fast)
}
`

// breaker connects them with this test.
const breaker = `package sim

import (
	"viplease/coordinator/plan"
	"viplease/sentinel"
)

func init() { breakRules = func(rules ...string) { plan.Broken, sentinel.Broken = rules, rules } }
`

var ruleFlag = flag.String("sim.rule", "", "TestMutants breaks only the rules that match, as -run does with subtests")

// breakRules breaks rules of packages plan and sentinel, and none else. It is set only in the test binary that TestMutants builds.
var breakRules func(rules ...string)

// TestMutants breaks each rule, and the simulation must notice: one that it does not notice is not tested, or not needed. The
// product has no switch for that. Two rules have dialogues instead: the count of claims in a check (S9), which nothing has needed since a missing claim is first
// written as empty, for the check reports that; and the wait of who accepts a move (S10), whose window is too small to be hit. A second test binary is built with an overlay of package plan.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a test binary and hunts some ten thousand schedules")
	}
	binary := buildBreakable(t)
	out, err := exec.CommandContext(t.Context(), binary, "-test.run", "^TestBrokenRules$/"+*ruleFlag, "-test.v", "-test.timeout", "8m").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// TestBrokenRules is run by TestMutants.
func TestBrokenRules(t *testing.T) {
	if breakRules == nil {
		t.Skip("only in the binary that TestMutants builds")
	}
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			rules := strings.Split(m.rule, and)
			breakRules(rules...)
			_, fast := fastThemeNames[m.theme]
			found, events := hunt(hunted{theme: m.theme, fast: fast, from: 1, most: mostOf(m.theme), find: 1, promise: promiseOf(m.rule), mutant: mutant{
				hurry:        promiseOf(m.rule) == "promise 1",
				noQuarantine: rules[0] == "F4: a node that hears nobody takes its VIPs down",
				noSlot:       m.rule == "rounds: two nodes do not fill one slot",
				noClock:      m.rule == "S8: the clock is read before and after each kernel call",
				noLate:       m.rule == "S7: W covers how late the kernel may be",
			}})
			if len(found) == 0 {
				t.Fatalf("nothing breaks in %d events", events)
			}
			t.Logf("schedule %d of %d events: %s (%d events in all)", found[0].seed, found[0].Events, found[0].Verdict, events)
		})
	}
}

// promiseOf is what a judge says first who notices that the rule is broken.
func promiseOf(rule string) string {
	switch kind, _, _ := strings.Cut(rule, ":"); kind {
	case "rounds", "frozen", "flap":
		return kind
	case "placement":
		return "promises 2 and 3"
	case "F7":
		return "fast"
	}
	return "promise 1"
}

// buildBreakable builds the test binary of this package with the edits.
func buildBreakable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		filepath.Join(here, "../plan/breakable.go"):        "package plan\n" + breakable + loose,
		filepath.Join(here, "../../sentinel/breakable.go"): "package sentinel\n" + breakable,
		filepath.Join(here, "breaker_test.go"):             breaker,
	}
	for _, e := range edits {
		path := filepath.Join(here, "../plan", e.file)
		if texts[path] == "" {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(source)
		}
		if n := strings.Count(texts[path], e.sound); n != 1 {
			t.Fatalf("%s has %q %d times, not once", e.file, e.sound, n)
		}
		texts[path] = strings.Replace(texts[path], e.sound, e.breakable, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range texts {
		file := filepath.Join(dir, strings.ReplaceAll(path, string(filepath.Separator), "_"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = file
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim.test")
	build := exec.Command("go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// mostOf is how many schedules of a theme may be needed. Those of fast takeover have many more events.
func mostOf(theme string) int {
	if _, fast := fastThemeNames[theme]; fast {
		return 2000
	}
	return 15_000
}
