package judge

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"viplease/e2e/lab"
)

func TestMachineMadeAnew(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	a.add(vip4)
	j := start(t, Config{Strict: true}, a, b)
	must(t, j.RemoveMachine("a"))
	must(t, j.WaitHolders(soon(t), vip4))
	b.add(vip4)
	again := newNode(t, "a")
	must(t, j.AddMachine(again.Machine))
	must(t, j.Verdict())
	again.add(vip4)
	must(t, j.WaitHolders(soon(t), vip4, "a", "b"))
	if err := j.Verdict(); !errors.Is(err, ErrTwoHolders) {
		t.Errorf("verdict %v", err)
	}
}

func TestMachineRefused(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	j := start(t, Config{}, a)
	for want, m := range map[string]Machine{
		"there is one of this name": {Name: "a", NS: b.NS},
		"it is the namespace of a":  {Name: "b", NS: a.NS},
	} {
		if err := j.AddMachine(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("added %s: %v, want %q", m.Name, err, want)
		}
	}
	if j.RemoveMachine("b") == nil {
		t.Error("removed a machine that is not there")
	}
	must(t, j.AddMachine(b.Machine))
	must(t, j.Close())
	if j.AddMachine(newNode(t, "c").Machine) == nil {
		t.Error("added a machine to a closed judge")
	}
}

// The judge's own namespace can be a machine too.
func TestOwnNamespace(t *testing.T) {
	lab.Require(t)
	own, err := openOwnNamespace()
	must(t, err)
	defer own.Close()
	h, err := netlink.NewHandle()
	must(t, err)
	defer h.Close()
	must(t, h.LinkSetUp(lo))
	n := &node{Machine: Machine{Name: "own", NS: own}, t: t, h: h}
	j := start(t, Config{}, n, newNode(t, "b"))
	n.add(vip4)
	defer n.del(vip4)
	must(t, j.WaitHolders(soon(t), vip4, "own"))
	must(t, j.Verdict())
}

// veth lays a pair between two nodes and returns the first one's end. Both ends are down.
func veth(t *testing.T, a, b *node) (port, peer netlink.Link) {
	t.Helper()
	must(t, a.h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer0", PeerNamespace: netlink.NsFd(b.NS.Fd())}))
	port, err := a.h.LinkByName("eth0")
	must(t, err)
	peer, err = b.h.LinkByName("peer0")
	must(t, err)
	return port, peer
}

// The judge follows addresses through whatever happens to their interface.
func TestLinkComesAndGoes(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a, b := newNode(t, "a"), newNode(t, "b")
		port, _ := veth(t, a, b)
		j := start(t, Config{Strict: true}, a, b)
		must(t, a.h.AddrAdd(port, entry(vip))) // the interface is down
		must(t, j.Verdict())
		must(t, a.h.LinkSetUp(port))
		must(t, j.WaitHolders(soon(t), vip, "a"))
		must(t, j.Verdict())
		must(t, a.h.LinkSetDown(port)) // IPv6 addresses go, IPv4 addresses stay
		must(t, j.Verdict())
		if up := len(j.Holders()) > 0; up != vip.Is4() {
			t.Errorf("with the interface down: %v", j.Holders())
		}
		must(t, a.h.LinkSetUp(port))
		must(t, a.h.AddrReplace(port, entry(vip)))
		must(t, j.WaitHolders(soon(t), vip, "a"))
		must(t, a.h.LinkDel(port))
		must(t, j.WaitHolders(soon(t), vip))
		must(t, j.Verdict())
	})
}
