package sockets

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// runFilter does what inet_diag_bc_run in net/ipv4/inet_diag.c does, for a socket with this local address and interface.
func runFilter(t interface{ Fatalf(string, ...any) }, program []byte, local netip.Addr, index uint32) bool {
	left := len(program)
	for left > 0 {
		op := program[len(program)-left:]
		yes, no := int(op[1]), int(binary.NativeEndian.Uint16(op[2:]))
		if yes < sizeofOp || yes > left || no < sizeofOp || no > left+4 || yes%4+no%4 != 0 { // as inet_diag_bc_audit
			t.Fatalf("the kernel would refuse the operation %v with %d bytes left", op[:4], left)
		}
		var so bool
		switch op[0] {
		case opJump:
		case opInterface:
			so = binary.NativeEndian.Uint32(op[4:]) == index
		case opSource:
			addr, _ := netip.AddrFromSlice(op[12:yes])
			p := netip.PrefixFrom(addr, int(op[5]))
			so = p.Contains(local) || addr.Is4() && local.Is4In6() && p.Contains(local.Unmap())
		default:
			t.Fatalf("operation %d", op[0])
		}
		if so {
			left -= yes
		} else {
			left -= no
		}
	}
	return left == 0
}

// The filter selects exactly the targets, whatever they are.
func TestFilterSelects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v4 := rapid.Custom(func(t *rapid.T) netip.Addr {
			b := rapid.SampledFrom([][4]byte{{192, 0, 2, 0}, {0, 0, 0, 0}, {255, 255, 255, 0}}).Draw(t, "net")
			b[3] = rapid.Byte().Draw(t, "host")
			return netip.AddrFrom4(b)
		})
		v6 := rapid.Custom(func(t *rapid.T) netip.Addr {
			b := netip.MustParseAddr(rapid.SampledFrom([]string{"2001:db8::", "fe80::", "::", "ffff::"}).Draw(t, "net")).As16()
			b[15], b[9] = rapid.Byte().Draw(t, "host"), rapid.ByteMax(1).Draw(t, "middle")
			return netip.AddrFrom16(b)
		})
		targets := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) target {
			a := rapid.OneOf(v4, v6).Draw(t, "address")
			index := uint32(0)
			if a.IsLinkLocalUnicast() {
				index = rapid.Uint32Range(1, 3).Draw(t, "index")
			}
			return target{a, index}
		}), 1, 40, rapid.ID).Draw(t, "targets")
		program := filter(targets)

		probes := rapid.SliceOfN(rapid.OneOf(v4, v6), 20, 20).Draw(t, "others")
		for _, w := range targets {
			probes = append(probes, w.addr, w.addr.Next(), w.addr.Prev())
		}
		for _, local := range probes {
			if !local.IsValid() {
				continue // beyond the last address
			}
			for index := range uint32(4) {
				want := slices.ContainsFunc(targets, func(w target) bool {
					// A mapped address is one of IPv4 in a socket for both: the neighbour of ::1:0:0:0 is one.
					return w.addr == local.Unmap() && (w.index == 0 || w.index == index)
				})
				if got := runFilter(t, program, local, index); got != want {
					t.Fatalf("for %v on interface %d it says %v; targets %v", local, index, got, targets)
				}
				if local.Is4() {
					if got := runFilter(t, program, netip.AddrFrom16(local.As16()), index); got != want {
						t.Fatalf("for ::ffff:%v it says %v; targets %v", local, got, targets)
					}
				}
			}
		}
	})
}

// The largest filter fits in an attribute.
func TestFilterFits(t *testing.T) {
	var list []target
	for a := netip.MustParseAddr("fe80::1"); len(list) < mostTargets; a = a.Next() {
		list = append(list, target{a, 1})
	}
	if size := len(filter(list)); size > 1<<16-1-sizeofAttr {
		t.Errorf("the filter has %d bytes", size)
	}
}
