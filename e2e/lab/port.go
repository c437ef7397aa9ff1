package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Port is a host's interface with the cable to the switch and the switch's end of it. The faults below are made at the switch: the
// host sees only what a real one would see.
type Port struct {
	Name  string         // the interface on the host: net1 (LAN) or mgmt0
	Addrs []netip.Prefix // its own addresses, IPv4 first
	MAC   net.HardwareAddr

	host    *Host
	segment segment
	peer    string // the interface at the switch
	down    bool
	cut     bool    // guarded by Lab.mu
	loss    float64 // likewise, in percent
}

const maxNodes = 89 // 192.168.3.11 to .99: virtual addresses begin at .100

var gateway = []netip.Addr{netip.MustParseAddr("192.168.3.1"), netip.MustParseAddr("fd00:3::1")}

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
	attrs.Name = p.peer
	attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
	attrs.MasterIndex = l.bridges[p.segment].Attrs().Index
	veth := &netlink.Veth{
		LinkAttrs:        attrs,
		PeerName:         p.Name,
		PeerHardwareAddr: p.MAC,
		PeerNamespace:    netlink.NsFd(int(p.host.ns.net.Fd())),
	}
	if err := l.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s of %s: %w", p.Name, p.host.Name, err)
	}
	if err := l.link.LinkSetUp(veth); err != nil {
		return fmt.Errorf("set %s up: %w", p.peer, err)
	}
	p.down = false
	inside := p.host.link
	link, err := inside.LinkByName(p.Name)
	if err != nil {
		return fmt.Errorf("find %s of %s: %w", p.Name, p.host.Name, err)
	}
	if err := inside.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s of %s up: %w", p.Name, p.host.Name, err)
	}
	for _, a := range p.Addrs {
		if err := inside.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("add %v to %s of %s: %w", a, p.Name, p.host.Name, err)
		}
	}
	return nil
}

// unplug removes the interface from the host, with all that hung on it.
func (p *Port) unplug() error {
	l := p.host.lab
	link, err := l.link.LinkByName(p.peer)
	if err != nil {
		return fmt.Errorf("find %s: %w", p.peer, err)
	}
	if err := l.link.LinkDel(link); err != nil {
		return fmt.Errorf("remove %s: %w", p.peer, err)
	}
	return nil
}

// Down takes the carrier away, as a pulled cable does.
func (p *Port) Down() { p.carrier(true) }

// Up puts the cable back.
func (p *Port) Up() { p.carrier(false) }

func (p *Port) carrier(down bool) {
	l := p.host.lab
	l.t.Helper()
	link, err := l.link.LinkByName(p.peer)
	if err == nil && down {
		err = l.link.LinkSetDown(link)
	} else if err == nil {
		err = l.link.LinkSetUp(link)
	}
	l.check(err, fmt.Sprintf("change the carrier of %v", p))
	p.down = down
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
