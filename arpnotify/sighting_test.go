package arpnotify

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// unhex reads frames as they are written down here: hex digits, with white space anywhere.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Frames that say something about an address, byte for byte, written down from the RFCs. ee is where the frame came from,
// aa what the packet names.
const (
	arpRequest = `ffffffffffff 0200000000ee 0806 0001 0800 06 04 0001 0200000000aa c0000207 000000000000 c0000263`
	arpReply   = `0200000000bb 0200000000ee 0806 0001 0800 06 04 0002 0200000000aa c0000207 0200000000bb c0000263
		000000000000000000000000000000000000`
	arpAnnounced = `ffffffffffff 0200000000ee 0806 0001 0800 06 04 0001 0200000000aa c0000207 000000000000 c0000207`
	arpProbe     = `ffffffffffff 0200000000ee 0806 0001 0800 06 04 0001 0200000000aa 00000000 000000000000 c0000207`
	naOption     = `333300000001 0200000000ee 86dd 60000000 0020 3a ff
		20010db8000000000000000000000007 ff020000000000000000000000000001
		88 00 f875 20000000 20010db8000000000000000000000007 02 01 0200000000aa`
	naBare = `333300000001 0200000000ee 86dd 60000000 0018 3a ff
		20010db8000000000000000000000007 ff020000000000000000000000000001
		88 00 fd28 20000000 20010db8000000000000000000000007`
	naSolicited = `0200000000bb 0200000000ee 86dd 60000000 0018 3a ff
		fe8000000000000000000000000000ee 20010db8000000000000000000000001
		88 00 bcc3 60000000 20010db8000000000000000000000007`
	nsDAD = `3333ff000007 0200000000ee 86dd 60000000 0018 3a ff
		00000000000000000000000000000000 ff0200000000000000000001ff000007
		87 00 4ce1 00000000 20010db8000000000000000000000007`
	nsDADNonce = `3333ff000007 0200000000ee 86dd 60000000 0020 3a ff
		00000000000000000000000000000000 ff0200000000000000000001ff000007
		87 00 35cc 00000000 20010db8000000000000000000000007 0e 01 010203040506`
	nsSource = `3333ff000063 0200000000ee 86dd 60000000 0020 3a ff
		20010db8000000000000000000000007 ff0200000000000000000001ff000063
		87 00 1ab6 00000000 20010db8000000000000000000000063 01 01 0200000000aa`
)

var (
	macEE = hardware{2, 0, 0, 0, 0, 0xee}
	macAA = hardware{2, 0, 0, 0, 0, 0xaa}
)

func TestSight(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		want        sighting
	}{
		{"ARP request, whose sender uses the address", arpRequest, sighting{vip4, macAA, false}},
		{"ARP reply", arpReply, sighting{vip4, macAA, false}},
		{"ARP announcement", arpAnnounced, sighting{vip4, macAA, false}},
		{"ARP probe", arpProbe, sighting{vip4, macAA, true}},
		{"advertisement with its option", naOption, sighting{vip6, macAA, false}},
		{"advertisement without it", naBare, sighting{vip6, macEE, false}},
		{"advertisement as an answer", naSolicited, sighting{vip6, macEE, false}},
		{"duplicate address detection", nsDAD, sighting{vip6, macEE, true}},
		{"duplicate address detection with a nonce (RFC 7527)", nsDADNonce, sighting{vip6, macEE, true}},
		{"solicitation, whose sender uses the address", nsSource, sighting{vip6, macAA, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.frame)
			if got, ok := sight(b); !ok || got != tt.want {
				t.Errorf("sighted %+v %v, want %+v", got, ok, tt.want)
			}
			if got, ok := sight(append(b, make([]byte, 20)...)); !ok || got != tt.want {
				t.Errorf("with a trailer: sighted %+v %v, want %+v", got, ok, tt.want)
			}
		})
	}
}

