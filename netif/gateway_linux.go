package netif

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Gateway is where a default route leads.
type Gateway struct {
	Link string
	Addr netip.Addr
}

// Gateways returns the gateways of the default routes in the main table, each once, sorted. It has a socket of its own and may run beside the other methods.
func (k *Kernel) Gateways() ([]Gateway, error) {
	links, err := readLinks(nil)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	routes, err := dump(nil, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, nl.NewRtMsg())
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	var out []Gateway
	for _, b := range routes {
		index, addr, ok := parseGateway(b)
		if !ok {
			continue
		}
		if i, ok := slices.BinarySearchFunc(links, index, byIndex); ok {
			out = append(out, Gateway{links[i].Name, addr})
		}
	}
	slices.SortFunc(out, func(a, b Gateway) int {
		if a.Link != b.Link {
			return slices.Compare([]string{a.Link}, []string{b.Link})
		}
		return a.Addr.Compare(b.Addr)
	})
	return slices.Compact(out), nil
}

// parseGateway reads a route; ok is false if it is no default route by way of a gateway. Of a route with several next hops the first counts.
func parseGateway(b []byte) (index int, addr netip.Addr, ok bool) {
	if len(b) < unix.SizeofRtMsg {
		return 0, addr, false
	}
	r := nl.DeserializeRtMsg(b)
	if r.Dst_len != 0 || r.Type != unix.RTN_UNICAST || r.Table != unix.RT_TABLE_MAIN {
		return 0, addr, false
	}
	attributes, err := nl.ParseRouteAttr(b[unix.SizeofRtMsg:])
	if err != nil {
		return 0, addr, false
	}
	for _, a := range attributes {
		switch {
		case a.Attr.Type == unix.RTA_OIF && len(a.Value) == 4:
			index = int(binary.NativeEndian.Uint32(a.Value))
		case a.Attr.Type == unix.RTA_GATEWAY:
			addr, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return index, addr, index > 0 && addr.IsValid()
}
