package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"viplease/e2e/judge"
)

// A trial is how often the bench measures what.
type trial struct {
	rounds int   // of the comparison, in which every program has each accident once
	sizes  []int // of the figure
	deaths int   // for each size and program of the figure
	waits  int   // the same in strict mode, which takes twice as long
	limit  time.Duration
}

// compared is how many nodes the comparison has.
const compared = 3

// failover compares viplease with keepalived, and draws the figure of the Wackamole paper.
func failover(args []string) error {
	flags := flag.NewFlagSet("bench failover", flag.ExitOnError)
	quick := flags.Bool("quick", false, "each accident once, and the figure's ends only: about three minutes instead of seventeen")
	rounds := flags.Int("rounds", 0, "how `often` each accident happens to each program (4, and 2 for the figure in strict mode; with --quick 1)")
	into := flags.String("o", "", "the `folder` that failover.md, failover.svg and failover.csv go to (docs; with --quick a new one)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	t := trial{rounds: 4, sizes: []int{2, 3, 4, 6, 8, 10, 12}, deaths: 4, waits: 2, limit: 19 * time.Minute}
	if *quick {
		t = trial{rounds: 1, sizes: []int{2, 12}, deaths: 1, waits: 1, limit: 170 * time.Second}
	}
	if *rounds > 0 {
		t.limit = t.limit * time.Duration(max(*rounds, t.waits)) / time.Duration(t.waits)
		t.rounds, t.deaths, t.waits = *rounds, *rounds, *rounds
	}
	folder, err := destination(*into, *quick)
	if err != nil {
		return err
	}
	r := &report{at: time.Now(), machine: machine(), command: "scripts/bench failover", overlaps: map[*program][]judge.Overlap{}}
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "o" { // where it went is no matter of the figures
			r.command += fmt.Sprintf(" --%s=%v", f.Name, f.Value)
		}
	})
	t.run(r)
	if err := r.write(folder); err != nil {
		return err
	}
	fmt.Print(r.markdown())
	fmt.Fprintf(os.Stderr, "written to %s\n", folder)
	if len(r.wrong) > 0 {
		return fmt.Errorf("the figures are not whole:\n\t%s", strings.Join(r.wrong, "\n\t"))
	}
	return nil
}

func destination(into string, quick bool) (string, error) {
	switch {
	case into != "":
		return into, os.MkdirAll(into, 0o755)
	case quick:
		return os.MkdirTemp("", "failover-")
	default:
		return "docs", nil // scripts/bench runs this in the checkout's root
	}
}

// run measures until it is through or out of time. What goes wrong is in the report, and the rest goes on.
func (t trial) run(r *report) {
	began, late := time.Now(), 0
	measure := func(p *program, nodes int, stop bool, into *[]gap) {
		if time.Since(began) > t.limit {
			late++
			return
		}
		gaps, overlaps, err := p.measure(nodes, stop)
		if err != nil {
			r.fault("%s on %d nodes: %v", p.name, nodes, err)
		}
		*into = append(*into, gaps...)
		r.overlaps[p] = append(r.overlaps[p], overlaps...)
		fmt.Fprintf(os.Stderr, "%4.0f s  %s, %d nodes\n", time.Since(began).Seconds(), p.name, nodes)
		for _, g := range gaps {
			fmt.Fprintf(os.Stderr, "        %v\n", g)
		}
	}
	here := slices.DeleteFunc(slices.Clone(programs), (*program).missing)
	if len(here) < len(programs) {
		r.fault("there is no keepalived here to compare with")
	}
	for range t.rounds {
		for _, p := range here {
			measure(p, compared, true, &r.comparison)
		}
	}
	for round := range max(t.deaths, t.waits) {
		for _, nodes := range t.sizes {
			for _, p := range []*program{byDefault, tight, strict} {
				if p == strict && round < t.waits || p != strict && round < t.deaths {
					measure(p, nodes, false, &r.figure)
				}
			}
		}
	}
	if late > 0 {
		r.fault("out of time: the last %d accidents were left out", late)
	}
}

// machine says in words what this runs on, and what runs.
func machine() string {
	load, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	release, _, _ := strings.Cut(strings.TrimSpace(read("/proc/sys/kernel/osrelease")), "-")
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU()), "load average " + load + " when it began", "Linux " + release}
	for _, c := range []struct{ name, path, version string }{
		{"viplease", os.Getenv("VIPLEASE_BINARY"), "version"},
		{"etcd", filepath.Join(os.Getenv("VIPLEASE_ETCD"), "etcd"), "--version"},
		{"keepalived", "keepalived", "--version"},
	} {
		if out, err := exec.Command(c.path, c.version).CombinedOutput(); err == nil {
			line, _, _ := strings.Cut(string(out), "\n")
			parts = append(parts, c.name+" "+strings.TrimSpace(strings.TrimPrefix(strings.ToLower(line), c.name+" ")))
		}
	}
	return strings.Join(parts, ", ")
}
