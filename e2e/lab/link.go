package lab

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Link is what kind of interface a node's net1 is.
type Link string

// The kinds of links. All but a veth stand on one, which the node then calls "cable".
const (
	Veth    Link = ""
	Bridge  Link = "bridge"
	Bond    Link = "bond" // active-backup
	VLAN    Link = "vlan" // number 3, tagged on the cable
	MACVLAN Link = "macvlan"
)

// Links are all kinds. A kernel may lack some: New skips then.
var Links = []Link{Veth, Bridge, Bond, VLAN, MACVLAN}

const (
	cable   = "cable"
	vlanTag = 3
)

// errMissing says that the kernel lacks something.
var errMissing = errors.New("this kernel lacks")

// add adds an interface and marks the error of a kernel that does not know its kind.
func add(h *netlink.Handle, link netlink.Link) error {
	err := h.LinkAdd(link)
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("%w links of type %s: %w", errMissing, link.Type(), err)
	case err != nil:
		return fmt.Errorf("add %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// stack puts the port's interface on the cable that is in the host already.
func (p *Port) stack() error {
	h := p.host.link
	lower, err := h.LinkByName(cable)
	if err != nil {
		return fmt.Errorf("find the cable: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = p.Name, p.MAC
	master := false // whether the cable becomes its port
	var upper netlink.Link
	switch p.Kind {
	case Bridge:
		snooping := false
		upper, master = &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}, true
	case Bond:
		bond := netlink.NewLinkBond(attrs)
		bond.Mode, bond.Miimon = netlink.BOND_MODE_ACTIVE_BACKUP, 100
		upper, master = bond, true
	case VLAN:
		attrs.ParentIndex = lower.Attrs().Index
		upper = &netlink.Vlan{LinkAttrs: attrs, VlanId: vlanTag}
	case MACVLAN:
		attrs.ParentIndex = lower.Attrs().Index
		upper = &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	default:
		return fmt.Errorf("no kind of link: %q", p.Kind)
	}
	if err := add(h, upper); err != nil {
		return err
	}
	if master { // a bond takes only interfaces that are down
		if err := h.LinkSetMasterByIndex(lower, upper.Attrs().Index); err != nil {
			return fmt.Errorf("put the cable into %s: %w", p.Name, err)
		}
	}
	if err := h.LinkSetUp(lower); err != nil {
		return fmt.Errorf("set the cable up: %w", err)
	}
	return nil
}

// untag makes the switch's side of a VLAN: the port of the bridge is the tagged interface on the cable's end.
func (p *Port) untag() error {
	h := p.host.lab.link
	trunk, err := h.LinkByName(p.end)
	if err != nil {
		return fmt.Errorf("find %s: %w", p.end, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.MasterIndex = p.peer, trunk.Attrs().Index, p.host.lab.bridges[p.segment].Attrs().Index
	vlan := &netlink.Vlan{LinkAttrs: attrs, VlanId: vlanTag}
	if err := add(h, vlan); err != nil {
		return err
	}
	return h.LinkSetUp(vlan)
}
