package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// What a machine does not have, or does not allow. Each lack gets one clear line, and no address is touched that may not be.

// TestMissingInterface: only the VIP that needs it waits, and status says for what; when the interface comes, the VIP does.
func TestMissingInterface(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 1, Tables: "\n[[vip]]\nname = \"far\"\naddresses = [\"10.77.0.100/32 dev eth7\"]\n"})
	n := c.Nodes[0]
	c.Within(cluster.Wait+patience, "the other VIPs", c.AllHeld)
	far := func() string {
		s, err := c.Status(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range s.VIPs {
			if v.Name == "far" {
				return v.State + ": " + v.Why
			}
		}
		return ""
	}
	await(t, "status shows the VIP as unplaceable", patience, func() bool { return strings.HasPrefix(far(), "unplaceable") })
	text := far()
	for _, m := range must(c.Status(n)).Members {
		text += "; " + m.Why
	}
	t.Logf("status: %s", text)
	if !strings.Contains(text, "eth7") {
		t.Errorf("status does not name the interface: %s", text)
	}
	if out, err := n.Viplease("check", "--live"); status(err) != 1 || !strings.Contains(out+err.Error(), "this host has no interface eth7") {
		t.Errorf("check --live: status %d, %v\n%s", status(err), err, out)
	}
	for range rounds(1, 20) {
		inside(t, n.Host, func(h *netlink.Handle, _ netlink.Link) error {
			eth7 := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth7"}, PeerName: "eth8"}
			if err := h.LinkAdd(eth7); err != nil {
				return err
			}
			eth8, err := h.LinkByName("eth8")
			return errors.Join(err, h.LinkSetUp(eth7), h.LinkSetUp(eth8))
		})
		began := time.Now()
		await(t, "the VIP is up on the interface that has come", patience, func() bool { return strings.HasPrefix(far(), "held") })
		t.Logf("held %v after the interface came", time.Since(began).Round(10*time.Millisecond))
		inside(t, n.Host, func(h *netlink.Handle, _ netlink.Link) error {
			eth7, err := h.LinkByName("eth7")
			return errors.Join(err, h.LinkDel(eth7))
		})
		await(t, "the VIP is unplaceable again", patience, func() bool { return strings.HasPrefix(far(), "unplaceable") })
	}
}

// ended waits until the daemon has ended by itself, and holds that it says why in its last words and reports a failure.
func ended(t *testing.T, n *lab.Node, words ...string) {
	t.Helper()
	select {
	case <-n.Done():
	case <-time.After(patience):
		t.Fatalf("the daemon of %s goes on:\n%s", n.Name, n.Logs())
	}
	logs := n.Logs()
	lines := strings.Split(strings.TrimSpace(logs), "\n")
	final := lines[len(lines)-1]
	t.Logf("last words of %s: %s", n.Name, final)
	for _, w := range words {
		if !strings.Contains(final, w) {
			t.Errorf("the last words of %s do not say %q:\n%s", n.Name, w, logs)
		}
	}
	if n.ExitStatus() <= 0 {
		t.Errorf("the daemon of %s ended with status %d", n.Name, n.ExitStatus())
	}
}

// TestWithoutCapabilities: a daemon that may not set addresses, or not announce them, holds nothing and says what it needs. Others do the work.
func TestWithoutCapabilities(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	n := c.Nodes[2]
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	c.Within(2*time.Second, "the others have all", c.Even(others(c, n)...))
	for range rounds(1, 20) {
		for name, without := range map[string][]uintptr{
			"CAP_NET_ADMIN": {unix.CAP_NET_ADMIN},
			"CAP_NET_RAW":   {unix.CAP_NET_RAW},
			"both":          {unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
		} {
			quiet(t, c, "a daemon without "+name, func() {
				n.Without = without
				n.Restart()
				ended(t, n, "CAP_NET_ADMIN", "CAP_NET_RAW")
			})
		}
	}
	n.Without = nil
	n.Restart()
	c.Within(patience, "with its capabilities", c.Even(c.Nodes...))
}

const runtimeDir = "/run/viplease"

// TestUnwritableStateFromTheStart: a daemon that could not be continued after a crash does not begin.
func TestUnwritableStateFromTheStart(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Idle: true})
	for _, n := range c.Nodes[1:] {
		n.Start(c.Config(n.Name))
	}
	n := c.Nodes[0]
	c.Within(cluster.Wait+patience, "cold start", c.Even(c.Nodes[1:]...))
	c.Answering(2 * time.Second)
	n.MountTmpfs(runtimeDir, 1<<20)
	for range rounds(1, 20) {
		quiet(t, c, "a read-only file system for the state", func() {
			n.Remount(runtimeDir, true)
			n.Start(c.Config(n.Name))
			ended(t, n, runtimeDir, "read-only file system")
		})
		n.Remount(runtimeDir, false)
		n.Restart()
		c.Within(patience, "a writable one", c.Even(c.Nodes...))
		if err := n.Stop(); err != nil {
			t.Fatalf("SIGTERM: %v\n%s", err, n.Logs())
		}
		c.Within(patience, "the others have all", c.Even(c.Nodes[1:]...))
		c.Answering(2 * time.Second)
	}
}

// TestStateBecomesUnwritable: the node registers anew and cannot note it down. What it holds goes to the others without two ever holding it, and it
// says why and ends.
func TestStateBecomesUnwritable(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Idle: true})
	n := c.Nodes[0]
	n.MountTmpfs(runtimeDir, 1<<20)
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name))
	}
	c.Settled()
	for range rounds(1, 20) {
		if _, err := n.Run("/bin/sh", "-c", "cat /dev/zero >"+runtimeDir+"/filler"); err == nil {
			t.Fatal("the file system does not fill")
		}
		began := time.Now()
		del(t, c, keys+"members/"+n.Name)
		withdrawn(t, c, n, began, cluster.Hold+500*time.Millisecond)
		ended(t, n, "write the state", "no space left on device")
		takenOver(t, c, n, began, takeover)
		if out, err := n.Run("/bin/rm", runtimeDir+"/filler"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		n.Restart()
		returned(t, c, cluster.Wait+patience)
		c.Answering(2 * time.Second)
	}
}
