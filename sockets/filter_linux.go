package sockets

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// target is a local address, on one interface (index) where that is not 0.
type target struct {
	addr  netip.Addr // without a zone, and IPv4 as such
	index uint32
}

// targets checks addresses, and returns those that make sense, once each.
func targets(addrs []netip.Addr) (list []target, err error) {
	var errs []error
	for _, a := range addrs {
		a = a.Unmap()
		t := target{addr: a.WithZone("")}
		var err error
		switch {
		case !a.IsValid(), a.IsUnspecified(), a.IsMulticast():
			err = fmt.Errorf("%v is not the address of a host", a)
		case a.Is6() && a.IsLinkLocalUnicast():
			t.index, err = zone(a)
		}
		if err != nil {
			errs = append(errs, err)
		} else if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list, errors.Join(errs...)
}

// zone returns the index of the interface that the zone of an address names.
func zone(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, fmt.Errorf("%v is a link-local address, which says nothing without an interface", a)
	}
	if index, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil && index > 0 {
		return uint32(index), nil
	}
	link, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, fmt.Errorf("%v: %w", a, err)
	}
	return uint32(link.Index), nil
}

// query is one look at all TCP sockets of a family.
type query struct {
	family uint8
	states uint32 // a bit for each
	filter []byte // none: all
}

// connected are the states of connections, from enum in include/net/tcp_states.h. LISTEN (10) and TIME_WAIT (6) are not among
// them, the package documentation says why; CLOSE (7) has nothing to reset. SYN_RECV is what the kernel calls NEW_SYN_RECV too.
const connected = 1<<1 /* ESTABLISHED */ | 1<<2 /* SYN_SENT */ | 1<<3 /* SYN_RECV */ | 1<<4 /* FIN_WAIT1 */ |
	1<<5 /* FIN_WAIT2 */ | 1<<8 /* CLOSE_WAIT */ | 1<<9 /* LAST_ACK */ | 1<<11 /* CLOSING */

// mostTargets is how many addresses one filter has at most: it must fit in an attribute of 64 KiB, at up to 68 bytes each, and the
// kernel's check of it (inet_diag_bc_audit) takes a time that grows with the square.
const mostTargets = 500

// queries returns what must be asked to find the connections of all targets. IPv4 ones may be on sockets of either family.
func queries(all []target) (list []query) {
	v4 := slices.DeleteFunc(slices.Clone(all), func(t target) bool { return !t.addr.Is4() })
	for chunk := range slices.Chunk(v4, mostTargets) {
		list = append(list, query{unix.AF_INET, connected, filter(chunk)})
	}
	for chunk := range slices.Chunk(all, mostTargets) {
		list = append(list, query{unix.AF_INET6, connected, filter(chunk)})
	}
	return list
}

// Operations of a filter, from the enum in include/uapi/linux/inet_diag.h.
const (
	opJump      = 1
	opSource    = 7 // INET_DIAG_BC_S_COND
	opInterface = 9 // INET_DIAG_BC_DEV_COND
)

const (
	sizeofOp = 4 // struct inet_diag_bc_op: code, yes (8 bits), no (16 bits); see operation
	// reject is how far behind the end of a program one goes on to reject a socket; at the end itself it is selected
	// (inet_diag_bc_run in net/ipv4/inet_diag.c).
	reject = 4
)

// filter returns the program by which the kernel selects sockets whose local address is one of the targets. An IPv4 address
// selects ::ffff:a.b.c.d as well.
func filter(list []target) []byte {
	list = slices.SortedFunc(slices.Values(list), func(a, b target) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.index, b.index)) // IPv4 comes first
	})
	v6 := slices.IndexFunc(list, func(t target) bool { return t.addr.Is6() })
	switch v6 {
	case -1, 0:
		return search(list, 0, reject)
	}
	second := search(list[v6:], 0, reject)
	return append(search(list[:v6], len(second), 0), second...)
}

// search returns a program that looks for one of the targets by halves, so that its time grows with the logarithm of their
// number. They are sorted and of one family; found and missed say how far behind its end to go on.
func search(list []target, found, missed int) []byte {
	first, last := list[0], list[len(list)-1]
	switch {
	case len(list) == 1:
		return match(first, found, missed)
	case first.addr == last.addr: // on several interfaces
		rest := search(list[1:], found, missed)
		return append(match(first, found+len(rest), 0), rest...)
	}
	half := lowerHalf(first.addr, last.addr)
	at := slices.IndexFunc(list, func(t target) bool { return !half.Contains(t.addr) })
	upper := search(list[at:], found, missed)
	lower := search(list[:at], found+len(upper), missed+len(upper))
	return slices.Concat(source(half, len(lower)), lower, upper)
}

// lowerHalf returns the longest prefix that has the first address and all up to the last which begin as it does, up to and with
// the bit where these two differ.
func lowerHalf(first, last netip.Addr) netip.Prefix {
	bits := 0
	for netip.PrefixFrom(first, bits).Masked().Contains(last) {
		bits++
	}
	return netip.PrefixFrom(first, bits).Masked()
}

// match returns a program that looks for one target.
func match(t target, found, missed int) []byte {
	jump := operation(opJump, nil, found)
	program := append(source(netip.PrefixFrom(t.addr, t.addr.BitLen()), len(jump)+missed), jump...)
	if t.index == 0 {
		return program
	}
	index := binary.NativeEndian.AppendUint32(nil, t.index)
	return append(operation(opInterface, index, len(program)+missed), program...)
}

// source returns the operation that asks whether the local address lies in a prefix.
func source(p netip.Prefix, otherwise int) []byte {
	family := byte(unix.AF_INET)
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	cond := []byte{family, byte(p.Bits()), 0, 0, 0xff, 0xff, 0xff, 0xff} // struct inet_diag_hostcond; port -1: any
	return operation(opSource, append(cond, p.Addr().AsSlice()...), otherwise)
}

// operation returns one operation. If what it asks is so, the next one follows, else the one so far behind it; a jump asks nothing
// and is never so.
func operation(code byte, operand []byte, otherwise int) []byte {
	size := sizeofOp + len(operand)
	op := binary.NativeEndian.AppendUint16([]byte{code, byte(size)}, uint16(size+otherwise))
	return append(op, operand...)
}
