package netif

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Links returns all links, in the order of their index.
func (k *Kernel) Links() ([]Link, error) {
	links, err := readLinks(k.lane.sockets())
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	addresses, err := readAddresses(k.lane.sockets(), k.marks)
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	for _, a := range addresses {
		if i, ok := slices.BinarySearchFunc(links, a.key.index, byIndex); ok && !a.ours {
			links[i].Prefixes = append(links[i].Prefixes, a.key.prefix)
		}
	}
	return links, nil
}

// Addresses returns what the kernel has: every address on every link, whoever put it there. Of a point-to-point address it
// returns this host's end.
func (k *Kernel) Addresses() ([]Present, error) {
	links, err := readLinks(k.lane.sockets())
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	addresses, err := readAddresses(k.lane.sockets(), k.marks)
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	found := make([]Present, 0, len(addresses))
	for _, a := range addresses {
		// A link that appeared between the two reads is left to the next one: nothing of ours is on it.
		if i, ok := slices.BinarySearchFunc(links, a.key.index, byIndex); ok {
			found = append(found, a.present(links[i].Name))
		}
	}
	return found, nil
}

func (o observed) present(link string) Present {
	return Present{Address: Address{Link: link, Prefix: o.key.prefix}, Valid: o.valid, Ours: o.ours}
}

func byIndex(l Link, index int) int { return cmp.Compare(l.Index, index) }

// readLinks returns all links, sorted by index. With nil sockets it opens one of its own.
func readLinks(sockets map[int]*nl.SocketHandle) ([]Link, error) {
	bodies, err := dump(sockets, unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), withoutStatistics())
	if err != nil {
		return nil, err
	}
	links := make([]Link, 0, len(bodies))
	for _, b := range bodies {
		if link, _, ok := parseLink(b); ok {
			links = append(links, link)
		}
	}
	slices.SortFunc(links, func(a, b Link) int { return byIndex(a, b.Index) })
	return links, nil
}

// readAddresses returns all addresses. With nil sockets it opens one of its own.
func readAddresses(sockets map[int]*nl.SocketHandle, marks bool) ([]observed, error) {
	bodies, err := dump(sockets, unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	addresses := make([]observed, 0, len(bodies))
	for _, b := range bodies {
		if a, ok := parseAddress(b, marks); ok {
			addresses = append(addresses, a)
		}
	}
	return addresses, nil
}

// dump asks the kernel for everything of one kind and returns the bodies of its messages.
func dump(sockets map[int]*nl.SocketHandle, kind int, reply uint16, data ...nl.NetlinkRequestData) ([][]byte, error) {
	const attempts = 10 // the kernel says when a change came between its parts
	for attempt := 1; ; attempt++ {
		r := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
		r.Sockets = sockets
		r.Data = data
		bodies, err := r.Execute(unix.NETLINK_ROUTE, reply)
		if err == nil || !errors.Is(err, nl.ErrDumpInterrupted) || attempt == attempts {
			return bodies, err
		}
	}
}

// resolved is the link that a name means at this moment.
type resolved struct {
	index    int
	name     string // the kernel's own
	promotes bool   // promote_secondaries is set
}

// resolve asks the kernel which link a name or alternative name means. It is asked anew for every call of Raise, Delete and
// Prepare: a remembered index could belong to a link that has been renamed since.
func (k *Kernel) resolve(name string) (resolved, error) {
	attribute := unix.IFLA_IFNAME // Linux looks among alternative names too, but takes 15 bytes at most
	if len(name) >= unix.IFNAMSIZ {
		attribute = unix.IFLA_ALT_IFNAME
	}
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	r.Sockets = k.lane.sockets()
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.AddData(withoutStatistics())
	r.AddData(nl.NewRtAttr(attribute, nl.ZeroTerminated(name)))
	bodies, err := r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.EINVAL) && name == "":
		return resolved{}, fmt.Errorf("%w: %q", ErrNoLink, name)
	case err != nil:
		return resolved{}, fmt.Errorf("look up link %q: %w", name, err)
	}
	for _, b := range bodies {
		if link, promotes, ok := parseLink(b); ok {
			return resolved{index: link.Index, name: link.Name, promotes: promotes}, nil
		}
	}
	return resolved{}, fmt.Errorf("look up link %q: the kernel's answer is not understood", name)
}

// lookUp returns resolve for the length of one call: it asks for each name once.
func (k *Kernel) lookUp() func(name string) (resolved, error) {
	type answer struct {
		link resolved
		err  error
	}
	known := map[string]answer{}
	return func(name string) (resolved, error) {
		a, ok := known[name]
		if !ok {
			a.link, a.err = k.resolve(name)
			known[name] = a
		}
		return a.link, a.err
	}
}

func withoutStatistics() *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))
}
