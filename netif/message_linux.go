package netif

import (
	"encoding/binary"
	"iter"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// protocol marks our addresses; `ip addr` shows it as proto 0x76. rt_addrprotos of iproute2 leaves it free.
	protocol = 'v'
	// ifaProto is IFA_PROTO of linux/if_addr.h.
	ifaProto = 11
	// forever is INFINITY_LIFE_TIME of net/addrconf.h.
	forever = 1<<32 - 1
	// promoteSecondaries is IPV4_DEVCONF_PROMOTE_SECONDARIES of linux/ip.h.
	promoteSecondaries = 20
	// skipStatistics is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
	skipStatistics = 1 << 3
)

// request is one message about one address.
type request struct {
	kind    uint16 // RTM_NEWADDR or RTM_DELADDR
	flags   uint16 // NLM_F_CREATE and so on
	key     key
	seconds uint32 // lifetime, of RTM_NEWADDR
}

// appendTo adds the message, whose length is a multiple of four, so that messages can follow each other. Each refresh of a thousand addresses makes a
// thousand of these, three times a second, so it builds them where they are sent from.
func (r request) appendTo(b []byte, seq uint32) []byte {
	start, order := len(b), binary.NativeEndian
	addr := r.key.prefix.Addr()
	family := byte(unix.AF_INET6)
	if addr.Is4() {
		family = unix.AF_INET
	}
	b = append(b, 0, 0, 0, 0) // the length
	b = order.AppendUint16(b, r.kind)
	b = order.AppendUint16(b, unix.NLM_F_REQUEST|r.flags)
	b = order.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0) // to the kernel
	b = append(b, family, uint8(r.key.prefix.Bits()), 0, unix.RT_SCOPE_UNIVERSE)
	b = order.AppendUint32(b, uint32(r.key.index))
	// Both, because inet_rtm_deladdr compares the prefix length only when it is given IFA_ADDRESS.
	b = appendAddress(b, unix.IFA_LOCAL, addr)
	b = appendAddress(b, unix.IFA_ADDRESS, addr)
	if r.kind == unix.RTM_NEWADDR {
		b = appendHeader(b, unix.IFA_FLAGS, 4)
		b = order.AppendUint32(b, flagsFor(r.key.prefix))
		b = appendHeader(b, unix.IFA_CACHEINFO, unix.SizeofIfaCacheinfo)
		b = order.AppendUint32(b, 0) // preferred
		b = order.AppendUint32(b, r.seconds)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		b = appendHeader(b, ifaProto, 1)
		b = append(b, protocol, 0, 0, 0) // ignored before Linux 5.18
	}
	order.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// appendHeader begins an attribute with so many bytes.
func appendHeader(b []byte, kind, length uint16) []byte {
	b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+length)
	return binary.NativeEndian.AppendUint16(b, kind)
}

func appendAddress(b []byte, kind uint16, addr netip.Addr) []byte {
	if addr.Is4() {
		a := addr.As4()
		return append(appendHeader(b, kind, 4), a[:]...)
	}
	a := addr.As16()
	return append(appendHeader(b, kind, 16), a[:]...)
}

// acknowledge asks for an answer to the message at the start of b also if there is no error.
func acknowledge(b []byte) {
	flags := b[6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
}

// flagsFor returns the flags of our addresses.
//
// IPv6: no duplicate address detection, which would keep the address unusable for a second or more and, while the former holder
// still answers, for good. And no route to its subnet: the kernel would give a route that router advertisements made, the same
// one, the lifetime of our address (fib6_add_rt2node in net/ipv6/ip6_fib.c).
//
// IPv4: a /32 has no such route. With a shorter prefix it must not be suppressed: when the address becomes the primary one of its
// subnet, because the link's own address went away for a moment, the own one comes back as a secondary, which brings no route
// itself, and the host would be cut off from its subnet.
func flagsFor(p netip.Prefix) uint32 {
	switch {
	case p.Addr().Is6():
		return unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD
	case p.IsSingleIP():
		return unix.IFA_F_NOPREFIXROUTE
	}
	return 0
}

// messages yields the netlink messages of one datagram, header and body. It stops at the first malformed one.
func messages(b []byte) iter.Seq2[unix.NlMsghdr, []byte] {
	return func(yield func(unix.NlMsghdr, []byte) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			header := unix.NlMsghdr{
				Len:   binary.NativeEndian.Uint32(b),
				Type:  binary.NativeEndian.Uint16(b[4:]),
				Flags: binary.NativeEndian.Uint16(b[6:]),
				Seq:   binary.NativeEndian.Uint32(b[8:]),
				Pid:   binary.NativeEndian.Uint32(b[12:]),
			}
			if header.Len < unix.SizeofNlMsghdr || uint64(header.Len) > uint64(len(b)) {
				return
			}
			if !yield(header, b[unix.SizeofNlMsghdr:header.Len]) {
				return
			}
			b = b[min(len(b), align(int(header.Len))):]
		}
	}
}

