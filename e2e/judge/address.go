package judge

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// parseAddress reads the body of an RTM_NEWADDR or RTM_DELADDR message: which instance it speaks of, and whether that instance, if it is
// there, answers for its address.
//
// IFA_LOCAL is the machine's own address and IFA_ADDRESS the peer's, or its own again; IPv6 leaves out IFA_LOCAL when there is no peer
// (net/ipv6/addrconf.c, inet6_fill_ifaddr). IFA_FLAGS, where present, replaces the 8 bits of the header.
func parseAddress(body []byte) (i instance, answers bool, err error) {
	if len(body) < unix.SizeofIfAddrmsg {
		return instance{}, false, fmt.Errorf("parse address message: %d bytes", len(body))
	}
	// struct ifaddrmsg: family, prefixlen, flags, scope, index (include/uapi/linux/if_addr.h)
	bits, flags := int(body[1]), uint32(body[2])
	i.index = binary.NativeEndian.Uint32(body[4:])
	var local, address netip.Addr
	for attrs := body[unix.SizeofIfAddrmsg:]; len(attrs) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < unix.SizeofRtAttr || size > len(attrs) {
			return instance{}, false, fmt.Errorf("parse address message: attribute of %d bytes in %d", size, len(attrs))
		}
		value := attrs[unix.SizeofRtAttr:size]
		switch binary.NativeEndian.Uint16(attrs[2:]) {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS:
			if len(value) == 4 {
				flags = binary.NativeEndian.Uint32(value)
			}
		}
		attrs = attrs[min(len(attrs), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
	if i.vip = local; !local.IsValid() {
		i.vip = address
	}
	if !address.IsValid() {
		address = i.vip
	}
	if !i.vip.IsValid() || bits > i.vip.BitLen() {
		return instance{}, false, fmt.Errorf("parse address message: no address with %d bits", bits)
	}
	i.prefix = netip.PrefixFrom(address, bits)
	testing := flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	return i, !testing && flags&unix.IFA_F_DADFAILED == 0, nil
}
