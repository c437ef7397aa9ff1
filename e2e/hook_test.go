package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// hookFile is where the programs of these scenarios are on every node, hookLog what they write.
const (
	hookFile = "/run/hook"
	hookLog  = "/run/hooked"
)

// hookScript writes a line when it begins. For a VIP named in hangFile it hangs then.
const (
	hangFile   = "/run/hang"
	hookScript = `#!/bin/sh
echo "$VIPLEASE_EVENT $VIPLEASE_VIP $VIPLEASE_OLD_NODE>$VIPLEASE_NEW_NODE at $VIPLEASE_NODE with $VIPLEASE_ADDRESSES on $VIPLEASE_INTERFACES because $VIPLEASE_WHY $*" >>` + hookLog + `
[ "$VIPLEASE_EVENT" = acquired ] && grep -qx "$VIPLEASE_VIP" ` + hangFile + ` 2>/dev/null && sleep 98765
exit 0
`
	hookTables = "[hooks]\nacquired = [\"" + hookFile + "\", \"an arg\"]\nreleased = [\"" + hookFile + "\"]\ntimeout = \"2s\"\n"
)

func hooked(t *testing.T, n *lab.Node) []string {
	t.Helper()
	text, err := os.ReadFile(n.Path(hookLog))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// toldOf are the events of a VIP that a node's programs were told, in order: "acquired >node1".
func toldOf(t *testing.T, n *lab.Node, vip string) (out []string) {
	t.Helper()
	for _, line := range hooked(t, n) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == vip {
			out = append(out, f[0]+" "+f[2])
		}
	}
	return out
}

func TestHooks(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 2, VIPs: 2, Idle: true})
	a, b := c.Nodes[0], c.Nodes[1]
	for _, n := range c.Nodes {
		if err := os.WriteFile(n.Path(hookFile), []byte(hookScript), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(a.Path(hookFile), 0o777); err != nil {
		t.Fatal(err)
	}
	for what, table := range map[string]string{"hook acquired": hookTables, "check x": "[[check]]\nname = \"x\"\ncommand = [\"" + hookFile + "\"]\n"} {
		a.Start(c.Config(a.Name) + table)
		<-a.Done()
		if logs := a.Logs(); !strings.Contains(logs, what+": "+hookFile+" is writable by") || !strings.Contains(logs, "run: chmod") {
			t.Errorf("%s, which others may write, was not refused:\n%s", what, logs)
		}
	}
	if err := os.Chmod(a.Path(hookFile), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name) + hookTables)
	}
	c.Settled()
	moves := c.VIPs[0]
	from, to := holder(t, c, moves), a
	if from == a {
		to = b
	}
	expect := func(n *lab.Node, want ...string) {
		t.Helper()
		await(t, fmt.Sprintf("the programs of %s are told %v", n.Name, want), patience, func() bool { return slices.Equal(toldOf(t, n, moves.String()), want) })
	}
	gained := "acquired >" + from.Name
	expect(from, gained)
	line := fmt.Sprintf("acquired %v >%s at %s with %v/32 on %s because nobody held it an arg", moves, from.Name, from.Name, moves, from.LAN.Name)
	if all := hooked(t, from); !slices.Contains(all, line) {
		t.Errorf("a program was told %q, not %q", all, line)
	}

	// A restart after a crash and a reload are no events.
	from.Kill()
	from.Restart()
	adopted(t, c, from)
	from.Signal(syscall.SIGHUP)
	await(t, "the daemon re-executes itself", patience, func() bool { return strings.Contains(from.Logs(), "msg=re-executing") })
	adopted(t, c, from)

	// A program that hangs delays no move; the next one of its VIP waits until it is killed.
	if err := os.WriteFile(to.Path(hangFile), []byte(moves.String()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var moved figures
	moved.during(c, func() {
		run(t, from, "drain", "--wait", "--timeout", "10s")
		c.Within(patience, "drain", c.Even(to))
		run(t, from, "undrain")
		run(t, to, "drain", "--wait", "--timeout", "10s")
		c.Within(patience, "drain", c.Even(from))
	})
	moved.bound(t, busyMedian, busyWorst)
	there, back := fmt.Sprintf("%s>%s", from.Name, to.Name), fmt.Sprintf("%s>%s", to.Name, from.Name)
	expect(from, gained, "released "+there, "acquired "+back)
	expect(to, "acquired "+there) // and hangs, though everything has moved
	expect(to, "acquired "+there, "released "+back)
	if logs := to.Logs(); !strings.Contains(logs, "killed after 2s") {
		t.Errorf("the log does not tell of the program that hung:\n%s", logs)
	}

	if err := from.Stop(); err != nil {
		t.Fatal(err)
	}
	if got, last := toldOf(t, from, moves.String()), "released "+from.Name+">"; got[len(got)-1] != last {
		t.Errorf("it stopped, and what its programs were told ends with %q, not %q", got[len(got)-1], last)
	}
	await(t, "nothing is left of the programs", patience, func() bool { return left() == 0 })
}
