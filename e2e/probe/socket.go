package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	echoRequest4, echoReply4 = 8, 0     // RFC 792
	echoRequest6, echoReply6 = 128, 129 // RFC 4443, section 4

	headerLen = 8                 // type, code, checksum, identifier, sequence
	probeLen  = headerLen + 8 + 8 // and our nonce and number
	batch     = 64                // answers read by one system call
	packetLen = 60 + probeLen     // an IPv4 header with options comes before it
)

// A socket sends echo requests to one address and receives its answers. It is connected, so that the kernel hands it the packets of that address only;
// with one queue for each address, a reader that is late by half a second loses nothing even with the default buffer.
type socket struct {
	fd        int
	to        unix.Sockaddr
	connected bool
	out       [probeLen]byte
	six       bool
}

// open opens a socket in the namespace of the calling thread. Its answers bear the nonce. buffer is the size in bytes of its queue, 0: 4 MiB, or what can be had.
func open(vip, source netip.Addr, nonce uint64, buffer int) (*socket, error) {
	s := &socket{six: vip.Is6()}
	family, protocol, request := unix.AF_INET, unix.IPPROTO_ICMP, byte(echoRequest4)
	s.to = &unix.SockaddrInet4{Addr: as4(vip)}
	if s.six {
		family, protocol, request = unix.AF_INET6, unix.IPPROTO_ICMPV6, echoRequest6
		s.to = &unix.SockaddrInet6{Addr: vip.As16()}
	}
	s.out[0] = request
	binary.BigEndian.PutUint16(s.out[4:], uint16(nonce))
	binary.BigEndian.PutUint64(s.out[headerLen:], nonce)
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open a raw socket: %w", err)
	}
	s.fd = fd
	if err := errors.Join(s.configure(source), s.enlarge(buffer)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) configure(source netip.Addr) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for timestamps: %w", err)
	}
	// Both filters name what to block.
	if s.six {
		f := unix.ICMPv6Filter{}
		for i := range f.Data {
			f.Data[i] = ^uint32(0)
		}
		f.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
		if err := unix.SetsockoptICMPv6Filter(s.fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &f); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	} else {
		block := ^uint32(1 << echoReply4)
		if err := unix.SetsockoptInt(s.fd, unix.SOL_RAW, unix.ICMP_FILTER, int(int32(block))); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	if !source.IsValid() || source.Is6() != s.six {
		return nil
	}
	var from unix.Sockaddr = &unix.SockaddrInet4{Addr: as4(source)}
	if s.six {
		from = &unix.SockaddrInet6{Addr: source.As16()}
	}
	if err := unix.Bind(s.fd, from); err != nil {
		return fmt.Errorf("bind to %s: %w", source, err)
	}
	return nil
}

func (s *socket) enlarge(buffer int) error {
	if buffer == 0 {
		buffer = 4 << 20
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) == nil {
			return nil
		}
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
		return fmt.Errorf("set the receive buffer: %w", err)
	}
	return nil
}

// send sends the probe of this number. What ICMP errors came for earlier ones does not keep it back: a raw socket tells those when it is read.
func (s *socket) send(number uint64) error {
	if !s.connected { // there may have been no route before
		if err := unix.Connect(s.fd, s.to); err != nil {
			return err
		}
		s.connected = true
	}
	binary.BigEndian.PutUint16(s.out[6:], uint16(number))
	binary.BigEndian.PutUint64(s.out[headerLen+8:], number)
	if !s.six { // the kernel does it for ICMPv6, whose checksum covers the IP addresses
		s.out[2], s.out[3] = 0, 0
		binary.BigEndian.PutUint16(s.out[2:], checksum(s.out[:]))
	}
	_, err := unix.Write(s.fd, s.out[:])
	return err
}

// checksum is that of RFC 1071, for an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}

