package netif

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Watch delivers changes of addresses and links as the kernel makes them, until the context ends, and then returns nil. An
// address that lapses is one of them. What [Kernel.Raise] did to an IPv4 address is not told: its caller knows, and a thousand addresses that are refreshed
// three times a second would be three thousand messages a second to read.
//
// The first event is [Resync], as soon as Watch is subscribed, so that no change can fall between a reader's first reading and
// its first event. Another follows whenever the kernel dropped events because they were not read in time. A refresh of an
// address is no change and is not delivered.
//
// deliver is called from the goroutine of Watch, one event at a time and in the kernel's order; while it blocks, events pile up
// in the socket.
func (k *Kernel) Watch(ctx context.Context, deliver func(Event)) error {
	s, err := subscribe(k.watchBuffer, k.lane.port)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer s.file.Close()
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	w := watch{subscription: s, table: table{marks: k.marks}, deliver: deliver}
	err = w.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch: %w", err)
}

// subscription is a socket on which the kernel tells changes of links and addresses.
type subscription struct {
	file *os.File // puts the goroutine to sleep until the socket is readable
	conn interface {
		Read(func(fd uintptr) bool) error
	}
	buffer []byte
}

// subscribe leaves out the additions that the socket with this port asked for.
func subscribe(receiveBuffer int, own uint32) (*subscription, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	file := os.NewFile(uintptr(fd), "netlink")
	const groups = 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1)
	_, err = growReceiveBuffer(fd, receiveBuffer)
	if err == nil {
		err = ignore(fd, own)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups})
	}
	s := &subscription{file: file, buffer: make([]byte, 64<<10)}
	if err == nil {
		s.conn, err = file.SyscallConn()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

// ignore has the kernel throw away what tells of an IPv4 address that the socket with this port has added or refreshed: rtmsg_ifa in net/ipv4/devinet.c puts
// the port into the header. (inet6_ifa_notify in net/ipv6/addrconf.c does not.)
func ignore(fd int, port uint32) error {
	const kind, sender = 4, 12 // where struct nlmsghdr has them
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: kind, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(networkOrder16(unix.RTM_NEWADDR)), SkipTrue: 3},
		bpf.LoadAbsolute{Off: sender, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: networkOrder32(port), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1<<32 - 1},
	})
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
}

// A filter reads numbers in network order, netlink writes them in the machine's.
func networkOrder16(n uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, n))
}

func networkOrder32(n uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, n))
}

// drain reads datagrams until none is left, and waits for the first when told to. It stops at the first error of the socket:
// ENOBUFS when the kernel dropped some.
func (s *subscription) drain(wait bool, each func(datagram []byte)) error {
	var failed error
	err := s.conn.Read(func(fd uintptr) (done bool) {
		for {
			n, from, err := unix.Recvfrom(int(fd), s.buffer, 0)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return !wait
			case err != nil:
				failed = err
				return true
			}
			wait = false
			if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
				each(s.buffer[:n])
			}
		}
	})
	return errors.Join(failed, err)
}

// watch is one call of Watch.
type watch struct {
	*subscription
	table   table
	deliver func(Event)
}

func (w *watch) run(ctx context.Context) error {
	if err := w.resync(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		err := w.drain(true, func(datagram []byte) {
			for header, body := range messages(datagram) {
				if event, ok := w.table.apply(header.Type, body); ok {
					w.deliver(event)
				}
			}
		})
		if errors.Is(err, unix.ENOBUFS) {
			err = w.resync()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resync learns what the kernel has. What is queued goes first: it is older than that, and incomplete. (An overrun socket is
// given nothing new before it is empty, net/netlink/af_netlink.c.)
func (w *watch) resync() error {
	for {
		err := w.drain(false, func([]byte) {})
		if err == nil {
			break
		}
		if !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	links, err := readLinks(nil)
	if err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	addresses, err := readAddresses(nil, w.table.marks)
	if err != nil {
		return fmt.Errorf("read addresses: %w", err)
	}
	w.table.reset(links, addresses)
	w.deliver(Event{Kind: Resync})
	return nil
}

// table is what Watch knows to be present. It is what makes a message a change.
type table struct {
	marks     bool
	links     map[int]Link
	addresses map[key]bool // whether it is ours
}

func (t *table) reset(links []Link, addresses []observed) {
	t.links = make(map[int]Link, len(links))
	for _, l := range links {
		t.links[l.Index] = l
	}
	t.addresses = make(map[key]bool, len(addresses))
	for _, a := range addresses {
		t.addresses[a.key] = a.ours
	}
}

// apply takes in a message and returns the change it makes, if any.
func (t *table) apply(kind uint16, body []byte) (Event, bool) {
	switch kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if a, ok := parseAddress(body, t.marks); ok {
			return t.applyAddress(kind, a)
		}
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if link, _, ok := parseLink(body); ok {
			return t.applyLink(kind, link)
		}
	}
	return Event{}, false
}

func (t *table) applyAddress(kind uint16, a observed) (Event, bool) {
	// A message about an unknown link was queued when that link was there; it went before the table was read.
	link, ok := t.links[a.key.index]
	if !ok {
		return Event{}, false
	}
	ours, known := t.addresses[a.key]
	if kind == unix.RTM_DELADDR { // known or not: additions of our own are not told
		delete(t.addresses, a.key)
		return Event{Kind: AddressDeleted, Address: a.present(link.Name)}, true
	}
	t.addresses[a.key] = a.ours
	return Event{Kind: AddressAdded, Address: a.present(link.Name)}, !known || ours != a.ours
}

func (t *table) applyLink(kind uint16, link Link) (Event, bool) {
	former, known := t.links[link.Index]
	if kind == unix.RTM_DELLINK {
		delete(t.links, link.Index)
		return Event{Kind: LinkDeleted, Link: link}, known
	}
	t.links[link.Index] = link
	return Event{Kind: LinkChanged, Link: link}, !known || !sameLink(former, link)
}

// sameLink compares what events tell of a link.
func sameLink(a, b Link) bool {
	return a.Name == b.Name && a.Up == b.Up && a.Carrier == b.Carrier &&
		slices.Equal(a.Altnames, b.Altnames) && slices.Equal(a.Hardware, b.Hardware)
}
