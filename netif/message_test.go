package netif

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// told makes the body of a message about an address, as the kernel writes it.
type told struct {
	prefix, peer     string
	flags            uint32
	valid, preferred uint32
	proto            byte
}

func (a told) body() []byte {
	p := netip.MustParsePrefix(a.prefix)
	header := nl.NewIfAddrmsg(unix.AF_INET)
	address := p.Addr()
	if p.Addr().Is6() {
		header.Family = unix.AF_INET6
	}
	if a.peer != "" {
		address = netip.MustParseAddr(a.peer)
	}
	header.Prefixlen, header.Index = uint8(p.Bits()), 7
	b := append([]byte{}, header.Serialize()...)
	add := func(kind int, value []byte) { b = append(b, nl.NewRtAttr(kind, value).Serialize()...) }
	add(unix.IFA_ADDRESS, address.AsSlice())
	if p.Addr().Is4() || a.peer != "" {
		add(unix.IFA_LOCAL, p.Addr().AsSlice())
	}
	add(unix.IFA_FLAGS, nl.Uint32Attr(a.flags))
	life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: a.valid, Prefered: a.preferred}}
	add(unix.IFA_CACHEINFO, life.Serialize())
	if a.proto != 0 {
		add(ifaProto, []byte{a.proto})
	}
	return b
}

func TestParseAddress(t *testing.T) {
	const ours6 = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD
	for _, c := range []struct {
		name       string
		told       told
		ours       bool // on a kernel that keeps the mark
		oursBefore bool // on one that does not
	}{
		{"ours", told{prefix: "10.0.0.1/32", flags: unix.IFA_F_NOPREFIXROUTE, valid: 3, proto: 'v'}, true, true},
		{"ours, IPv6", told{prefix: "fd00::1/128", flags: ours6, valid: 3, proto: 'v'}, true, true},
		{"ours, subnet", told{prefix: "10.0.0.1/24", valid: 3, proto: 'v'}, true, true},
		{"permanent", told{prefix: "10.0.0.1/32", flags: unix.IFA_F_NOPREFIXROUTE, valid: forever, proto: 'v'}, false, false},
		{"unmarked", told{prefix: "10.0.0.1/32", flags: unix.IFA_F_NOPREFIXROUTE, valid: 3}, false, true},
		{"DHCP", told{prefix: "10.0.0.1/24", valid: 3600, preferred: 3600}, false, false},
		{"temporary", told{prefix: "fd00::1/64", flags: unix.IFA_F_TEMPORARY, valid: 3600}, false, false},
		{"peer", told{prefix: "10.0.0.1/32", peer: "10.0.0.2", flags: unix.IFA_F_NOPREFIXROUTE, valid: 3, proto: 'v'}, false, false},
		{"peer, IPv6", told{prefix: "fd00::1/128", peer: "fd00::2", flags: ours6, valid: 3, proto: 'v'}, false, false},
	} {
		for _, marks := range []bool{true, false} {
			want := observed{key{7, netip.MustParsePrefix(c.told.prefix)}, time.Duration(c.told.valid) * time.Second, c.oursBefore}
			if c.told.valid == forever {
				want.valid = -1
			}
			if marks {
				want.ours = c.ours
			}
			if got, ok := parseAddress(c.told.body(), marks); !ok || got != want {
				t.Errorf("%s, kernel keeps the mark %t: %+v, want %+v", c.name, marks, got, want)
			}
		}
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"5.18.0": true, "6.1.0-18-amd64": true, "5.100": true, "10.0-rc1": true,
		"5.17.9": false, "4.19.0": false, "5.4.0-150-generic": false, "": false, "linux": false,
	} {
		if got := atLeast(release, 5, 18); got != want {
			t.Errorf("%q at least 5.18: %t", release, got)
		}
	}
}

// Whatever arrives, reading it ends, and reads nothing beyond it.
func FuzzParse(f *testing.F) {
	body := told{prefix: "10.0.0.1/24", valid: 3, proto: 'v'}.body()
	header := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(header, uint32(len(header)+len(body)))
	binary.NativeEndian.PutUint16(header[4:], unix.RTM_NEWADDR)
	f.Add(append(header, body...))
	f.Add([]byte{16, 0, 0, 0, unix.NLMSG_ERROR, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		tab := table{marks: true}
		tab.reset([]Link{{Name: "eth0", Index: 7}}, nil)
		for header, body := range messages(datagram) {
			if e, ok := tab.apply(header.Type, body); ok && e.String() == "" {
				t.Error("an event says nothing")
			}
			if len(body) >= 4 {
				_ = parseError(header.Flags, body)
			}
		}
	})
}
