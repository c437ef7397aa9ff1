package judge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A listener is the one socket that hears the address changes of all namespaces which have an id in the namespace it was opened in.
type listener struct {
	fd   int
	buf  []byte
	oob  []byte
	home *netlink.Handle // for requests in the same namespace
	own  unix.Stat_t     // of that namespace
}

// 64 MiB hold tens of thousands of unread changes. Without CAP_NET_ADMIN over the whole host it is net.core.rmem_max.
const wantBuffer = 64 << 20

// openListener opens the socket in the namespace of the calling thread. buffer is the size in bytes of its receive queue, 0 for the largest to be had.
func openListener(buffer int) (*listener, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	l := &listener{fd: fd, buf: make([]byte, 64<<10), oob: make([]byte, unix.CmsgSpace(4))}
	if err := l.configure(buffer); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.Stat("/proc/thread-self/ns/net", &l.own); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("look at the own namespace: %w", err)
	}
	if l.home, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return l, nil
}

func (l *listener) configure(buffer int) error {
	if buffer > 0 {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return fmt.Errorf("set the receive buffer: %w", err)
		}
	} else if unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantBuffer) != nil {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, wantBuffer); err != nil {
			return fmt.Errorf("set the receive buffer: %w", err)
		}
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1); err != nil {
		return fmt.Errorf("listen to all namespaces: %w", err)
	}
	if err := unix.Bind(l.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind netlink: %w", err)
	}
	for _, group := range []int{unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR} {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			return fmt.Errorf("join netlink group %d: %w", group, err)
		}
	}
	return nil
}

// next returns the next datagram and the id of the namespace it comes from, ownNamespace if unmarked. The messages are valid until the next call.
// errEmpty: nothing is queued. Any other error means that something was lost.
func (l *listener) next() (msgs []syscall.NetlinkMessage, nsid int32, err error) {
	for {
		n, oobn, flags, from, err := unix.Recvmsg(l.fd, l.buf, l.oob, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil, 0, errEmpty
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, 0, fmt.Errorf("read netlink: %w", err)
		case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			return nil, 0, errors.New("read netlink: message cut short")
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
			continue // not from the kernel
		}
		msgs, err := syscall.ParseNetlinkMessage(l.buf[:n])
		if err != nil {
			return nil, 0, fmt.Errorf("parse netlink: %w", err)
		}
		nsid, err := nsidFrom(l.oob[:oobn])
		return msgs, nsid, err
	}
}

// ownNamespace stands for the namespace the listener was opened in: its messages are not marked.
const ownNamespace = -1

var errEmpty = errors.New("no message queued")

// nsidFrom reads the control message that NETLINK_LISTEN_ALL_NSID asks for: an int of type NETLINK_LISTEN_ALL_NSID.
func nsidFrom(oob []byte) (int32, error) {
	if len(oob) == 0 {
		return ownNamespace, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, fmt.Errorf("parse control message: %w", err)
	}
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int32(binary.NativeEndian.Uint32(m.Data)), nil
		}
	}
	return ownNamespace, nil
}

// await waits until something is queued, at most for d.
func (l *listener) await(d time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, int(d.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for netlink: %w", err)
	}
	return nil
}

// idOf returns the id that marks messages from a namespace, and assigns one if there is none: without it the kernel passes none on
// (net/netlink/af_netlink.c, do_one_broadcast).
func (l *listener) idOf(ns *os.File) (int32, error) {
	fd := int(ns.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("look at the namespace: %w", err)
	}
	if st.Dev == l.own.Dev && st.Ino == l.own.Ino {
		return ownNamespace, nil
	}
	const whichever = -1
	if err := l.home.SetNetNsIdByFd(fd, whichever); err != nil && !errors.Is(err, unix.EEXIST) {
		return 0, fmt.Errorf("assign a namespace id: %w", err)
	}
	id, err := l.home.GetNetNsIdByFd(fd)
	if err == nil && id < 0 {
		err = errors.New("none assigned")
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the namespace id: %w", err)
	}
	return int32(id), nil
}

func (l *listener) close() {
	l.home.Close()
	unix.Close(l.fd)
}
