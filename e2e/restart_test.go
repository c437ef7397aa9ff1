package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// adopted waits until the daemon that runs now holds what the one before held: it has registered or adopted, and has authority.
func adopted(t *testing.T, c *cluster.Cluster, n *lab.Node) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		s, err := c.Status(n)
		if err == nil && s.Source == "daemon" && s.Self.Registered && s.Etcd.AuthorityMS > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon of %s does not come back: %+v, %v\n%s", n.Name, s, err, n.Logs())
		}
	}
}

func TestKillAndRestartLosesNothing(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(3, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		quiet(t, c, "daemon killed and restarted", func() {
			n.Kill()
			n.Restart()
			adopted(t, c, n)
		})
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(3, 20) {
		n := c.Nodes[i%len(c.Nodes)]
		pid := n.Pid()
		quiet(t, c, "reload", func() {
			n.Signal(syscall.SIGHUP)
			await(t, "the daemon re-executes itself", 5*time.Second, func() bool { return strings.Count(n.Logs(), "msg=re-executing") == i/len(c.Nodes)+1 })
			adopted(t, c, n)
		})
		if n.Pid() != pid || !n.Running() {
			t.Fatalf("the daemon of %s had pid %d and has %d", n.Name, pid, n.Pid())
		}
	}
	n := c.Nodes[0]
	quiet(t, c, "reload of a bad configuration", func() {
		n.WriteConfig(strings.Replace(c.Config(n.Name), "mature", "matuer", 1))
		n.Signal(syscall.SIGHUP)
		await(t, "the reload is refused", 5*time.Second, func() bool { return strings.Contains(n.Logs(), "reload refused") })
		if logs := n.Logs(); !strings.Contains(logs, "matuer") {
			t.Errorf("the refusal does not name the key:\n%s", logs)
		}
	})
	quiet(t, c, "reload that adds a VIP nobody else has", func() {
		n.WriteConfig(c.Config(n.Name) + "\n[[vip]]\nname = \"more\"\naddresses = [\"192.168.3.199\"]\n")
		n.Signal(syscall.SIGHUP)
		await(t, "the new VIP is up", 10*time.Second, func() bool { return n.Holds(addr("192.168.3.199")) })
	})
	quiet(t, c, "reload that removes it again", func() {
		n.WriteConfig(c.Config(n.Name))
		n.Signal(syscall.SIGHUP)
		await(t, "the old VIP is gone", 10*time.Second, func() bool { return !n.Holds(addr("192.168.3.199")) })
	})
}

// Signals that come while the daemon replaces itself must not end it, nor be lost.
func TestSignalsDuringAReload(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	n := c.Nodes[1]
	quiet(t, c, "two reloads within 100 ms", func() {
		for i := range rounds(10, 60) {
			n.Signal(syscall.SIGHUP)
			observe(time.Duration(i) * 10 * time.Millisecond % (100 * time.Millisecond))
			n.Signal(syscall.SIGHUP)
			adopted(t, c, n)
		}
	})
	for i := range rounds(4, 20) {
		n.Signal(syscall.SIGHUP)
		observe(time.Duration(i%4) * time.Millisecond) // while it has the configuration checked
		n.Signal(syscall.SIGTERM)
		select {
		case <-n.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("SIGTERM was lost in a reload")
		}
		if logs := n.Logs(); !strings.HasSuffix(strings.TrimSpace(logs), "msg=stopped") {
			t.Fatalf("it did not hand over and leave:\n%s", logs)
		}
		c.Within(time.Second, "handed over", c.Even(others(c, n)...))
		n.Restart()
		returned(t, c, 15*time.Second)
	}
}