// Each frame differs in one place from one that is sighted, and must not be.
func TestNothingToSight(t *testing.T) {
	put := func(at int, with ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], with); return b }
	}
	for _, tt := range []struct {
		name, frame string
		change      func([]byte) []byte
	}{
		{"another protocol", arpRequest, put(12, 0x08, 0x00)},
		{"a VLAN tag", arpRequest, func(b []byte) []byte { return slices.Insert(b, 12, 0x81, 0, 0, 5) }},
		{"ARP over another medium", arpRequest, put(15, 6)},
		{"ARP for another protocol", arpRequest, put(16, 0x86, 0xdd)},
		{"ARP with longer hardware addresses", arpRequest, put(18, 8)},
		{"ARP with longer protocol addresses", arpRequest, put(19, 16)},
		{"reverse ARP", arpRequest, put(21, 3)},
		{"ARP operation of two bytes", arpRequest, put(20, 1)},
		{"ARP probe to this host alone", arpProbe, put(0, 2, 0, 0, 0, 0, 0xbb)},
		{"ARP reply without a sender", arpProbe, put(21, 2)},
		{"not IPv6", naOption, put(14, 0x40)},
		{"another next header", naOption, put(20, 17)},
		{"hop limit that says it was routed", naOption, put(21, 254)},
		{"wrong checksum", naOption, put(56, 0)},
		{"payload length beyond the end", naOption, put(19, 0x21)},
		{"payload length too short", naOption, put(19, 0x17)},
		{"redirect", naOption, checked(put(54, 137))},
		{"router advertisement", naOption, checked(put(54, 134))},
		{"code", naOption, checked(put(55, 1))},
		{"group as target", naOption, checked(put(62, 0xff, 0x02))},
		{"answer to all", naOption, checked(put(58, 0x60))},
		{"option without length", naOption, checked(put(79, 0))},
		{"option beyond the end", naOption, checked(put(79, 2))},
		{"half an option", naOption, checked(func(b []byte) []byte { b[19] = 0x1c; return b[:82] })},
		{"duplicate address detection with an address", nsDADNonce, checked(put(78, 1))},
		{"duplicate address detection to all", nsDAD, checked(put(38, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))},
		{"solicitation from a group", nsSource, checked(put(22, 0xff, 2))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.frame)
			if _, ok := sight(b); !ok {
				t.Fatal("not sighted before the change")
			}
			if got, ok := sight(tt.change(b)); ok {
				t.Errorf("sighted %+v", got)
			}
		})
	}
}

// checked makes the checksum right again after a change, so that the change alone is what is wrong.
func checked(change func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b = change(b)
		m := b[54:][:binary.BigEndian.Uint16(b[18:])]
		binary.BigEndian.PutUint16(m[2:], 0)
		sum := uint32(len(m)) + 58
		for _, part := range [][]byte{b[22:54], m} {
			for i := 0; i < len(part); i += 2 {
				sum += uint32(binary.BigEndian.Uint16(part[i:]))
			}
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(m[2:], ^uint16(sum))
		return b
	}
}

// A frame that ends early is nothing, wherever it ends.
func TestCutOffFrames(t *testing.T) {
	for _, whole := range []string{arpRequest, naOption, naBare, nsDAD, nsDADNonce} {
		b := unhex(t, whole)
		for n := range b {
			if got, ok := sight(b[:n:n]); ok {
				t.Errorf("%d bytes of %d: sighted %+v", n, len(b), got)
			}
		}
	}
}

// Our own frames are sighted as what they are, so that a rival which runs this is heard.
func TestOwnFramesAreSighted(t *testing.T) {
	f := face{mac: macAA[:]}
	for _, addr := range []netip.Addr{vip4, vip6} {
		for part := range parts(addr) {
			b, err := frame(addr, part, f)
			must(t, err)
			if got, ok := sight(b); !ok || got != (sighting{addr, macAA, false}) {
				t.Errorf("announcement %d of %s: sighted %+v %v", part, addr, got, ok)
			}
		}
		b, err := question(addr, f.mac)
		must(t, err)
		if got, ok := sight(b); !ok || got != (sighting{addr, macAA, true}) {
			t.Errorf("question for %s: sighted %+v %v", addr, got, ok)
		}
	}
}

// FuzzSight looks for a frame that makes the parser read beyond its end, and for a sighting that cannot be.
func FuzzSight(f *testing.F) {
	for _, s := range []string{arpRequest, arpReply, arpProbe, naOption, naBare, naSolicited, nsDAD, nsDADNonce, nsSource} {
		b := unhex(f, s)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(slices.Insert(slices.Clone(b), 12, 0x81, 0, 0, 5))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := slices.Clone(b)
		s, ok := sight(b[:len(b):len(b)])
		if !slices.Equal(b, whole) {
			t.Error("the frame was changed")
		}
		if ok && (!s.addr.IsValid() || s.addr.Is4() != (b[12] == 0x08) || s.addr.Is6() && s.addr.IsMulticast()) {
			t.Errorf("sighted %+v in %x", s, b)
		}
	})
}
