package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// versionOf builds a viplease of another format: this one, with another number in coordinator/plan, and with a field in every value that this one does not
// know, but for configurations, which are named by what they say.
func versionOf(t *testing.T, format int) string {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{}
	for file, change := range map[string][2]string{
		"format.go": {"\nconst Format = 1\n", fmt.Sprintf("\nconst Format = %d\n", format)},
		"record.go": {"\treturn b\n", "\tif _, ok := record.(Layout); !ok {\n\t\tb = append(b[:len(b)-1], `,\"new\":{\"a\":[1]}}`...)\n\t}\n\treturn b\n"},
	} {
		path, err := filepath.Abs("../coordinator/plan/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), change[0]) != 1 {
			t.Fatalf("%s has not one line %q", path, change[0])
		}
		replaced[path] = filepath.Join(dir, file)
		if err := os.WriteFile(replaced[path], []byte(strings.Replace(string(text), change[0], change[1], 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	return built(t, "-overlay", filepath.Join(dir, "overlay.json"))
}

// TestTwoFormats: this version and the next, which writes the next format, in one cluster: VIPs are balanced over both, an upgrade and the way back lose no
// packet, VIPs move from each to the other, and the death of either is made up for. A version after that is kept out, and says so.
func TestTwoFormats(t *testing.T) {
	t.Parallel()
	this, next := os.Getenv("VIPLEASE_BINARY"), versionOf(t, 2)
	c := cluster.Start(t, cluster.Options{Idle: true, Gateway: true})
	for i, n := range c.Nodes {
		n.Install([]string{this, next, this}[i])
		n.Start(c.Config(n.Name))
	}
	c.Settled()
	formats := func(want map[string]int) {
		t.Helper()
		for vip, claim := range claims(t, c) {
			var is struct {
				V    int
				Node string
			}
			if err := json.Unmarshal(claim.Value, &is); err != nil || is.V != want[is.Node] {
				t.Errorf("the claim of %s is %s, %v; want a format by node: %v", vip, claim.Value, err, want)
			}
		}
	}
	formats(map[string]int{"node1": 1, "node2": 2, "node3": 1})

	reexecuted := map[*lab.Node]int{}
	install := func(n *lab.Node, binary string) {
		reexecuted[n]++
		n.Install(binary)
		n.Signal(syscall.SIGHUP)
		await(t, "the daemon re-executes itself", patience, func() bool { return strings.Count(n.Logs(), "msg=re-executing") == reexecuted[n] })
		adopted(t, c, n)
	}
	quiet(t, c, "an upgrade, and one back", func() {
		install(c.Nodes[0], next)
		install(c.Nodes[1], this)
	})
	var moved figures
	for _, n := range c.Nodes[:2] { // one of the next format, one of this
		moved.during(c, func() {
			run(t, n, "drain", "--wait", "--timeout", "10s")
			c.Within(patience, "drain", c.Even(others(c, n)...))
			run(t, n, "undrain")
			c.Within(patience, "return", c.Even(c.Nodes...))
			c.Answering(2 * time.Second)
		})
	}
	t.Logf("drained and back: %v", &moved)

	third := c.Nodes[2]
	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
	c.Within(patience, "stop", c.Even(c.Nodes[:2]...))
	third.Install(versionOf(t, 3))
	third.Restart()
	const refused = "node2 runs an older viplease"
	await(t, "it is kept out, and status says why", patience, func() bool {
		s, err := c.Status(third)
		return err == nil && strings.Contains(s.Self.Trouble, refused)
	})

	var death figures
	death.during(c, func() {
		c.Die(c.Nodes[0]) // of the next format; who guards it is of this one
		c.Within(takeover, "takeover", c.Even(c.Nodes[1]))
		c.Answering(takeover)
	})
	t.Logf("death: %v", &death)
	if up := of(c, third); len(up) > 0 || !strings.Contains(third.Logs(), refused) {
		t.Errorf("%s, which is kept out, has %v up, and its log says\n%s", third.Name, up, third.Logs())
	}
}
