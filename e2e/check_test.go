package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// fitFile makes a node pass the check of these scenarios.
const fitFile = "/run/fit"

func fit(t *testing.T, nodes ...*lab.Node) {
	t.Helper()
	for _, n := range nodes {
		if err := os.WriteFile(n.Path(fitFile), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func unfit(t *testing.T, nodes ...*lab.Node) {
	t.Helper()
	for _, n := range nodes {
		if err := os.Remove(n.Path(fitFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// fitCheck is a check that looks for the file ten times a second.
func fitCheck(require bool) string {
	return fmt.Sprintf("[[check]]\nname = \"file\"\ncommand = [\"/bin/sh\", \"-c\", \"test -e %s || { echo no file; exit 1; }\"]\ninterval = \"100ms\"\ntimeout = \"3s\"\nrequire = %v\n", fitFile, require)
}

// badChecks fork and flood, and pass; they hang, do not exist and ask where nobody answers, and fail everywhere.
const badChecks = `
[[check]]
name = "hangs"
command = ["/bin/sh", "-c", "sleep 98765 & sleep 98765"]
interval = "100ms"
timeout = "200ms"
[[check]]
name = "forks"
command = ["/bin/sh", "-c", "sleep 98765 & sleep 98765 & exit 0"]
interval = "100ms"
[[check]]
name = "floods"
command = ["/bin/sh", "-c", "head -c 1000000 /dev/zero; exit 0"]
interval = "100ms"
[[check]]
name = "missing"
command = ["/usr/lib/no/such/program"]
interval = "100ms"
[[check]]
name = "web"
http = "http://127.0.0.1:9/"
interval = "100ms"
[[check]]
name = "port"
tcp = "[::1]:9"
interval = "100ms"
`

// says waits until the status on a node says so of another.
func says(t *testing.T, c *cluster.Cluster, on, of *lab.Node, state string, words ...string) {
	t.Helper()
	last := ""
	deadline := time.Now().Add(patience)
	for {
		s, err := c.Status(on)
		for _, m := range s.Members {
			if m.Node != of.Name {
				continue
			}
			if last = m.State + ": " + m.Why; m.State == state && containsAll(m.Why, words) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s says of %s that it is %q, not that it is %s with %q; %v", on.Name, of.Name, last, state, words, err)
		}
	}
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// left are the processes that the bad checks have left behind.
func left() (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if line, _ := os.ReadFile(f); string(line) == "sleep\x0098765\x00" {
			n++
		}
	}
	return n
}

// reload gives all daemons another configuration.
func reload(t *testing.T, c *cluster.Cluster, tables string) {
	t.Helper()
	for _, n := range c.Nodes {
		reconfigure(t, c, n, c.Config(n.Name)+tables)
	}
}

// reconfigure gives one daemon another configuration.
func reconfigure(t *testing.T, c *cluster.Cluster, n *lab.Node, toml string) {
	t.Helper()
	reloads := strings.Count(n.Logs(), "msg=re-executing")
	n.WriteConfig(toml)
	n.Signal(syscall.SIGHUP)
	await(t, "the daemon re-executes itself", patience, func() bool { return strings.Count(n.Logs(), "msg=re-executing") > reloads })
	adopted(t, c, n)
}

func TestChecks(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{VIPs: 6, Idle: true})
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name) + badChecks)
	}
	a, b, d := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	c.Settled()
	before, mark := len(c.Judge.History()), c.Probe.Mark()
	says(t, c, a, b, "unfit", "check hangs fails: not done within 200ms", "check missing fails: /usr/lib/no/such/program does not exist",
		"check web fails: dial tcp 127.0.0.1:9: connect: connection refused", "check port fails: dial tcp [::1]:9: connect: connection refused")
	s, err := c.Status(a)
	if err != nil || !strings.Contains(s.VIPs[0].Why, "no node that could hold it passes its checks") {
		t.Errorf("status does not say that the holder keeps it: %+v, %v", s.VIPs[0], err)
	}
	for _, m := range s.Members {
		if strings.Contains(m.Why, "forks") || strings.Contains(m.Why, "floods") {
			t.Errorf("%s: %s", m.Node, m.Why)
		}
	}
	c.NoLoss(mark, "bad checks")
	if now := c.Judge.History(); len(now) > before {
		t.Errorf("VIPs moved: %v", now[before:])
	}

	fit(t, c.Nodes...)
	reload(t, c, fitCheck(false))
	for _, n := range c.Nodes {
		says(t, c, a, n, "ready")
	}
	c.Within(patience, "another check", c.Even(c.Nodes...)) // while some failed the old one they went to those who passed the new one
	await(t, "nothing is left of the checks before", patience, func() bool { return left() == 0 })

	var handed figures
	handed.during(c, func() {
		unfit(t, a)
		c.Within(patience, "a failing check", c.Even(b, d))
		says(t, c, b, a, "unfit", "check file fails: exit status 1: no file")
		fit(t, a)
		c.Within(patience, "it passes again", c.Even(c.Nodes...))
		unfit(t, a)
		c.Within(patience, "a failing check", c.Even(b, d))
		unfit(t, b)
		c.Within(patience, "another failing check", c.Even(d))
	})
	handed.bound(t, busyMedian, busyWorst)
	before, mark = len(c.Judge.History()), c.Probe.Mark()
	unfit(t, d)
	says(t, c, a, d, "unfit", "check file fails")
	observe(time.Second)
	if now := c.Judge.History(); len(now) > before {
		t.Errorf("no node passes, and VIPs moved: %v", now[before:])
	}
	c.NoLoss(mark, "no node passes")

	fit(t, a)
	c.Within(patience, "the first that passes again", c.Even(a))
	reload(t, c, fitCheck(true))
	says(t, c, a, a, "ready")
	says(t, c, a, b, "unfit", "check file fails")
	unfit(t, a)
	none := func(up map[netip.Addr][]string) bool { return len(cluster.Loads(up)) == 0 }
	c.Within(patience, "no node passes a required check", none)
	fit(t, c.Nodes...)
	c.Within(patience, "all pass", c.Even(c.Nodes...))
	c.Answering(patience)
}
