package e2e

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// occupy sets an address on a host's LAN interface, by hand and for ever; the returned function takes it off again.
func occupy(t *testing.T, h *lab.Host, vip netip.Addr) (undo func()) {
	t.Helper()
	address := &netlink.Addr{IPNet: &net.IPNet{IP: vip.AsSlice(), Mask: net.CIDRMask(vip.BitLen(), vip.BitLen())}, Flags: 0x02} // IFA_F_NODAD
	change := func(f func(netlink.Link, *netlink.Addr) error) {
		t.Helper()
		if err := h.Do(func() error {
			link, err := netlink.LinkByName(h.LAN.Name)
			if err != nil {
				return err
			}
			return f(link, address)
		}); err != nil {
			t.Fatalf("%s on %s: %v", vip, h.Name, err)
		}
	}
	change(netlink.AddrAdd)
	return func() { change(netlink.AddrDel) }
}

// A machine outside the cluster has an address of the pool: it stays down, status says why, and it comes up when the machine lets go.
func TestAddressOfAnotherMachine(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Idle: true})
	var undo []func()
	for _, vip := range c.VIPs[:2] { // one of each family
		undo = append(undo, occupy(t, c.Client, vip))
	}
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name))
	}
	c.Within(cluster.Wait+5*time.Second, "all other VIPs", func(up map[netip.Addr][]string) bool {
		for _, v := range c.VIPs[2:] {
			if len(up[v]) != 1 {
				return false
			}
		}
		return true
	})
	await(t, "both addresses are reported", 20*time.Second, func() bool {
		logs := c.Nodes[0].Logs() + c.Nodes[1].Logs() + c.Nodes[2].Logs()
		return strings.Contains(logs, "msg=conflict vip="+c.VIPs[0].String()) && strings.Contains(logs, "msg=conflict vip="+c.VIPs[1].String())
	})
	for _, change := range c.Judge.History() {
		if change.VIP == c.VIPs[0] || change.VIP == c.VIPs[1] {
			t.Errorf("raised although another machine has it: %v", change)
		}
	}
	for _, f := range undo {
		f()
	}
	c.Within(100*time.Second, "the addresses are free", c.AllHeld)
}

// A machine outside the cluster begins to use a VIP that is held: its holder checks its authority, keeps it, and says it again.
func TestRivalOfAHeldAddress(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	before := len(c.Judge.History())
	vip := c.VIPs[0]
	holder := c.Node(c.Judge.Holders()[vip][0])
	undo := occupy(t, c.Client, vip)
	// Using the address makes the client speak for it: a request for a node's own address carries it as the sender.
	if err := c.Client.Do(func() error {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: vip.AsSlice()}}
		conn, err := d.Dial("udp", net.JoinHostPort(holder.LAN.Addr4().String(), "9"))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("x"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	await(t, "the holder reports the rival", 10*time.Second, func() bool { return strings.Contains(holder.Logs(), "msg=conflict vip="+vip.String()) })
	undo()
	out, err := holder.Viplease("status", "--json")
	if err != nil || !strings.Contains(out, `"rival"`) {
		t.Errorf("status does not show the rival: %v\n%s", err, out)
	}
	observe(500 * time.Millisecond)
	if after := c.Judge.History(); len(after) != before {
		t.Errorf("addresses changed: %v", after[before:])
	}
}