// attributes yields the attributes of a netlink message body, type and value. It stops at the first malformed one.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), align(size)):]
		}
	}
}

// align rounds up to the alignment of netlink messages and attributes.
func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// observed is an address as a message of the kernel tells it.
type observed struct {
	key   key
	valid time.Duration // negative: for ever
	ours  bool
}

// parseAddress reads the body of RTM_NEWADDR and RTM_DELADDR. marks says that the kernel keeps the protocol.
func parseAddress(b []byte, marks bool) (observed, bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return observed{}, false
	}
	header := nl.DeserializeIfAddrmsg(b)
	var (
		local, address   netip.Addr
		flags            = uint32(header.Flags)
		valid, preferred = uint32(forever), uint32(forever)
		proto            byte
	)
	for kind, value := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch {
		case kind == unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case kind == unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case kind == unix.IFA_FLAGS && len(value) >= 4:
			flags = binary.NativeEndian.Uint32(value)
		case kind == unix.IFA_CACHEINFO && len(value) >= unix.SizeofIfaCacheinfo:
			life := nl.DeserializeIfaCacheInfo(value)
			valid, preferred = life.Valid, life.Prefered
		case kind == ifaProto && len(value) >= 1:
			proto = value[0]
		}
	}
	// IPv6 sends IFA_LOCAL only for a point-to-point address, whose IFA_ADDRESS is the other end.
	if !local.IsValid() {
		local = address
	}
	o := observed{
		key:   key{int(header.Index), netip.PrefixFrom(local, int(header.Prefixlen))},
		valid: time.Duration(valid) * time.Second,
	}
	if valid == forever {
		o.valid = -1
	}
	o.ours = valid != forever && local == address
	want := flagsFor(o.key.prefix)
	if marks {
		o.ours = o.ours && proto == protocol
	} else {
		o.ours = o.ours && preferred == 0 && flags&want == want
	}
	return o, o.key.prefix.IsValid()
}

// parseLink reads the body of RTM_NEWLINK and RTM_DELLINK. promotes says that promote_secondaries is set for this link.
func parseLink(b []byte) (link Link, promotes, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, false, false
	}
	header := nl.DeserializeIfInfomsg(b)
	if header.Family != unix.AF_UNSPEC {
		return Link{}, false, false // a bridge speaks of its port: the "deleted" one has merely left the bridge
	}
	const passes = unix.IFF_LOWER_UP | unix.IFF_RUNNING
	link = Link{
		Index:    int(header.Index),
		Up:       header.Flags&unix.IFF_UP != 0,
		Carrier:  header.Flags&passes == passes,
		Loopback: header.Flags&unix.IFF_LOOPBACK != 0,
	}
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			link.Name = unix.ByteSliceToString(value)
		case unix.IFLA_ADDRESS:
			link.Hardware = net.HardwareAddr(slices.Clone(value))
		case unix.IFLA_PROP_LIST:
			for kind, value := range attributes(value) {
				if kind == unix.IFLA_ALT_IFNAME {
					link.Altnames = append(link.Altnames, unix.ByteSliceToString(value))
				}
			}
		case unix.IFLA_AF_SPEC:
			promotes = parsePromotes(value)
		}
	}
	return link, promotes, link.Name != ""
}

// parsePromotes reads promote_secondaries from the array of a link's IPv4 settings, IFLA_AF_SPEC.
func parsePromotes(b []byte) bool {
	for family, value := range attributes(b) {
		if family != unix.AF_INET {
			continue
		}
		for kind, settings := range attributes(value) {
			if at := 4 * (promoteSecondaries - 1); kind == unix.IFLA_INET_CONF && len(settings) >= at+4 {
				return binary.NativeEndian.Uint32(settings[at:]) != 0
			}
		}
	}
	return false
}
