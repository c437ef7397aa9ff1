package arpnotify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// polledSocket is an AF_PACKET socket of one protocol that is read only when somebody looks. The runtime's poller does not know of it, for epoll wakes a
// process for each frame that arrives and, by sock_def_write_space in net/core/sock.c, for each that has left. It is for one goroutine.
type polledSocket struct {
	fd     int
	to     unix.SockaddrLinklayer
	buffer [2048]byte // larger than any solicitation or advertisement on Ethernet; what is cut off there does not parse
	oob    [64]byte   // room for SCM_TIMESTAMPNS
}

// polledRoom is what may wait to be read, in bytes as the kernel counts them: 768 for a short frame, so a thousand.
const polledRoom = 1 << 20

// openPolled opens a socket that hears on an interface what openEar does.
func openPolled(index int, etherType uint16) (*polledSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // protocol 0: nothing arrives before bind
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	s := &polledSocket{fd: fd, to: unix.SockaddrLinklayer{Ifindex: index, Protocol: binary.NativeEndian.Uint16([]byte{byte(etherType >> 8), byte(etherType)})}}
	if err := s.prepare(etherType); err != nil {
		return nil, errors.Join(fmt.Errorf("open packet socket: %w", err), s.close())
	}
	return s, nil
}

func (s *polledSocket) prepare(etherType uint16) error {
	program, err := bpf.Assemble(filterFor(etherType))
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, polledRoom) != nil { // beyond rmem_max, which not everybody may
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, polledRoom)
	}
	if err := unix.Bind(s.fd, &s.to); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return nil
}

// send gives one frame to the kernel. It never waits: errFull when a queue is full.
func (s *polledSocket) send(frame []byte) error {
	switch err := unix.Sendto(s.fd, frame, unix.MSG_DONTWAIT, &s.to); {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
		return errFull
	default:
		return os.NewSyscallError("sendto", err)
	}
}

// next returns the next frame that has arrived, which is valid until the call after, with the real time of its arrival; none: nil.
func (s *polledSocket) next() (frame []byte, at time.Time, err error) {
	for {
		n, oobn, _, _, err := unix.Recvmsg(s.fd, s.buffer[:], s.oob[:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // said once when the interface goes down
		case errors.Is(err, unix.EAGAIN):
			return nil, time.Time{}, nil
		case err != nil:
			return nil, time.Time{}, os.NewSyscallError("recvmsg", err)
		default:
			return s.buffer[:n], stamped(s.oob[:oobn]), nil
		}
	}
}

// stamped reads SCM_TIMESTAMPNS (socket(7)): a timespec by CLOCK_REALTIME. It is zero if the kernel put none there.
func stamped(oob []byte) time.Time {
	for len(oob) >= unix.CmsgLen(0) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS && len(data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
		}
		oob = rest
	}
	return time.Time{}
}

func (s *polledSocket) close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }
