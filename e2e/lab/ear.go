package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Announcement is one frame that told everybody on the LAN where an address is: a gratuitous ARP frame of either kind (RFC 5227), or a neighbour
// advertisement that nobody asked for (RFC 4861 section 7.2.6). Or that told one host: any other ARP frame, or such an advertisement to it alone.
type Announcement struct {
	At   time.Duration // since boot, on CLOCK_BOOTTIME, when it was read
	Addr netip.Addr
	MAC  net.HardwareAddr
	Host netip.Addr // the one that was told; invalid: everybody
	Sent bool       // to the Ethernet address of one host
}

func (a Announcement) String() string {
	return fmt.Sprintf("%.6f %v is at %v", a.At.Seconds(), a.Addr, a.MAC)
}

// Ear hears the announcements on a host's LAN port. Its methods may be called from any goroutine.
type Ear struct {
	socket *os.File
	done   chan struct{}

	mu    sync.Mutex
	heard []Announcement
	err   error
}

// Listen begins to hear announcements on the host's LAN port, until the test ends.
func (h *Host) Listen() *Ear {
	h.lab.t.Helper()
	e := &Ear{done: make(chan struct{})}
	h.lab.check(h.Do(func() (err error) {
		e.socket, err = openEar(h.LAN.Name)
		return err
	}), "listen on "+h.LAN.String())
	go e.listen()
	h.lab.t.Cleanup(func() {
		e.socket.Close()
		<-e.done
	})
	return e
}

// Heard returns all announcements to everybody since an instant on CLOCK_BOOTTIME, by time. The error says that the ear has gone deaf.
func (e *Ear) Heard(since time.Duration) ([]Announcement, error) {
	all, err := e.since(since)
	return slices.DeleteFunc(all, func(a Announcement) bool { return a.Host.IsValid() }), err
}

// Told returns, likewise, what told one host where an address is, whoever asked.
func (e *Ear) Told(since time.Duration) ([]Announcement, error) {
	all, err := e.since(since)
	return slices.DeleteFunc(all, func(a Announcement) bool { return !a.Host.IsValid() }), err
}

func (e *Ear) since(since time.Duration) ([]Announcement, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := len(e.heard)
	for i > 0 && e.heard[i-1].At >= since {
		i--
	}
	return append([]Announcement(nil), e.heard[i:]...), e.err
}

// announcementsOnly lets ARP and neighbour advertisements pass. The numbers are offsets into an Ethernet frame.
var announcementsOnly = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.ETH_P_ARP, Jt: 5},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.ETH_P_IPV6, Jf: 5},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 20},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.IPPROTO_ICMPV6, Jf: 3},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 54},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: neighborAdvertisement, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

const neighborAdvertisement = 136 // ICMPv6 type, RFC 4861

func openEar(link string) (*os.File, error) {
	index, err := net.InterfaceByName(link)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // deaf until it is bound
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	filter := unix.SockFprog{Len: uint16(len(announcementsOnly)), Filter: &announcementsOnly[0]}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}), Ifindex: index.Index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind a packet socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "ear"), nil
}

func (e *Ear) listen() {
	defer close(e.done)
	frame := make([]byte, 2048)
	for {
		n, err := e.socket.Read(frame)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			e.mu.Lock()
			e.err = fmt.Errorf("hear announcements: %w", err)
			e.mu.Unlock()
			return
		}
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			panic(err) // cannot fail
		}
		if a, ok := announcement(frame[:n]); ok {
			a.At = time.Duration(ts.Nano())
			e.mu.Lock()
			e.heard = append(e.heard, a)
			e.mu.Unlock()
		}
	}
}

// announcement reads a frame that the filter let pass.
func announcement(frame []byte) (Announcement, bool) {
	const ethernet, arp, ipv6, icmp = 14, 28, 40, 24
	kind := binary.BigEndian.Uint16(frame[12:])
	body := frame[ethernet:]
	switch {
	case kind == unix.ETH_P_ARP && len(body) >= arp:
		sender, target := body[14:18], body[24:28]
		addr, _ := netip.AddrFromSlice(sender)
		a := Announcement{Addr: addr, MAC: bytes.Clone(body[8:14]), Sent: frame[0]&1 == 0}
		if !bytes.Equal(sender, target) {
			a.Host, _ = netip.AddrFromSlice(target)
		}
		return a, !addr.IsUnspecified()
	case kind == unix.ETH_P_IPV6 && len(body) >= ipv6+icmp+8:
		const solicited = 0x40
		na := body[ipv6:]
		addr, _ := netip.AddrFromSlice(na[8:24])
		option := na[icmp:] // type 2, length 1: the target's link-layer address
		a := Announcement{Addr: addr, MAC: bytes.Clone(option[2:8]), Sent: frame[0]&1 == 0}
		if to, _ := netip.AddrFromSlice(body[24:40]); !to.IsMulticast() {
			a.Host = to
		}
		return a, na[4]&solicited == 0 && option[0] == 2
	}
	return Announcement{}, false
}
