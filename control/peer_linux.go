package control

import (
	"net"

	"golang.org/x/sys/unix"
)

// caller is the process at the other end of a connection when it connected (SO_PEERCRED, unix(7)).
type caller struct {
	uid uint32
	pid int32
}

// peer tells who is at the other end, false when the connection is none of a Listener's.
func peer(c net.Conn) (caller, bool) {
	s, ok := c.(*slotConn)
	if !ok {
		return caller{}, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return caller{}, false
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || credErr != nil {
		return caller{}, false
	}
	return caller{uid: cred.Uid, pid: cred.Pid}, true
}
