package e2e

import (
	"errors"
	"flag"
	"net/netip"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/judge"
	"viplease/e2e/lab"
)

// long runs each scenario as often as its figures deserve; see scripts/test --long.
var long = flag.Bool("long", false, "run every scenario in its long form")

func init() {
	flag.Func("mode", "fast, as viplease is shipped, or strict: what every scenario runs in that does not say", func(text string) error {
		mode, ok := map[string]cluster.Mode{"fast": cluster.Fast, "strict": cluster.Strict}[text]
		if !ok {
			return errors.New("fast or strict")
		}
		cluster.Run = mode
		return nil
	})
}

// rounds is how often something is repeated: in the short form that every change runs, and in the long one.
func rounds(short, full int) int {
	if *long {
		return full
	}
	return short
}

// run runs a command of viplease on the node and returns what it printed. It must succeed.
func run(t *testing.T, n *lab.Node, args ...string) string {
	t.Helper()
	out, err := n.Viplease(args...)
	if err != nil {
		t.Fatalf("viplease %v on %s: %v\n%s", args, n.Name, err, out)
	}
	return out
}

// follow makes the judge hear a machine that was booted anew.
func follow(t *testing.T, c *cluster.Cluster, n *lab.Node) {
	t.Helper()
	if err := c.Judge.AddMachine(judge.Machine{Name: n.Name, NS: n.NetNS()}); err != nil {
		t.Fatal(err)
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// await looks until ok says so. What is looked at has no event to wait for, such as a log.
func await(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		observe(5 * time.Millisecond)
	}
}
