package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"viplease/coordinator/plan"
)

const (
	linkName = "net1"
	perVIP   = 2                // addresses of one VIP, at most, before a change of the configuration
	maxVIPs  = 8                // of one schedule
	spare    = maxVIPs * perVIP // the first of the slots that only a changed configuration uses
	maxSlots = spare + 2
)

// slots is a set of addresses, one bit each.
type slots uint32

var addresses = func() (list [maxSlots]plan.Address) {
	for i := range list {
		list[i] = plan.Address{Link: linkName, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 32)}
	}
	return list
}()

func slotAddress(i int) plan.Address { return addresses[i] }

// slotOf is the inverse of slotAddress.
func slotOf(a plan.Address) int { return int(a.Prefix.Addr().As4()[3]) - 1 }

// layout is what one version of the configuration says: VIPs and their addresses.
type layout struct {
	prefer int // so many nodes are preferred in turn; 0: none
	vips   []plan.VIP
	places [][]plan.Address // by VIP
	slots  []slots
}

func (l *layout) add(name string, list ...int) {
	vip := plan.VIP{Name: name}
	for i := range min(l.prefer, 2) {
		vip.Prefer = append(vip.Prefer, fmt.Sprintf("n%d", (list[0]/perVIP+i)%l.prefer))
	}
	var place []plan.Address
	var set slots
	for _, i := range list {
		vip.Prefixes = append(vip.Prefixes, slotAddress(i).Prefix)
		place = append(place, slotAddress(i))
		set |= 1 << i
	}
	l.vips, l.places, l.slots = append(l.vips, vip), append(l.places, place), append(l.slots, set)
}

// change is how a configuration differs from the one before.
type change int

const (
	same     change = iota
	swap            // two names exchange their addresses
	rename          // a VIP gets another name
	renumber        // a VIP gets another address
	join            // two VIPs become one
	divide          // one VIP becomes two
	retire          // a VIP goes
	changes
)

var changeNames = [changes]string{"same", "swap", "rename", "renumber", "join", "divide", "retire"}

func (c change) String() string { return changeNames[c] }

// newLayout is the configuration with n VIPs, of one and two addresses in turn, as it is after a change.
func newLayout(n int, c change, prefer int) *layout {
	l := &layout{prefer: prefer}
	own := func(i int) []int {
		if i%2 == 0 {
			return []int{i * perVIP}
		}
		return []int{i * perVIP, i*perVIP + 1}
	}
	for i := range n {
		name := fmt.Sprintf("v%d", i)
		switch {
		case i == 0 && c == swap:
			l.add(name, own(1)...)
		case i == 1 && c == swap:
			l.add(name, own(0)...)
		case i == 0 && c == rename:
			l.add("w0", own(0)...)
		case i == 0 && c == renumber:
			l.add(name, spare)
		case i == 0 && c == join:
			l.add(name, append(own(0), own(1)...)...)
		case i == 1 && c == join, i == 0 && c == retire:
		case i == 1 && c == divide:
			l.add(name, own(1)[0])
			l.add("x1", own(1)[1])
		default:
			l.add(name, own(i)...)
		}
	}
	return l
}

func (l *layout) has(name string) bool {
	return slices.ContainsFunc(l.vips, func(v plan.VIP) bool { return v.Name == name })
}

// former are the addresses that a daemon before set and this configuration does not have.
func (l *layout) former(list []plan.Address) []plan.Address {
	var all slots
	for _, s := range l.slots {
		all |= s
	}
	var out []plan.Address
	for _, a := range list {
		if all>>slotOf(a)&1 == 0 {
			out = append(out, a)
		}
	}
	return out
}
