package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// What an operator asks for, on any node, of any other.

// refusal runs a command that has to end with a status and a line that holds all the words, soon.
func refusal(t *testing.T, n *lab.Node, want int, args []string, words ...string) {
	t.Helper()
	began := time.Now()
	out, err := n.Viplease(args...)
	if status(err) != want {
		t.Errorf("%s ended with status %d, not %d: %v\n%s", strings.Join(args, " "), status(err), want, err, out)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s does not say %q: %v", strings.Join(args, " "), w, err)
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("%s took %v", strings.Join(args, " "), took)
	}
}

// on says that the VIP is up on the node and nowhere else.
func on(vip netip.Addr, n *lab.Node) func(map[netip.Addr][]string) bool {
	return func(up map[netip.Addr][]string) bool { return len(up[vip]) == 1 && up[vip][0] == n.Name }
}

// logged waits until a line of the node's log, which is JSON, tells what happened to the VIP and why. Every line has to be one object.
func logged(t *testing.T, n *lab.Node, what string, vip netip.Addr, why string) {
	t.Helper()
	await(t, fmt.Sprintf("%s logs: %s %v %s", n.Name, what, vip, why), patience, func() bool {
		for text := range strings.Lines(n.Logs()) {
			var line struct{ Msg, VIP, Why string }
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				if strings.HasSuffix(text, "\n") {
					t.Fatalf("%s logs %q: %v", n.Name, text, err)
				}
				return false // still being written
			}
			if line.Msg == what && line.VIP == vip.String() && line.Why == why {
				return true
			}
		}
		return false
	})
}

// TestOperator is a morning's work: everything is asked of node1, and most of it is about others.
func TestOperator(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{VIPs: 6, Tables: "\n[log]\nformat = \"json\"\n"})
	c.Settled()
	one, two, three := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	even := func(what string) { t.Helper(); c.Within(5*time.Second, what, c.Even(c.Nodes...)) }

	run(t, one, "drain", three.Name, "--wait", "--timeout", "10s")
	c.Within(time.Second, "drain of another node", c.None(three))
	vip := of(c, one)[0]
	refusal(t, one, 1, []string{"move", vip.String(), three.Name}, "node3 is drained since 2", "by root@")
	refusal(t, one, 1, []string{"move", vip.String(), "n3"}, "no node is called n3; there are: node1, node2, node3")
	refusal(t, one, 1, []string{"move", "web", two.Name}, "no VIP is called web; there are: 192.168.3.100,")
	refusal(t, one, 1, []string{"drain", "n3"}, "no node is called n3; there are: node1, node2, node3")
	refusal(t, one, 1, []string{"plan", "--without", "n3"}, "no member is called n3; there are: node1, node2, node3")
	refusal(t, one, 1, []string{"forget", three.Name}, "node3 is a member")
	refusal(t, one, 1, []string{"forget", vip.String()}, "node1 configures "+vip.String())
	refusal(t, one, 2, []string{"move", vip.String(), "../node2"}, "cannot be a name")
	run(t, one, "undrain", three.Name)
	even("undrain")

	var moved figures
	moved.during(c, func() {
		if out := run(t, two, "move", vip.String(), three.Name); !strings.Contains(out, fmt.Sprintf("%v moved from node1 to node3", vip)) {
			t.Errorf("move says: %s", out)
		}
		c.Within(time.Second, "move", on(vip, three))
		c.Within(time.Second, "the load is laid around what was moved", c.Even(c.Nodes...))
	})
	moved.bound(t, 50*time.Millisecond, 500*time.Millisecond)
	logged(t, one, "transferred", vip, "to node3: move")
	logged(t, three, "acquired", vip, "moved from node1: move")
	s, err := c.Status(three)
	if err != nil {
		t.Fatal(err)
	}
	if e := s.Events[len(s.Events)-1]; !slices.ContainsFunc(s.Events, func(e cluster.Event) bool {
		return e.VIP == vip.String() && e.What == "acquired" && e.Why == "moved from node1: move"
	}) {
		t.Errorf("the history does not tell of the move; it ends with %+v", e)
	}
	if out := run(t, one, "move", vip.String(), three.Name); !strings.Contains(out, "is on node3") {
		t.Errorf("a second move says: %s", out)
	}

	// A pin goes before the move, and holds through what comes.
	run(t, one, "pin", vip.String(), two.Name)
	c.Within(time.Second, "pin", on(vip, two))
	refusal(t, one, 1, []string{"move", vip.String(), one.Name}, "is pinned to node2 since 2", "unpin")
	run(t, one, "drain", two.Name, "--wait", "--timeout", "10s")
	c.Within(time.Second, "drain of the pin", c.None(two))
	run(t, one, "undrain", two.Name)
	c.Within(5*time.Second, "the pin is ready again", on(vip, two))
	run(t, one, "unpin", vip.String())
	even("unpin")

	// Frozen, nothing moves, whoever asks.
	run(t, three, "freeze")
	before := c.Judge.Holders()
	refusal(t, one, 1, []string{"move", vip.String(), one.Name}, "frozen since 2", "unfreeze")
	refusal(t, one, 1, []string{"balance"}, "frozen since 2", "unfreeze")
	run(t, one, "drain", two.Name)
	if out, err := one.Viplease("status"); status(err) != 0 || !strings.Contains(out, "frozen: since 2") {
		t.Errorf("status says: %v\n%s", err, out)
	}
	observe(500 * time.Millisecond)
	if now := c.Judge.Holders(); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("frozen, VIPs moved from\n%v\nto\n%v", before, now)
	}
	run(t, one, "unfreeze")
	c.Within(time.Second, "the drain that waited", c.None(two))
	run(t, one, "undrain", two.Name)
	even("undrain")

	if out := run(t, one, "balance"); !strings.Contains(out, "nothing moves") {
		t.Errorf("balance of an even load says: %s", out)
	}
	if left := c.Etcd.Get("/viplease/www/moves/"); len(left) > 0 {
		t.Errorf("requests that were carried out are left: %v", left)
	}
}