// parse returns the number of the probe that a packet answers.
func (s *socket) parse(packet []byte) (number uint64, ok bool) {
	reply := byte(echoReply6)
	if !s.six { // raw IPv4 sockets see the IP header, raw IPv6 sockets do not
		reply = echoReply4
		if len(packet) == 0 || len(packet) < int(packet[0]&15)*4 {
			return 0, false
		}
		packet = packet[int(packet[0]&15)*4:]
	}
	if len(packet) != probeLen || packet[0] != reply || packet[1] != 0 {
		return 0, false
	}
	if [8]byte(packet[headerLen:]) != [8]byte(s.out[headerLen:]) {
		return 0, false // another's: the nonce differs
	}
	return binary.BigEndian.Uint64(packet[headerLen+8:]), true
}

// drops returns how many packets the socket's own queue has lost.
func (s *socket) drops() (int, error) {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("ask for drops: %w", errno)
	}
	return int(info[unix.SK_MEMINFO_DROPS]), nil
}

func (s *socket) close() { unix.Close(s.fd) }

// A mailbag is the memory for reading answers in batches.
type mailbag struct {
	heads   [batch]mmsghdr
	vectors [batch]unix.Iovec
	packets [batch][packetLen]byte
	stamps  [batch][32]byte // a control message: 16 bytes of header, a timespec
}

// struct mmsghdr of recvmmsg(2), which x/sys does not have.
type mmsghdr struct {
	unix.Msghdr
	size uint32
}

func newMailbag() *mailbag {
	m := &mailbag{}
	for i := range m.heads {
		m.vectors[i].Base = &m.packets[i][0]
		m.vectors[i].SetLen(packetLen)
		m.heads[i].Iov = &m.vectors[i]
		m.heads[i].SetIovlen(1)
		m.heads[i].Control = &m.stamps[i][0]
	}
	return m
}

// read reads all that is queued and calls each with the packet and when it arrived, on CLOCK_REALTIME.
func (m *mailbag) read(s *socket, each func(packet []byte, arrived time.Duration)) error {
	for {
		for i := range m.heads {
			m.heads[i].SetControllen(len(m.stamps[i]))
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&m.heads)), batch, unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EAGAIN:
			return nil
		case errno == unix.EINTR, unreachable(errno):
			continue
		case errno != 0:
			return fmt.Errorf("read answers: %w", errno)
		}
		for i := range int(n) {
			h := &m.heads[i]
			each(m.packets[i][:h.size], stamp(m.stamps[i][:h.Controllen]))
		}
		if n < batch {
			return nil
		}
	}
}

// stamp reads the kernel's receive timestamp, 0 if there is none.
func stamp(control []byte) time.Duration {
	if len(control) < unix.SizeofCmsghdr+16 {
		return 0
	}
	level, kind := binary.NativeEndian.Uint32(control[8:]), binary.NativeEndian.Uint32(control[12:]) // struct cmsghdr, on 64 bits
	if level != unix.SOL_SOCKET || kind != unix.SCM_TIMESTAMPNS {
		return 0
	}
	sec, nsec := binary.NativeEndian.Uint64(control[16:]), binary.NativeEndian.Uint64(control[24:])
	return time.Duration(sec)*time.Second + time.Duration(nsec)
}

// unreachable tells errors that an ICMP message brought; they say nothing about the socket.
func unreachable(err error) bool {
	return errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.ECONNREFUSED) ||
		errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPROTO) || errors.Is(err, unix.EHOSTDOWN) || errors.Is(err, unix.ENOPROTOOPT)
}

// inside runs f with the calling goroutine's thread in a namespace, or where it is if nil.
func inside(ns *os.File, f func() error) error {
	if ns == nil {
		return f()
	}
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("remember the namespace: %w", err)
	}
	defer home.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave the namespace: %w", back)) // and the thread, still locked, ends with the goroutine
	}
	runtime.UnlockOSThread()
	return err
}

func as4(a netip.Addr) [4]byte {
	if !a.Is4() {
		return [4]byte{}
	}
	return a.As4()
}
