package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// Nodes that are not what they seem: two of one name, clones, other configurations, and machines that are back before anybody missed them.

// machine is the host's machine id.
func machine(t *testing.T, n *lab.Node) string {
	t.Helper()
	id, err := os.ReadFile(n.Path("/etc/machine-id"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

// refused waits until the node's status and log say why it does not join, with every word in it, and holds that it has not and shows nothing.
func refused(t *testing.T, c *cluster.Cluster, n *lab.Node, words ...string) {
	t.Helper()
	var s cluster.Status
	names := func(text string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	}
	await(t, "the node says who it is in conflict with", patience, func() (ok bool) {
		s, _ = c.Status(n)
		return s.Self.Trouble != "" && s.Source == "daemon"
	})
	t.Logf("status of %s: %s", n.Name, s.Self.Trouble)
	if s.Self.Registered || !names(s.Self.Trouble) {
		t.Errorf("status of %s: registered %t, trouble %q, which should name %q", n.Name, s.Self.Registered, s.Self.Trouble, words)
	}
	deadline := time.Now().Add(2 * time.Second)
	for !slices.ContainsFunc(strings.Split(n.Logs(), "\n"), names) {
		if time.Now().After(deadline) {
			t.Errorf("the log of %s does not name %q:\n%s", n.Name, words, n.Logs())
			break
		}
		observe(20 * time.Millisecond)
	}
	if held := of(c, n); len(held) > 0 {
		t.Errorf("%s holds %v", n.Name, held)
	}
}

// reach are the addresses by which somebody might find the machine: one of them should be told.
func reach(n *lab.Node) []string {
	return []string{n.Mgmt.Addr4().String(), n.LAN.Addr4().String()}
}

// couple starts the first two nodes of three.
func couple(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := cluster.Start(t, cluster.Options{Idle: true})
	for _, n := range c.Nodes[:2] {
		n.Start(c.Config(n.Name))
	}
	c.Within(cluster.Wait+patience, "cold start", c.Even(c.Nodes[:2]...))
	c.Answering(2 * time.Second)
	observe(time.Second)
	return c
}

func TestTwoMachinesWithOneName(t *testing.T) {
	t.Parallel()
	c := couple(t)
	first, second := c.Nodes[0], c.Nodes[2]
	quiet(t, c, "a second machine with the name of a first", func() {
		second.Start(c.Config(first.Name))
		refused(t, c, second, first.Name, machine(t, first), machine(t, second))
	})
	if text := trouble(t, c, second); !slices.ContainsFunc(reach(first), func(a string) bool { return strings.Contains(text, a) }) {
		t.Errorf("status of the second does not say where the first is: %q", text)
	}
	for range rounds(1, 20) {
		// The name is free again when its holder is seen to be gone; what that held is taken over as ever.
		began := time.Now()
		first.Kill()
		c.Within(takeover, "takeover", c.Even(c.Nodes[1], second))
		t.Logf("the second took part %v after the first was killed", time.Since(began).Round(10*time.Millisecond))
		c.Answering(2 * time.Second)
		quiet(t, c, "the first machine comes back and finds its name taken", func() {
			first.Restart()
			refused(t, c, first, first.Name, machine(t, first), machine(t, second))
		})
		first, second = second, first
	}
}

func trouble(t *testing.T, c *cluster.Cluster, n *lab.Node) string {
	t.Helper()
	s, err := c.Status(n)
	if err != nil {
		t.Fatal(err)
	}
	return s.Self.Trouble
}

// TestClonedMachine: same machine id, same node name, another boot: just like a reboot, but that the first one lives.
func TestClonedMachine(t *testing.T) {
	t.Parallel()
	c := couple(t)
	first, clone := c.Nodes[0], c.Nodes[2]
	if err := os.WriteFile(clone.Path("/etc/machine-id"), []byte(machine(t, first)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	quiet(t, c, "a clone starts", func() {
		clone.Start(c.Config(first.Name))
		refused(t, c, clone, first.Name, machine(t, first))
	})
	if text := trouble(t, c, clone); !slices.ContainsFunc(reach(first), func(a string) bool { return strings.Contains(text, a) }) {
		t.Errorf("status of the clone does not say where the other one is: %q", text)
	}
	quiet(t, c, "a clone waits", func() { observe(2 * takeover) })
	for range rounds(1, 20) {
		first.Kill()
		c.Within(takeover, "takeover", c.Even(c.Nodes[1], clone))
		c.Answering(2 * time.Second)
		quiet(t, c, "the first one comes back and finds its clone", func() {
			first.Restart()
			refused(t, c, first, first.Name, machine(t, first))
		})
		first, clone = clone, first
	}
}

// TestSecondDaemonOnOneHost is refused by the lock, and touches nothing.
func TestSecondDaemonOnOneHost(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		quiet(t, c, "a second daemon", func() {
			if _, err := n.Viplease("run", "-c", lab.ConfigPath); err == nil || !strings.Contains(err.Error(), "a daemon of this group runs on this host") {
				t.Errorf("a second daemon on %s: %v", n.Name, err)
			}
		})
	}
}

// TestOtherVIPList: one node's file has fewer VIPs, and one that nobody else has. Each node holds only what its own file has.
func TestOtherVIPList(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Idle: true})
	odd, own := c.Nodes[2], addr("192.168.3.199")
	some := c.VIPs[:4]
	var list []string
	for _, v := range some {
		list = append(list, fmt.Sprintf("%q", v))
	}
	before, _, _ := strings.Cut(c.Config(odd.Name), "[[pool]]")
	odd.Start(fmt.Sprintf("%s[[pool]]\nname = \"pool\"\naddresses = [%s, %q]\n", before, strings.Join(list, ", "), own))
	for _, n := range c.Nodes[:2] {
		n.Start(c.Config(n.Name))
	}
	c.Within(cluster.Wait+patience, "cold start", c.AllHeld)
	await(t, "the VIP that only one node has is up there", patience, func() bool { return odd.Holds(own) })
	c.Answering(2 * time.Second)
	check := func(when string) {
		t.Helper()
		observe(2 * time.Second) // what is not agreed on must not move
		for _, v := range of(c, odd) {
			if !slices.Contains(some, v) {
				t.Errorf("%s: %s holds %v, which its file does not have", when, odd.Name, v)
			}
		}
		for _, n := range c.Nodes[:2] {
			if n.Holds(own) {
				t.Errorf("%s: %s has %v up, which its file does not have", when, n.Name, own)
			}
		}
		s, err := c.Status(c.Nodes[0])
		if err != nil || !slices.ContainsFunc(s.Members, func(m struct {
			Node, State, Why string
			Held             int
		}) bool {
			return m.Node == odd.Name && strings.Contains(m.Why, "configuration differs")
		}) {
			t.Errorf("%s: status does not say that the configurations differ: %+v, %v", when, s.Members, err)
		}
	}
	check("at rest")
	for i := range rounds(1, 20) {
		n := c.Nodes[i%2]
		n.Kill()
		c.Within(takeover, "takeover", c.AllHeld)
		check("after a takeover")
		n.Restart()
		await(t, "it is back", patience, func() bool { return trouble(t, c, n) == "" })
	}
	// The files agree again: everything moves to where it is even.
	odd.Kill()
	odd.Start(c.Config(odd.Name))
	c.Within(takeover+patience, "the files agree again", c.Even(c.Nodes...))
}

// TestOneNameTwoMeanings: a VIP's name stands for another address in one node's file. It stays with its holder until the files agree, and status says so.
func TestOneNameTwoMeanings(t *testing.T) {
	t.Parallel()
	one, other := addr("192.168.3.198"), addr("192.168.3.199")
	vip := func(a netip.Addr) string { return fmt.Sprintf("\n[[vip]]\nname = \"web\"\naddresses = [%q]\n", a) }
	c := cluster.Start(t, cluster.Options{Idle: true})
	for i, n := range c.Nodes {
		n.Start(c.Config(n.Name) + vip([]netip.Addr{one, one, other}[i]))
	}
	c.Within(cluster.Wait+patience, "cold start", c.AllHeld)
	up := func() (out []string) {
		for _, n := range c.Nodes {
			for _, a := range []netip.Addr{one, other} {
				if n.Holds(a) {
					out = append(out, fmt.Sprintf("%v on %s", a, n.Name))
				}
			}
		}
		return out
	}
	for range rounds(1, 20) {
		await(t, "one meaning is up", takeover+patience, func() bool { return len(up()) == 1 })
		was := up()
		observe(3 * time.Second)
		if now := up(); !slices.Equal(now, was) {
			t.Errorf("with two meanings %v became %v", was, now)
		}
		s, err := c.Status(c.Nodes[0])
		if err != nil || !slices.ContainsFunc(s.VIPs, func(v struct{ Name, Node, State, Why string }) bool {
			return v.Name == "web" && strings.Contains(v.Why, "different addresses")
		}) {
			t.Errorf("status does not show that web has two meanings: %+v, %v", s.VIPs, err)
		}
		odd := c.Nodes[2]
		odd.Kill()
		odd.Start(c.Config(odd.Name) + vip(one))
		await(t, "the files' one meaning is up", takeover+patience, func() bool {
			now := up()
			return len(now) == 1 && strings.HasPrefix(now[0], one.String())
		})
		odd.Kill()
		odd.Start(c.Config(odd.Name) + vip(other))
		await(t, "it runs with another meaning again", patience, func() bool {
			s, err := c.Status(odd)
			return err == nil && s.Self.Registered && s.Etcd.AuthorityMS > 0
		})
	}
}

// TestRebootFasterThanTTL: the machine is back before its lease has lapsed. It joins when that is seen to be dead; nobody shows a VIP of the earlier boot
// before W has passed.
func TestRebootFasterThanTTL(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(1, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		member := stands(t, c, keys+"members/"+n.Name)
		began := time.Now()
		c.Die(n)
		if err := c.Judge.RemoveMachine(n.Name); err != nil {
			t.Fatal(err)
		}
		n.Return()
		follow(t, c, n)
		n.Restart()
		back := time.Since(began)
		if now := stands(t, c, member.Key); now.CreateRevision != member.CreateRevision {
			t.Fatalf("the lease of the boot before had lapsed when the machine was back, %v after its death", back)
		}
		await(t, "the node registers", patience, func() bool {
			now := c.Etcd.Get(member.Key)
			return len(now) == 1 && now[0].CreateRevision != member.CreateRevision
		})
		registered := time.Since(began)
		c.Within(takeover-registered, "takeover", c.AllHeld)
		c.Answering(2 * time.Second)
		held := time.Since(began)
		returned(t, c, patience)
		t.Logf("dead, back after %v, registered after %v, every VIP answered again after %v", back.Round(time.Millisecond), registered.Round(10*time.Millisecond), held.Round(10*time.Millisecond))
		if limit := cluster.TTL + 1500*time.Millisecond; registered > limit {
			t.Errorf("registered after %v; the lease was dead after %v at the latest", registered, limit)
		}
	}
}
