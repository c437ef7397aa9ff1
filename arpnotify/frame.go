package arpnotify

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// allNodes is the link-local all-nodes multicast address, to which RFC 4861 section 7.2.6 has unsolicited
// advertisements sent, and allNodesMAC its Ethernet address (RFC 2464 section 7).
var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// parts is how many frames one announcement of addr has.
func parts(addr netip.Addr) int {
	if addr.Is4() {
		return 2
	}
	return 1
}

// frame makes the given part of the announcement of addr, as a complete Ethernet frame without its check sequence.
func frame(addr netip.Addr, part int, from face) ([]byte, error) {
	switch {
	case addr.Is6():
		return advertisement(addr, from, allNodes, allNodesMAC)
	case part == 0:
		return arpFrame(arp.OperationRequest, addr, addr, from.mac, make(net.HardwareAddr, len(from.mac)), ethernet.Broadcast)
	default:
		return arpFrame(arp.OperationReply, addr, addr, from.mac, from.mac, ethernet.Broadcast)
	}
}

// frameTo makes the given part of what tells one host of addr. None is gratuitous, so a host that ignores such frames takes it:
// the answer that the host would get if it asked, and a question for its own address, from which it learns before it answers (RFC
// 826; Linux takes the answer only if its entry is a second old, and the question always, arp_process in net/ipv4/arp.c). For IPv6
// one of the two suffices. What goes to a host of unknown hardware address is sent to all and names the host.
func frameTo(h Neighbor, addr netip.Addr, part int, from face) ([]byte, error) {
	known := h.Hardware != hardware{}
	to := net.HardwareAddr(h.Hardware[:])
	switch {
	case addr.Is6() && known:
		return advertisement(addr, from, h.Addr, to)
	case addr.Is6():
		return solicitation(addr, h.Addr, from.mac)
	case !known:
		to = ethernet.Broadcast
	}
	if part == 0 {
		return arpFrame(arp.OperationReply, addr, h.Addr, from.mac, to, to)
	}
	return arpFrame(arp.OperationRequest, addr, h.Addr, from.mac, make(net.HardwareAddr, len(from.mac)), to)
}

// solicitation makes the question of one address for another's link-layer address, which tells that of the asker (RFC 4861 section
// 7.2.3).
func solicitation(asker, target netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	m := &ndp.NeighborSolicitation{TargetAddress: target, Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}}}
	return toSolicitedNode(m, asker, target, mac)
}

// question makes the frame that asks all neighbours whether one of them uses addr, and tells them nothing: the ARP Probe
// of RFC 5227 section 2.1.1, or the solicitation of RFC 4862 section 5.4.2.
func question(addr netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	if addr.Is4() {
		return arpFrame(arp.OperationRequest, netip.IPv4Unspecified(), addr, mac, make(net.HardwareAddr, len(mac)), ethernet.Broadcast)
	}
	return toSolicitedNode(&ndp.NeighborSolicitation{TargetAddress: addr}, netip.IPv6Unspecified(), addr, mac)
}

// toSolicitedNode makes a frame with m to the group that the holder of target listens to (RFC 4291 section 2.7.1).
func toSolicitedNode(m ndp.Message, from, target netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	group, err := ndp.SolicitedNodeMulticast(target)
	if err != nil {
		return nil, fmt.Errorf("make neighbour solicitation: %w", err)
	}
	last := group.As16()
	to := net.HardwareAddr{0x33, 0x33, last[12], last[13], last[14], last[15]} // RFC 2464 section 7
	return ndFrame(m, from, group, mac, to)
}

// arpFrame makes an ARP packet to the Ethernet address given. It is gratuitous when sender and target are the same address: then a request
// leaves the target's hardware address zero (RFC 5227 sections 1.1 and 2.3), and a reply names the sender's (RFC 5944
// section 4.6); Linux takes a reply for gratuitous only then, and only a gratuitous one changes an entry younger than a
// second (arp_is_garp in net/ipv4/arp.c).
func arpFrame(op arp.Operation, sender, target netip.Addr, mac, targetMAC, to net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(op, mac, sender, targetMAC, target)
	if err != nil {
		return nil, fmt.Errorf("make ARP packet: %w", err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("make ARP packet: %w", err)
	}
	// Frame pads to the 60 bytes that Ethernet asks for.
	f := ethernet.Frame{Destination: to, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
	return f.MarshalBinary()
}

// advertisement makes an unsolicited neighbour advertisement for addr. Override is what makes neighbours replace the
// entry they have; Router must say what the kernel's own advertisements say, or hosts drop this one from their default
// routers (RFC 4861 section 7.2.5).
func advertisement(addr netip.Addr, from face, to netip.Addr, toMAC net.HardwareAddr) ([]byte, error) {
	return ndFrame(&ndp.NeighborAdvertisement{
		Router:        from.router,
		Override:      true,
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: from.mac}},
	}, addr, to, from.mac, toMAC)
}

// ndFrame makes a frame with a neighbour discovery message.
func ndFrame(m ndp.Message, from, to netip.Addr, mac, toMAC net.HardwareAddr) ([]byte, error) {
	icmp, err := ndp.MarshalMessageChecksum(m, from, to)
	if err != nil {
		return nil, fmt.Errorf("make neighbour discovery message: %w", err)
	}
	f := ethernet.Frame{
		Destination: toMAC,
		Source:      mac,
		EtherType:   ethernet.EtherTypeIPv6,
		Payload:     append(ipv6Header(from, to, len(icmp)), icmp...),
	}
	return f.MarshalBinary()
}

// ipv6Header is the header of RFC 8200 section 3 for an ICMPv6 message of n bytes, with the hop limit of 255 that RFC
// 4861 section 7.1.2 demands.
func ipv6Header(from, to netip.Addr, n int) []byte {
	const version6, icmpv6, hopLimit = 6 << 4, 58, 255
	b := make([]byte, 40, 40+n)
	b[0] = version6
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = icmpv6, hopLimit
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return b
}
