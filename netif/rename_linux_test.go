package netif

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestDeleteAfterARenameInANewProcess(t *testing.T) {
	b := newBed(t)
	k, err := Open(Config{})
	b.must(err)
	a := Address{Link: b.link, Prefix: netip.MustParsePrefix("192.0.2.177/32")}
	b.must(k.Raise([][]Address{{a}}, 30*time.Second, boottime()+time.Second)[0])
	k.Close()
	l := b.find(b.link)
	if err := netlink.LinkSetName(l, "renamed0"); err != nil {
		t.Logf("live renaming: %v", err)
		b.must(netlink.LinkSetDown(l))
		b.must(netlink.LinkSetName(l, "renamed0"))
		b.must(netlink.LinkSetUp(l))
	} else {
		t.Log("the kernel renames links that are up")
	}
	defer func() { _ = netlink.LinkDel(l) }()
	n, err := Open(Config{})
	b.must(err)
	defer n.Close()
	t.Logf("delete: %v", n.Delete([]Address{a})[0])
	list, err := n.Addresses()
	b.must(err)
	for _, p := range list {
		if p.Prefix == a.Prefix {
			t.Errorf("Delete of a new process said nil, and %v is up, ours %v, valid %v", p.Address, p.Ours, p.Valid)
		}
	}
}
