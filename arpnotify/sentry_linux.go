package arpnotify

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// quickWire is a packetWire whose send allocates nothing. It is for one goroutine.
type quickWire struct {
	*packetWire
	to    unix.SockaddrLinklayer
	frame []byte
	err   error
	do    func(fd uintptr) // once and for all
}

func openQuickWire(link string) (wire, error) {
	w, err := openWire(link)
	if err != nil {
		return nil, err
	}
	q := &quickWire{packetWire: w.(*packetWire)}
	q.to.Ifindex = q.index
	q.do = func(fd uintptr) { q.err = unix.Sendto(int(fd), q.frame, unix.MSG_DONTWAIT, &q.to) }
	return q, nil
}

func (q *quickWire) send(frame []byte) error {
	q.frame, q.to.Protocol = frame, binary.NativeEndian.Uint16(frame[12:14])
	switch err := q.raw.Control(q.do); {
	case err != nil:
		return err
	case errors.Is(q.err, unix.EAGAIN), errors.Is(q.err, unix.ENOBUFS):
		return errFull
	default:
		return os.NewSyscallError("sendto", q.err)
	}
}

func isDown(err error) bool { return errors.Is(err, unix.ENETDOWN) }
