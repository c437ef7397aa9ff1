package arpnotify

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/icmp"
)

// The frames as they go out, byte for byte, written down from the RFCs and not from this code.
func TestFrames(t *testing.T) {
	mac := net.HardwareAddr{0x02, 0x42, 0xac, 0x11, 0x00, 0x02}
	tests := []struct {
		name, addr string
		part       int
		router     bool
		want       string
	}{{
		name: "ARP announcement, RFC 5227 section 2.3", addr: "192.0.2.7", part: 0,
		want: `ffffffffffff 0242ac110002 0806
			0001 0800 06 04 0001
			0242ac110002 c0000207
			000000000000 c0000207
			000000000000000000000000000000000000`,
	}, {
		name: "gratuitous ARP reply, RFC 5944 section 4.6", addr: "192.0.2.7", part: 1,
		want: `ffffffffffff 0242ac110002 0806
			0001 0800 06 04 0002
			0242ac110002 c0000207
			0242ac110002 c0000207
			000000000000000000000000000000000000`,
	}, {
		name: "unsolicited neighbour advertisement of a host, RFC 4861 section 7.2.6", addr: "2001:db8::7",
		want: `333300000001 0242ac110002 86dd
			60000000 0020 3a ff
			20010db8000000000000000000000007
			ff020000000000000000000000000001
			88 00 4cca 20000000
			20010db8000000000000000000000007
			02 01 0242ac110002`,
	}, {
		name: "unsolicited neighbour advertisement of a router", addr: "2001:db8::7", router: true,
		want: `333300000001 0242ac110002 86dd
			60000000 0020 3a ff
			20010db8000000000000000000000007
			ff020000000000000000000000000001
			88 00 ccc9 a0000000
			20010db8000000000000000000000007
			02 01 0242ac110002`,
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := frame(netip.MustParseAddr(tt.addr), tt.part, face{mac: mac, router: tt.router})
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Join(strings.Fields(tt.want), ""); hex.EncodeToString(b) != want {
				t.Errorf("frame\n%x, want\n%s", b, want)
			}
		})
	}
}

// The questions of a Prober, written down from the RFCs too.
func TestQuestions(t *testing.T) {
	mac := net.HardwareAddr{0x02, 0x42, 0xac, 0x11, 0x00, 0x02}
	for _, tt := range []struct{ name, addr, want string }{{
		name: "ARP Probe, RFC 5227 section 2.1.1", addr: "192.0.2.7",
		want: `ffffffffffff 0242ac110002 0806
			0001 0800 06 04 0001
			0242ac110002 00000000
			000000000000 c0000207
			000000000000000000000000000000000000`,
	}, {
		name: "duplicate address detection, RFC 4862 section 5.4.2", addr: "2001:db8::1:2345:6789",
		want: `3333ff456789 0242ac110002 86dd
			60000000 0018 3a ff
			00000000000000000000000000000000
			ff0200000000000000000001ff456789
			87 00 5a51 00000000
			20010db8000000000000000123456789`,
	}} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := question(netip.MustParseAddr(tt.addr), mac)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Join(strings.Fields(tt.want), ""); hex.EncodeToString(b) != want {
				t.Errorf("frame\n%x, want\n%s", b, want)
			}
		})
	}
}

// TestChecksum adds up the pseudo header and the message as a receiver does (RFC 8200 section 8.1): all ones.
func TestChecksum(t *testing.T) {
	for _, addr := range []string{"2001:db8::7", "fe80::1", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		b, err := frame(netip.MustParseAddr(addr), 0, face{mac: net.HardwareAddr{0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa}})
		if err != nil {
			t.Fatal(err)
		}
		message := b[14+40:]
		pseudo := icmp.IPv6PseudoHeader(b[22:38], b[38:54])
		sum := uint32(len(message)) // the length, which IPv6PseudoHeader leaves out
		for _, part := range [][]byte{pseudo, message} {
			for i := 0; i < len(part); i += 2 {
				sum += uint32(part[i])<<8 | uint32(part[i+1])
			}
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		if sum != 0xffff {
			t.Errorf("%s: the sum is %#x", addr, sum)
		}
	}
}
