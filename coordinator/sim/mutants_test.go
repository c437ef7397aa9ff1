package sim

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lineMutant is package plan with one condition taken out.
type lineMutant struct {
	rule  string
	theme string // of the schedules that find it soonest; "": of all
	edits []edit
}

// edit replaces some text of a file of package plan that stands there once.
type edit struct{ file, old, new string }

var lineMutants = []lineMutant{
	{"S1 stamp", "", []edit{{"fold.go", `c.Node == v.cfg.Node && c.Reg == v.self.reg.ID && c.MemberRev == v.self.reg.MemberRev`, `c.Node == v.cfg.Node`}}},
	{"S2 unanswered transfer", "moves", []edit{{"fold.go", `l.doubt = l.doubt || f.InDoubt && l.giving`, `l.doubt = l.doubt || false`}}},
	{"S3 new process", "moves", []edit{{"view.go", `doubt: true}`, `doubt: false}`}}},
	{"S4 own writes", "moves", []edit{{"store.go", `known.mod >= e.Mod`, `known.mod < 0`}}},
	{"S5 older state", "lags", []edit{{"store.go", `} else if s.rev >= c.mod {`, `} else {`}}},
	{"S6 timer of an owner", "lags", []edit{{"store.go", `return MemberRef{c.Node, c.MemberRev} }`, `return MemberRef{c.Node, 0} }`}}},
	{"S8 clock", "stalls", []edit{{"show.go", `Until: t0 + v.cfg.CheckTimeout`, `Until: never`}}},
	{"S9 count", "missing", []edit{{"self.go", `if f.Keys+created != f.Count {`, `if false {`}}},
	{"S9 changed", "missing", []edit{{"self.go", `v.fold(f.Changed, nil, now)`, ``}}},
	{"S9 missing", "missing", []edit{{"claims.go", `return e.since + max(v.cfg.Wait, c.wait()), "nobody held it", ok`, `return e.since, "nobody held it", ok`}}},
	{"S10 larger wait", "", []edit{{"claims.go", `return since + max(v.cfg.Wait, c.wait())`, `return since + v.cfg.Wait`}}},
	{"S10 larger wait, empty", "missing", []edit{{"claims.go", `return e.since + max(v.cfg.Wait, c.wait())`, `return e.since + v.cfg.Wait`}}},
	{"S10 transfer", "moves", []edit{
		{"show.go", `case c.wait() < v.cfg.Wait:`, `case false:`},
		{"claims.go", `n.WaitMS = max(n.WaitMS, v.waitMS())`, ``},
	}},
	{"rule 1 age", "", []edit{
		{"show.go", `return until, now < until`, `return until + 10*time.Second, true`},
		{"show.go", `Until: t0 + v.cfg.CheckTimeout`, `Until: never`},
	}},
	{"rule 4 giving", "moves", []edit{{"show.go", `case l.doubt || l.giving:`, `case l.doubt:`}}},
	{"rule 4 down first", "moves", []edit{{"claims.go", `down := !l.some && l.op == idle`, `down := l.op == idle`}}},
	{"rule 5 born", "missing", []edit{{"show.go", `case c.born() && !l.up:`, `case false:`}}},
	{"rule 5 own", "missing", []edit{{"claims.go", `l.lost && l.up && v.vipHere(vip)`, `l.lost && v.vipHere(vip)`}}},
	{"W", "", []edit{{"claims.go", `return since + max(v.cfg.Wait, c.wait())`, `return since + max(v.cfg.Wait, c.wait())/2`}}},
}

var mutantFlag = flag.String("sim.mutant", "", "run only the mutants whose rule contains this")

func TestMutants(t *testing.T) {
	for _, m := range lineMutants {
		if !strings.Contains(m.rule, *mutantFlag) {
			continue
		}
		t.Run(m.rule, func(t *testing.T) {
			binary := m.build(t)
			out, err := exec.Command(binary, "-test.run", "TestOneHolder", "-sim.schedules", "10000", "-sim.promise", "promise 1", "-sim.find", "1", "-sim.theme", m.theme).CombinedOutput()
			if err == nil {
				t.Fatalf("nothing breaks:\n%s", out)
			}
			t.Logf("%s", bytes.TrimSpace(out)) // which schedule
		})
	}
}

func (m lineMutant) build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{} // by what, on disk
	texts := map[string]string{}
	for _, e := range m.edits {
		path, err := filepath.Abs(filepath.Join("..", "plan", e.file))
		if err != nil {
			t.Fatal(err)
		}
		if texts[path] == "" {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(source)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			t.Fatalf("%s has %q %d times, not once", e.file, e.old, n)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
		replaced[path] = filepath.Join(dir, e.file)
		if err := os.WriteFile(replaced[path], []byte(texts[path]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim.test")
	build := exec.Command("go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}
