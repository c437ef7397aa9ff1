package arpnotify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// An ear is a socket that is only read.
type ear interface {
	// read waits for the next datagram, which is valid until the next read. Only close ends the wait.
	read() ([]byte, error)
	// lost is how many datagrams the kernel had no room for since it was last asked.
	lost() uint64
	close() error
}

// socketEar is an ear of the kernel's.
type socketEar struct {
	conn   io.Closer
	raw    syscall.RawConn
	buffer []byte

	receive func(fd uintptr) bool // once and for all, so that read allocates nothing
	n       int
	err     error
}

func newSocketEar(conn interface {
	io.Closer
	syscall.Conn
}) (*socketEar, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// Larger than any solicitation or advertisement on Ethernet; what is cut off there does not parse.
	e := &socketEar{conn: conn, raw: raw, buffer: make([]byte, 2048)}
	e.receive = func(fd uintptr) bool {
		for {
			// Not Recvfrom, which allocates the sender's address.
			e.n, e.err = unix.Read(int(fd), e.buffer)
			if !errors.Is(e.err, unix.EINTR) {
				return !errors.Is(e.err, unix.EAGAIN)
			}
		}
	}
	return e, nil
}

func (e *socketEar) read() ([]byte, error) {
	if err := e.raw.Read(e.receive); err != nil {
		return nil, err
	}
	if e.err != nil {
		return nil, os.NewSyscallError("read", e.err)
	}
	return e.buffer[:e.n], nil
}

func (e *socketEar) lost() uint64 {
	var lost uint64
	_ = e.raw.Control(func(fd uintptr) { // an error: it is closed
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			lost = uint64(s.Drops)
		}
	})
	return lost
}

func (e *socketEar) close() error { return e.conn.Close() }

// listenFor are the protocols that an ear is opened for, one socket each. A socket for all protocols would make the
// kernel copy every frame that is sent as well (dev_queue_xmit_nit in net/core/dev.c); one for a single protocol is
// shown only what arrives with it.
var listenFor = [...]uint16{etherARP, etherIPv6}

// openEar listens on an interface for ARP or for neighbour discovery. The interface is not made promiscuous.
func openEar(i net.Interface, etherType uint16) (ear, error) {
	return openFiltered(i, etherType, filterFor(etherType))
}

// openRivalEar is openEar for who looks for those that use addresses of this host: what hosts say to this one alone, because it asked them or because they
// ask whether it is there, does not wake it. Guards exchange some hundred such frames a second.
func openRivalEar(i net.Interface, etherType uint16) (ear, error) {
	return openFiltered(i, etherType, append(asides(etherType), filterFor(etherType)...))
}

func openFiltered(i net.Interface, etherType uint16, program []bpf.Instruction) (ear, error) {
	filter, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble filter: %w", err)
	}
	// The filter is there before the first frame can be.
	conn, err := packet.Listen(&i, packet.Raw, int(etherType), &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	e, err := newSocketEar(conn)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	if err := e.ethernet(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// ethernet says whether the interface has an Ethernet address.
func (e *socketEar) ethernet() (err error) {
	controlErr := e.raw.Control(func(fd uintptr) { _, err = hardwareAddr(int(fd)) })
	return errors.Join(controlErr, err)
}

// filterFor is what the kernel runs on each frame of that protocol before it wakes anybody. It passes ARP, or
// neighbour solicitations and advertisements, if they were sent to this host or to a group. A frame to somebody else is
// one that is seen by accident, or one with the tag of a VLAN that has no interface here: the kernel takes the tag off
// and shows it as such (__netif_receive_skb_core in net/core/dev.c).
func filterFor(etherType uint16) []bpf.Instruction {
	const (
		nextHeader, hopLimit, messageType = ethernetHeader + 6, ethernetHeader + 7, ethernetHeader + ipv6HeaderLen

		pass, drop = 1 << 16, 0 // bytes
	)
	// Each test that fails skips to the last instruction.
	if etherType == etherARP {
		return []bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtType},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST, SkipTrue: 1},
			bpf.RetConstant{Val: pass},
			bpf.RetConstant{Val: drop},
		}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: nextHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 8},
		bpf.LoadAbsolute{Off: messageType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: neighbourSolicitation, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: neighbourAdvertisement, SkipTrue: 5},
		bpf.LoadAbsolute{Off: hopLimit, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 255, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST, SkipTrue: 1},
		bpf.RetConstant{Val: pass},
		bpf.RetConstant{Val: drop},
	}
}

// asides drops what was sent to this host alone and can say nothing about an address of its own: ARP replies and neighbour advertisements, which are about
// the address that was asked for; ARP requests without a sender; solicitations from link-local addresses, which no VIP is.
func asides(etherType uint16) []bpf.Instruction {
	const (
		operation, sender, reply = ethernetHeader + 6, ethernetHeader + 14, 2
		source, messageType      = ethernetHeader + 8, ethernetHeader + ipv6HeaderLen

		drop = 0
	)
	if etherType == etherARP {
		return []bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtType},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: 5},
			bpf.LoadAbsolute{Off: operation, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: reply, SkipTrue: 2},
			bpf.LoadAbsolute{Off: sender, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
			bpf.RetConstant{Val: drop},
		}
	}
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: 6},
		bpf.LoadAbsolute{Off: messageType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: neighbourAdvertisement, SkipTrue: 3},
		bpf.LoadAbsolute{Off: source, Size: 2},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xffc0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0xfe80, SkipTrue: 1},
		bpf.RetConstant{Val: drop},
	}
}

// openLinkEar hears of each change of a link in this network namespace (rtnetlink(7)). What is read does not matter: it
// is time to look at them again, also when read fails with ENOBUFS because there was too much.
func openLinkEar() (ear, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	file := os.NewFile(uintptr(fd), "netlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)}); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), file.Close())
	}
	e, err := newSocketEar(file)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return e, nil
}
