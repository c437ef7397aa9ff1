package arpnotify

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// What guards say to this host alone wakes nobody who looks for rivals; a rival who speaks to it does.
func TestRivalEarSleepsThroughQuestionsAndAnswers(t *testing.T) {
	c := newCable(t)
	x, here := c.atFar(t), c.mac(t)
	zero, guard := make(net.HardwareAddr, 6), netip.MustParseAddr("fe80::5")
	arpTo := func(op arp.Operation, sender netip.Addr, to net.HardwareAddr) []byte {
		b, err := arpFrame(op, sender, vip4, rivalMAC, zero, to)
		must(t, err)
		return b
	}
	ndTo := func(m ndp.Message, from netip.Addr, to net.HardwareAddr) []byte {
		b, err := ndFrame(m, from, vip6, rivalMAC, to)
		must(t, err)
		return b
	}
	for _, tt := range []struct {
		etherType uint16
		asides    [][]byte
		rivals    [][]byte
	}{
		{etherARP, [][]byte{
			arpTo(arp.OperationRequest, netip.IPv4Unspecified(), here),
			arpTo(arp.OperationReply, last, here),
		}, [][]byte{
			arpTo(arp.OperationRequest, vip4, here), // its kernel asks again whether a neighbour is there
			arpTo(arp.OperationReply, vip4, ethernet.Broadcast),
			arpTo(arp.OperationRequest, netip.IPv4Unspecified(), ethernet.Broadcast),
		}},
		{etherIPv6, [][]byte{
			ndTo(&ndp.NeighborSolicitation{TargetAddress: vip6}, guard, here),
			ndTo(&ndp.NeighborAdvertisement{Solicited: true, TargetAddress: vip6}, vip6, here),
		}, [][]byte{
			ndTo(&ndp.NeighborSolicitation{TargetAddress: vip6}, vip6, here),
			ndTo(&ndp.NeighborAdvertisement{Override: true, TargetAddress: vip6}, vip6, ethernet.Broadcast),
		}},
	} {
		e, err := openRivalEar(net.Interface{Index: c.link(t).Attrs().Index, Name: c.near}, tt.etherType)
		must(t, err)
		defer e.close()
		for i, rival := range tt.rivals {
			for _, aside := range tt.asides {
				x.send(t, aside)
			}
			x.send(t, rival)
			if got, err := e.read(); err != nil || !bytes.Equal(got, rival) {
				t.Errorf("%#x: heard %x instead of rival %d: %v", tt.etherType, got, i, err)
			}
		}
	}
}
