package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is a host's interface with the cable to the switch and the switch's end of it. The faults below are made at the switch: the
// host sees only what a real one would see.
type Port struct {
	Name  string         // the interface on the host: net1 (LAN) or mgmt0
	Addrs []netip.Prefix // its own addresses, IPv4 first
	MAC   net.HardwareAddr

	Kind Link // what the interface is

	host    *Host
	segment segment
	end     string  // the cable's end at the switch
	peer    string  // the switch's port: that end, or the VLAN on it
	cut     bool    // guarded by Lab.mu
	loss    float64 // likewise, in percent
	noARP   bool    // likewise
}

const maxNodes = 89 // 192.168.3.11 to .99: virtual addresses begin at .100

// lanPort is net1 with the host number n: 192.168.3.n and fd00:3::n, both written in decimal.
func lanPort(n int) *Port {
	return &Port{
		Name:    "net1",
		segment: lan,
		MAC:     net.HardwareAddr{0x02, 0x03, 0, 0, 0, byte(n)},
		Addrs: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("192.168.3.%d/24", n)),
			netip.MustParsePrefix(fmt.Sprintf("fd00:3::%d/64", n)),
		},
	}
}

// mgmtPort is mgmt0 with the host number n: 10.9.0.n.
func mgmtPort(n int) *Port {
	return &Port{
		Name:    "mgmt0",
		segment: mgmt,
		MAC:     net.HardwareAddr{0x02, 0x09, 0, 0, 0, byte(n)},
		Addrs:   []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.9.0.%d/24", n))},
	}
}

// Addr4 is the port's own IPv4 address.
func (p *Port) Addr4() netip.Addr { return p.Addrs[0].Addr() }

// plug lays the cable: a new interface on the host, with its own addresses and nothing else.
func (p *Port) plug() error {
	l := p.host.lab
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.end
	attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
	if p.end == p.peer {
		attrs.MasterIndex = l.bridges[p.segment].Attrs().Index
	}
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: cable, PeerNamespace: netlink.NsFd(int(p.host.netns.Fd()))}
	if p.Kind == Veth {
		veth.PeerName, veth.PeerHardwareAddr = p.Name, p.MAC
	}
	if err := add(l.link, veth); err != nil {
		return err
	}
	if err := l.link.LinkSetUp(veth); err != nil {
		return fmt.Errorf("set %s up: %w", p.end, err)
	}
	if p.end != p.peer {
		if err := p.untag(); err != nil {
			return err
		}
	}
	if p.Kind != Veth {
		if err := p.stack(); err != nil {
			return err
		}
	}
	return p.configure()
}

// configure sets the interface up and gives it its own addresses.
func (p *Port) configure() error {
	h := p.host.link
	link, err := h.LinkByName(p.Name)
	if err != nil {
		return fmt.Errorf("find %v: %w", p, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %v up: %w", p, err)
	}
	for _, a := range p.Addrs {
		if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("add %v to %v: %w", a, p, err)
		}
	}
	return nil
}

// unplug removes the interface from the host, with all that hung on it.
func (p *Port) unplug() error {
	if p.Kind == Bridge || p.Kind == Bond { // these would outlive the cable
		if link, err := p.host.link.LinkByName(p.Name); err == nil {
			if err := p.host.link.LinkDel(link); err != nil {
				return fmt.Errorf("remove %v: %w", p, err)
			}
		}
	}
	link, err := p.host.lab.link.LinkByName(p.end)
	if err != nil {
		return fmt.Errorf("find %s: %w", p.end, err)
	}
	if err := p.host.lab.link.LinkDel(link); err != nil {
		return fmt.Errorf("remove %s: %w", p.end, err)
	}
	return nil
}

// Down takes the carrier away, as a pulled cable does.
func (p *Port) Down() { p.host.lab.t.Helper(); p.carrier(false) }

// Up puts the cable back.
func (p *Port) Up() { p.host.lab.t.Helper(); p.carrier(true) }

func (p *Port) carrier(on bool) {
	l := p.host.lab
	l.t.Helper()
	change := l.link.LinkSetDown
	if on {
		change = l.link.LinkSetUp
	}
	link, err := l.link.LinkByName(p.end)
	if err == nil {
		err = change(link)
	}
	l.check(err, fmt.Sprintf("change the carrier of %v", p))
}

// Cut drops every frame from and to the port at the switch. The carrier stays, so the host does not notice.
func (p *Port) Cut() { p.host.lab.t.Helper(); p.host.lab.Cut(p) }

// Heal ends Cut and Lose.
func (p *Port) Heal() { p.host.lab.t.Helper(); p.host.lab.Heal(p) }

// Lose drops frames at random: percent of those from the port, and percent of those to it.
func (p *Port) Lose(percent float64) {
	l := p.host.lab
	l.t.Helper()
	l.fault(fmt.Sprintf("lose %v %% at %v", percent, p), func() { p.loss = percent })
}

func (p *Port) String() string { return p.host.Name + "/" + p.Name }
