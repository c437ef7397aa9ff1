package netif

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Neighbor is a host that the kernel has spoken to on a link, or heard of there.
type Neighbor struct {
	Addr     netip.Addr
	Hardware [6]byte
	// Quiet is how long ago the kernel last heard from it or learned where it is: minutes for one that is spoken to, without bound
	// for one that is not, which the kernel keeps as long as there is room. 0: somebody wrote the entry by hand.
	Quiet time.Duration
}

// Lan is a link with what is known of the network behind it.
type Lan struct {
	Link
	Neighbors []Neighbor
}

// Lans returns all Ethernet links with their own addresses, as [Kernel.Links] does, and their entries in the kernel's tables for ARP
// and neighbour discovery that name an Ethernet address. It has a socket of its own and may run beside the other methods.
func (k *Kernel) Lans() ([]Lan, error) {
	links, err := readLinks(nil)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	addresses, err := readAddresses(nil, k.marks)
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	entries, err := dump(nil, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, allNeighbors{})
	if err != nil {
		return nil, fmt.Errorf("read neighbours: %w", err)
	}
	var lans []Lan
	at := map[int]int{} // by index of the link
	for _, l := range links {
		if len(l.Hardware) == 6 && !l.Loopback {
			at[l.Index] = len(lans)
			lans = append(lans, Lan{Link: l})
		}
	}
	for _, a := range addresses {
		if i, ok := at[a.key.index]; ok && !a.ours {
			lans[i].Prefixes = append(lans[i].Prefixes, a.key.prefix)
		}
	}
	for _, b := range entries {
		if index, n, ok := parseNeighbor(b); ok {
			if i, ok := at[index]; ok {
				lans[i].Neighbors = append(lans[i].Neighbors, n)
			}
		}
	}
	for _, l := range lans {
		slices.SortFunc(l.Neighbors, func(a, b Neighbor) int { return a.Addr.Compare(b.Addr) })
	}
	return lans, nil
}

// allNeighbors is the body of a request for the tables of all families and links, struct ndmsg of linux/neighbour.h.
type allNeighbors struct{}

func (allNeighbors) Len() int          { return unix.SizeofNdMsg }
func (allNeighbors) Serialize() []byte { return make([]byte, unix.SizeofNdMsg) }

const (
	// usable are the states in which an entry says where the host is, or was when it was last heard.
	usable = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	// clockTick is USER_HZ, the unit of struct nda_cacheinfo.
	clockTick = 10 * time.Millisecond
)

// parseNeighbor reads the body of RTM_NEWNEIGH.
func parseNeighbor(b []byte) (link int, n Neighbor, ok bool) {
	if len(b) < unix.SizeofNdMsg {
		return 0, Neighbor{}, false
	}
	family, state, flags := b[0], binary.NativeEndian.Uint16(b[8:]), b[10]
	if family != unix.AF_INET && family != unix.AF_INET6 || state&usable == 0 || flags&unix.NTF_PROXY != 0 {
		return 0, Neighbor{}, false
	}
	link = int(int32(binary.NativeEndian.Uint32(b[4:])))
	hardware := false
	for kind, value := range attributes(b[unix.SizeofNdMsg:]) {
		switch {
		case kind == unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(value)
		case kind == unix.NDA_LLADDR && len(value) == len(n.Hardware):
			n.Hardware, hardware = [6]byte(value), true
		case kind == unix.NDA_CACHEINFO && len(value) >= 12 && state&unix.NUD_PERMANENT == 0:
			confirmed, updated := binary.NativeEndian.Uint32(value), binary.NativeEndian.Uint32(value[8:])
			n.Quiet = time.Duration(min(confirmed, updated)) * clockTick
		}
	}
	return link, n, hardware && n.Addr.IsValid()
}

var _ nl.NetlinkRequestData = allNeighbors{}
