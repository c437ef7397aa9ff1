package arpnotify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// face is what a link looks like at one moment.
type face struct {
	mac     net.HardwareAddr
	router  bool // the interface forwards IPv6
	carrier bool // a frame sent now gets out
}

// A wire is the way out of one link.
type wire interface {
	// look says what the link looks like now, errGone when the interface it was opened on has left or lost its name.
	look() (face, error)
	// send gives one frame to the kernel. It never waits: errFull when a queue is full.
	send(frame []byte) error
	close() error
}

var (
	errGone = errors.New("interface replaced")
	errFull = errors.New("send queue full")
)

// packetWire is an AF_PACKET socket bound to one interface. Its protocol is 0, so it receives nothing.
type packetWire struct {
	link  string
	index int
	conn  *packet.Conn
	raw   syscall.RawConn
}

func openWire(link string) (wire, error) {
	index, err := linkIndex(link)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(&net.Interface{Index: index, Name: link}, packet.Raw, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open packet socket: %w", err), conn.Close())
	}
	return &packetWire{link: link, index: index, conn: conn, raw: raw}, nil
}

// linkIndex asks by netlink: for a root process SIOCGIFINDEX would run modprobe for a name that does not exist
// (dev_load in net/core/dev_ioctl.c).
func linkIndex(link string) (int, error) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range all {
		if i.Name == link {
			return i.Index, nil
		}
	}
	return 0, fmt.Errorf("no such interface: %w", unix.ENODEV)
}

// look takes three system calls and one short read, none of which waits for the kernel's network configuration lock.
func (w *packetWire) look() (f face, err error) {
	controlErr := w.raw.Control(func(fd uintptr) {
		if err = sameName(int(fd), w.index, w.link); err != nil {
			return
		}
		if f.mac, err = hardwareAddr(int(fd)); err != nil {
			return
		}
		f.carrier, err = w.running(int(fd))
	})
	if err := errors.Join(controlErr, err); err != nil {
		return face{}, err
	}
	f.router = forwards(w.link)
	return f, nil
}

// sameName checks that the interface with this index still exists and has the name that was asked for. fd is any socket.
func sameName(fd, index int, link string) error {
	r, err := unix.NewIfreq("")
	if err != nil {
		return os.NewSyscallError("ioctl", err)
	}
	r.SetUint32(uint32(index))
	switch err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, r); {
	case errors.Is(err, unix.ENODEV):
		return errGone
	case err != nil:
		return os.NewSyscallError("ioctl", err)
	case r.Name() != link:
		return errGone
	}
	return nil
}

// hardwareAddr is the present address of the interface that fd is bound to, which packet(7) puts into its name.
func hardwareAddr(fd int) (net.HardwareAddr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	ll, ok := sa.(*unix.SockaddrLinklayer)
	if !ok || ll.Hatype != unix.ARPHRD_ETHER || ll.Halen != 6 {
		return nil, ErrNotEthernet
	}
	return net.HardwareAddr(ll.Addr[:6]), nil
}

// running is IFF_RUNNING (netdevice(7)): up and with carrier. Without carrier the kernel drops what is sent and reports
// success. An interface that is down is left to send, which gives ENETDOWN.
func (w *packetWire) running(fd int) (bool, error) {
	r, err := unix.NewIfreq(w.link)
	if err != nil {
		return false, os.NewSyscallError("ioctl", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
		return false, os.NewSyscallError("ioctl", err)
	}
	return r.Uint16()&unix.IFF_RUNNING != 0, nil
}

// forwards reads what the kernel puts into its own advertisements. An interface without IPv6 does not forward.
func forwards(link string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + link + "/forwarding")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

func (w *packetWire) send(frame []byte) error {
	to := &unix.SockaddrLinklayer{Ifindex: w.index, Protocol: binary.NativeEndian.Uint16(frame[12:14])}
	var err error
	controlErr := w.raw.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), frame, unix.MSG_DONTWAIT, to)
	})
	switch {
	case controlErr != nil:
		return controlErr
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
		return errFull
	default:
		return os.NewSyscallError("sendto", err)
	}
}

func (w *packetWire) close() error { return w.conn.Close() }

// sinceBoot reads CLOCK_BOOTTIME, which runs through suspend.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("arpnotify: read CLOCK_BOOTTIME: %v", err)) // Linux has it since 2.6.39
	}
	return time.Duration(ts.Nano())
}