// TestCommandsInTrouble: what is asked while etcd is away is refused soon and not done later; what comes in on the socket, and what a dead daemon left
// there, harms nobody.
func TestCommandsInTrouble(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 2, VIPs: 4})
	c.Settled()
	one, two := c.Nodes[0], c.Nodes[1]
	vip := of(c, one)[0]

	mark := c.Probe.Mark()
	for _, text := range []string{strings.Repeat("garbage\xff\x00", 1<<17), strings.Repeat("A", 1<<20), "POST /move HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{"} {
		conn, err := net.Dial("unix", one.Path("/run/viplease/www.sock"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, text) // it may be hung up on before its end
		conn.Close()
	}
	run(t, one, "status")
	c.NoLoss(mark, "garbage on the socket")

	c.Etcd.Servers[0].Pause()
	var asking sync.WaitGroup
	for _, args := range [][]string{{"move", vip.String(), two.Name}, {"pin", vip.String(), two.Name}, {"drain", two.Name}, {"freeze"}} {
		asking.Go(func() { refusal(t, one, 1, args, "nothing was changed: etcd: ", "no answer") })
	}
	asking.Wait()
	c.Etcd.Servers[0].Continue()
	c.Within(cluster.Wait+patience, "etcd answers again", c.AllHeld)
	c.Settled()
	for _, key := range []string{"moves/", "pins/", "drains/", "frozen"} {
		if left := c.Etcd.Get("/viplease/www/" + key); len(left) > 0 {
			t.Errorf("what was refused was done all the same: %v", left)
		}
	}
	if !on(vip, one)(c.Judge.Holders()) {
		t.Errorf("%v has moved:\n%s", vip, c.Layout())
	}

	// A daemon that was killed left its socket: the commands go to etcd, and the next daemon replaces it.
	one.Kill()
	if _, err := os.Lstat(one.Path("/run/viplease/www.sock")); err != nil {
		t.Errorf("the killed daemon left no socket: %v", err)
	}
	if _, err := one.Viplease("pin", vip.String(), two.Name); err != nil {
		t.Errorf("pin without a daemon: %v", err)
	}
	one.Restart()
	c.Within(cluster.Wait+patience, "the pin that was asked of etcd", on(vip, two))
	run(t, one, "unpin", vip.String())

	// A node that is gone for good is forgotten, once its VIPs are taken over.
	run(t, one, "drain", two.Name, "--wait", "--timeout", "10s")
	if err := two.Stop(); err != nil {
		t.Fatal(err)
	}
	if out := run(t, one, "forget", two.Name); !strings.Contains(out, "removed: drains/node2") {
		t.Errorf("forget says: %s", out)
	}
	if s, err := c.Status(one); err != nil || len(s.Members) != 1 {
		t.Errorf("status still knows it: %+v, %v", s.Members, err)
	}
}
