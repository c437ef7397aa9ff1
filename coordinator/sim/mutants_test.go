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
	rule string
	file string // of package plan
	line string // as it stands there, once
	by   string // what it is replaced by
}

var lineMutants = []lineMutant{
	{"S1 stamp", "fold.go", `c.Node == v.cfg.Node && c.Reg == v.self.reg.ID && c.MemberRev == v.self.reg.MemberRev`, `c.Node == v.cfg.Node`},
	{"S2 unanswered transfer", "fold.go", `l.doubt = l.doubt || f.InDoubt && l.giving`, `l.doubt = l.doubt || false`},
	{"S3 new process", "view.go", `doubt: true}`, `doubt: false}`},
	{"S4 own writes", "store.go", `known.mod >= e.Mod`, `known.mod < 0`},
	{"S5 older state", "store.go", `} else if s.rev >= c.mod {`, `} else {`},
	{"S6 timer of an owner", "store.go", `return MemberRef{c.Node, c.MemberRev} }`, `return MemberRef{c.Node, 0} }`},
	{"S9 count", "self.go", `if f.Keys+created != f.Count {`, `if false {`},
	{"S9 missing", "claims.go", `return e.since + max(v.cfg.Wait, c.wait()), "nobody held it", ok`, `return e.since, "nobody held it", ok`},
	{"S10 larger wait", "claims.go", `return since + max(v.cfg.Wait, c.wait())`, `return since + v.cfg.Wait`},
	{"S10 larger wait, empty", "claims.go", `return e.since + max(v.cfg.Wait, c.wait())`, `return e.since + v.cfg.Wait`},
	{"S10 show", "show.go", `case c.wait() < v.cfg.Wait:`, `case false:`},
	{"rule 1 registration", "self.go", `s.good.memberRev == s.reg.MemberRev && `, ``},
	{"rule 1 age", "show.go", `return until, now < until`, `return until + 10*time.Second, true`},
	{"rule 1 age of an answer", "self.go", `case now-f.T0 > v.cfg.CheckTimeout:`, `case false:`},
	{"rule 4 giving", "show.go", `case l.doubt || l.giving:`, `case l.doubt:`},
	{"rule 5 born", "show.go", `case c.born() && !l.up:`, `case false:`},
	{"rule 5 own", "claims.go", `l.lost && l.up && v.vipHere(vip)`, `l.lost && v.vipHere(vip)`},
	{"W", "claims.go", `return since + max(v.cfg.Wait, c.wait())`, `return since + max(v.cfg.Wait, c.wait())/2`},
}

var mutantFlag = flag.String("sim.mutant", "", "run only the mutants whose rule contains this")

func TestMutants(t *testing.T) {
	for _, m := range lineMutants {
		if !strings.Contains(m.rule, *mutantFlag) {
			continue
		}
		t.Run(m.rule, func(t *testing.T) {
			binary := m.build(t)
			out, err := exec.Command(binary, "-test.run", "TestOneHolder", "-sim.schedules", "30000", "-sim.promise", "promise 1", "-sim.find", "2").CombinedOutput()
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
	path, err := filepath.Abs(filepath.Join("..", "plan", m.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.line); n != 1 {
		t.Fatalf("%s has the line %q %d times, not once", m.file, m.line, n)
	}
	broken := filepath.Join(dir, m.file)
	if err := os.WriteFile(broken, []byte(strings.Replace(string(source), m.line, m.by, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
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
