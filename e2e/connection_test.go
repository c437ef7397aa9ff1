package e2e

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// client is one that waits for an answer that does not come.
type client struct {
	vip   netip.Addr
	conn  net.Conn
	ended chan time.Duration // since boot, when its read returned, with err
	err   error
}

// serve accepts connections on all addresses of the host, and never says anything.
func serve(t *testing.T, h *lab.Host) {
	t.Helper()
	var server net.Listener
	if err := h.Do(func() (err error) { server, err = net.Listen("tcp", ":7777"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }() // keeps it, and ends with it
		}
	}()
}

// wait connects a client to the VIP and lets it wait.
func wait(t *testing.T, c *cluster.Cluster, vip netip.Addr) *client {
	t.Helper()
	w := &client{vip: vip, ended: make(chan time.Duration, 1)}
	if err := c.Client.Do(func() (err error) {
		w.conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(vip, 7777).String(), 2*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close() })
	go func() {
		_, w.err = w.conn.Read(make([]byte, 1))
		w.ended <- c.Probe.Mark()
	}()
	return w
}

// TestConnectionsAreReset: the read of a client that only waits returns when its VIP leaves, and nobody else's does.
func TestConnectionsAreReset(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 2, VIPs: 4, Idle: true})
	resets, leaves := c.Nodes[0], c.Nodes[1]
	resets.Start(c.Config(resets.Name))
	leaves.Start(strings.Replace(c.Config(leaves.Name), "mature", "reset_connections = false\nmature", 1))
	for _, n := range c.Nodes {
		serve(t, n.Host)
	}
	c.Settled()
	run(t, leaves, "drain", "--wait", "--timeout", "10s")
	c.Within(patience, "drain", c.Even(resets))

	var clients []*client
	for _, vip := range c.VIPs {
		clients = append(clients, wait(t, c, vip))
	}
	before := len(c.Judge.History())
	var moved figures
	moved.during(c, func() {
		run(t, leaves, "undrain")
		c.Within(patience, "undrain", c.Even(c.Nodes...))
	})
	families, soonest := map[bool]bool{}, patience
	for _, w := range clients {
		if slices.Equal(c.Judge.Holders()[w.vip], []string{resets.Name}) {
			select {
			case <-w.ended:
				t.Errorf("%v stayed, and its client's read returned %v", w.vip, w.err)
			default:
			}
			continue
		}
		down, _, _ := gone(c.Judge.History()[before:], resets, w.vip)
		select {
		case at := <-w.ended:
			t.Logf("%v: the read returned %.1f ms after the address went: %v", w.vip, ms(at-down), w.err)
			soonest = min(soonest, at-down)
			if !errors.Is(w.err, unix.ECONNRESET) {
				t.Errorf("%v: the client did not get ECONNRESET, but %v", w.vip, w.err)
			}
		case <-time.After(patience):
			t.Errorf("%v left, and its client still waits", w.vip)
		}
		families[w.vip.Is4()] = true
	}
	if soonest > 100*time.Millisecond { // the others may have waited for a processor
		t.Errorf("the first client got it %v after the address went", soonest)
	}
	if len(families) != 2 {
		t.Errorf("VIPs of %d families moved, not of both: %s", len(families), c.Layout())
	}
	moved.bound(t, busyMedian, busyWorst)

	var here []*client
	for _, vip := range of(c, leaves) {
		here = append(here, wait(t, c, vip))
	}
	run(t, leaves, "drain", "--wait", "--timeout", "10s")
	c.Within(patience, "drain", c.Even(resets))
	observe(200 * time.Millisecond) // as long as a reset would take, and longer
	for _, w := range here {
		select {
		case <-w.ended:
			t.Errorf("reset_connections = false, and the client of %v got %v", w.vip, w.err)
		default:
		}
	}
}
