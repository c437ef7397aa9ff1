package arpnotify

import (
	"encoding/binary"
	"net/netip"
)

// hardware is an Ethernet address that can be compared.
type hardware [6]byte

// A sighting is what one frame says about an address: who uses it or, when probing, who asks whether it is free.
type sighting struct {
	addr    netip.Addr
	mac     hardware
	probing bool
}

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	ethernetHeader = 14
	ipv6HeaderLen  = 40
	arpLen         = 28 // for Ethernet and IPv4
)

// sight reads an Ethernet frame as it arrived. ok is false for one that says nothing about an address or that a receiver
// has to discard. It allocates nothing and keeps nothing of frame.
func sight(frame []byte) (s sighting, ok bool) {
	if len(frame) < ethernetHeader {
		return sighting{}, false
	}
	switch payload := frame[ethernetHeader:]; binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return sightARP(payload, frame[0]&1 != 0)
	case etherIPv6:
		return sightND(payload, hardware(frame[6:12]))
	default:
		return sighting{}, false
	}
}

// sightARP reads an ARP packet (RFC 826). Whoever sends one with an address as its own uses that address, whether it asks,
// answers or announces (RFC 5227 section 2.4). A request that is broadcast without a sender address is a probe (section
// 2.1.1); one to a single host only asks whether that host is there.
func sightARP(b []byte, group bool) (s sighting, ok bool) {
	const ethernet, ipv4, request, reply = 1, 0x0800, 1, 2
	if len(b) < arpLen || binary.BigEndian.Uint16(b) != ethernet || binary.BigEndian.Uint16(b[2:]) != ipv4 || b[4] != 6 || b[5] != 4 {
		return sighting{}, false
	}
	operation := binary.BigEndian.Uint16(b[6:])
	if operation != request && operation != reply {
		return sighting{}, false
	}
	s = sighting{addr: netip.AddrFrom4([4]byte(b[14:18])), mac: hardware(b[8:14])}
	if s.addr.IsUnspecified() {
		s.addr, s.probing = netip.AddrFrom4([4]byte(b[24:28])), true
		return s, operation == request && group
	}
	return s, true
}

// sightND reads an IPv6 packet with a neighbour solicitation or advertisement, which must be valid by RFC 4861 sections
// 7.1.1 and 7.1.2 and neither fragmented nor behind another extension header (RFC 6980). mac is where the frame came
// from; a link-layer address option goes before it, because that is what neighbours learn.
func sightND(b []byte, mac hardware) (s sighting, ok bool) {
	const icmpv6, hopLimit = 58, 255
	if len(b) < ipv6HeaderLen || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != hopLimit {
		return sighting{}, false
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < ndLen || n > len(b)-ipv6HeaderLen {
		return sighting{}, false
	}
	from, to := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	m := ndMessage(b[ipv6HeaderLen : ipv6HeaderLen+n])
	if m[1] != 0 || m.target().IsMulticast() || !checksumHolds(b[8:40], m) {
		return sighting{}, false
	}
	switch m[0] {
	case neighbourSolicitation:
		return m.solicits(from, to, mac)
	case neighbourAdvertisement:
		return m.advertises(to, mac)
	default:
		return sighting{}, false
	}
}

// An ndMessage is an ICMPv6 message of at least ndLen bytes.
type ndMessage []byte

const (
	ndLen                  = 24
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	sourceOption           = 1
	targetOption           = 2
)

func (m ndMessage) target() netip.Addr { return netip.AddrFrom16([16]byte(m[8:24])) }

// solicits reads a solicitation. One without a source address is duplicate address detection (RFC 4862 section 5.4.2);
// any other shows that the sender uses its source address.
func (m ndMessage) solicits(from, to netip.Addr, mac hardware) (s sighting, ok bool) {
	linkLayer, found, ok := m.option(sourceOption)
	switch {
	case !ok:
		return sighting{}, false
	case from.IsUnspecified():
		return sighting{addr: m.target(), mac: mac, probing: true}, !found && solicitedNode(to)
	case found:
		mac = linkLayer
	}
	return sighting{addr: from, mac: mac}, !from.IsMulticast()
}

// advertises reads an advertisement. One to a group is nobody's answer, so it must not say that it is one.
func (m ndMessage) advertises(to netip.Addr, mac hardware) (s sighting, ok bool) {
	const solicited = 0x40
	linkLayer, found, ok := m.option(targetOption)
	if !ok || to.IsMulticast() && m[4]&solicited != 0 {
		return sighting{}, false
	}
	if found {
		mac = linkLayer
	}
	return sighting{addr: m.target(), mac: mac}, true
}

// option finds the Ethernet address of the first link-layer address option of that kind. ok is false when the options
// are malformed (RFC 4861 section 4.6).
func (m ndMessage) option(kind byte) (mac hardware, found, ok bool) {
	const unit = 8 // lengths count these
	for o := m[ndLen:]; len(o) > 0; {
		if len(o) < unit || o[1] == 0 || len(o) < unit*int(o[1]) {
			return hardware{}, false, false
		}
		if o[0] == kind && o[1] == 1 && !found {
			mac, found = hardware(o[2:8]), true
		}
		o = o[unit*int(o[1]):]
	}
	return mac, found, true
}

// solicitedNode says whether to is in ff02::1:ff00:0/104 (RFC 4291 section 2.7.1).
func solicitedNode(to netip.Addr) bool {
	b := to.As16()
	return [13]byte(b[:13]) == [13]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}
}

// checksumHolds tells whether a receiver gets all ones (RFC 8200 section 8.1). addrs are source and destination.
func checksumHolds(addrs, message []byte) bool { return checksum(addrs, message) == 0xffff }

// checksum adds up the pseudo header and the message; its complement goes into a message whose field is zero.
func checksum(addrs, message []byte) uint16 {
	const icmpv6 = 58
	sum := uint32(len(message)) + icmpv6
	for _, b := range [...][]byte{addrs, message} {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
