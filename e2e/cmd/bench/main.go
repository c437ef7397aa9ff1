// Bench measures viplease in a lab of network namespaces and prints tables in Markdown. Run it with scripts/bench.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"viplease/e2e/lab"
)

// A bench is one sub-command.
type bench struct {
	name, what string
	run        func(args []string) error
}

var benches = []bench{
	{"failover", "what a client loses when a host dies or a daemon is stopped, beside keepalived", failover},
	{"mass", "the death of a node that holds hundreds of VIPs, and a drain of 1,000", mass},
	{"idle", "what a daemon costs that has nothing to do", idle},
}

func main() {
	at := slices.IndexFunc(benches, func(b bench) bool { return len(os.Args) > 1 && b.name == os.Args[1] })
	if at < 0 {
		fmt.Fprintln(os.Stderr, "usage: bench failover|mass|idle [--help]")
		for _, b := range benches {
			fmt.Fprintf(os.Stderr, "  %-10s %s\n", b.name, b.what)
		}
		os.Exit(2)
	}
	lab.Main(lab.NeedEtcd, lab.NeedViplease)
	if err := benches[at].run(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// table prints rows as markdown does.
func table(rows [][]string) { fmt.Println(markdown(rows)) }

// markdown writes rows as a table in Markdown, the first of them as the head.
func markdown(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}
