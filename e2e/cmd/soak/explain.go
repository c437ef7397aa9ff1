package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"viplease/e2e/judge"
	"viplease/e2e/lab"
)

// explain prints all that helps to find out why the soak failed. halt is when it was stopped.
func (s *run) explain(halt time.Duration, err error) {
	fmt.Printf("\nFAILED at %.6f (%s into the soak): %v\n", halt.Seconds(), strings.TrimSpace(s.clock()), err)
	title("faults")
	for i, schedule := range s.schedules {
		fmt.Printf("schedule %d of seed %d:\n", i+1, s.o.seed)
		for _, f := range schedule {
			fmt.Println("   ", f)
		}
	}
	title("what became of them (instants since boot)")
	for _, o := range s.Outcomes() {
		fmt.Printf("    %.6f to %.6f %v\n", o.Began.Seconds(), o.Ended.Seconds(), o)
	}
	if errors.Is(err, errRed) {
		s.explainRed()
	} else {
		s.explainUnrest(halt)
	}
	title("keys in etcd")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	dump, err := s.Dump(ctx)
	fmt.Print(dump)
	if err != nil {
		fmt.Println("   ", err)
	}
}

func title(text string) { fmt.Printf("\n== %s\n", text) }

// explainRed shows what happened around the first overlaps.
func (s *run) explainRed() {
	const before, after, most = 10 * time.Second, aftermath, 3
	all := s.Judge.Faults()
	title(fmt.Sprintf("%d overlaps", len(all)))
	for _, o := range all {
		fmt.Println("   ", o)
	}
	for _, o := range all[:min(most, len(all))] {
		from, to := o.At-before, o.At+o.For+after
		title(fmt.Sprintf("around the overlap of %s at %.6f", o.VIP, o.At.Seconds()))
		fmt.Println("faults in force, or over for less than 10 s:")
		for _, f := range s.Outcomes() {
			if f.Began <= o.At && (f.Ended == 0 || f.Ended >= from) {
				fmt.Printf("    %.6f to %.6f %v\n", f.Began.Seconds(), f.Ended.Seconds(), f)
			}
		}
		fmt.Println("addresses:")
		for _, c := range s.Judge.History() {
			if c.VIP == o.VIP && from-time.Minute <= c.At && c.At <= to || c.Node == o.Nodes[0] && near(c, o) || c.Node == o.Nodes[1] && near(c, o) {
				fmt.Println("   ", c)
			}
		}
		for _, node := range o.Nodes {
			s.printLog(s.Node(node).Host, from, to)
		}
	}
}

// near tells whether a change was within a second of an overlap's beginning.
func near(c judge.Change, o judge.Overlap) bool {
	return o.At-time.Second <= c.At && c.At <= o.At+time.Second
}

// explainUnrest shows what everybody says and where everything is.
func (s *run) explainUnrest(halt time.Duration) {
	title("what is up where")
	fmt.Print(s.Layout())
	fmt.Println("answering:", s.Probe.Alive())
	title("status")
	for _, n := range s.Nodes {
		out, err := n.Viplease("status")
		fmt.Printf("%s$ viplease status (%v)\n%s", n.Name, err, out)
	}
	title("the last address changes")
	history := s.Judge.History()
	for _, c := range history[max(0, len(history)-60):] {
		fmt.Println("   ", c)
	}
	for _, n := range s.Nodes {
		s.printLog(n.Host, halt-settling-15*time.Second, halt)
	}
	for _, server := range s.Etcd.Servers {
		s.printLog(server.Host, halt-settling-15*time.Second, halt)
	}
}

// printLog prints what a host's log says of a stretch of time. Lines without a time belong to the one before.
func (s *run) printLog(h *lab.Host, from, to time.Duration) {
	const most = 400
	offset := time.Duration(time.Now().UnixNano()) - sinceBoot()
	var lines []string
	within := false
	for line := range strings.Lines(h.Logs()) {
		if at, ok := instant(line); ok {
			within = from <= at-offset && at-offset <= to
			line = fmt.Sprintf("%.3f %s", (at - offset).Seconds(), line)
		}
		if within {
			lines = append(lines, line)
		}
	}
	title(fmt.Sprintf("log of %s from %.3f to %.3f, %d lines", h.Name, from.Seconds(), to.Seconds(), len(lines)))
	for _, line := range lines[max(0, len(lines)-most):] {
		fmt.Print("    ", line)
	}
}

// instant reads the time of a line of a daemon's log ("time=...") or of etcd's ({"level":"...","ts":"..."), since the epoch.
func instant(line string) (time.Duration, bool) {
	for _, form := range []struct{ before, after, layout string }{
		{`time=`, ` `, time.RFC3339},
		{`"ts":"`, `"`, "2006-01-02T15:04:05.999999Z0700"},
	} {
		if _, rest, ok := strings.Cut(line, form.before); ok {
			text, _, _ := strings.Cut(rest, form.after)
			if t, err := time.Parse(form.layout, text); err == nil {
				return time.Duration(t.UnixNano()), true
			}
		}
	}
	return 0, false
}
