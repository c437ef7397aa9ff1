package e2e

import (
	"context"
	"errors"
	"flag"
	"net/netip"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

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

// returned waits until the load is even over all nodes again. Each eviction of a node within ten minutes doubles how long it has to be well before it is
// given VIPs; etcd is made to forget them, for what a long form repeats would take hours otherwise.
func returned(t *testing.T, c *cluster.Cluster, limit time.Duration) {
	t.Helper()
	began := time.Now()
	await(t, "all have registered, and so know of their eviction", limit, func() (all bool) {
		byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
			members, err := e.Get(ctx, keys+"members/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			if all = err == nil && int(members.Count) == len(c.Nodes); all {
				_, err = e.Delete(ctx, keys+"evictions/", clientv3.WithPrefix())
			}
			return err
		})
		return all
	})
	c.Within(limit-time.Since(began), "return", c.Even(c.Nodes...))
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
