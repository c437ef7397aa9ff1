package netif

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Address is an address on a link: what a caller wants up, or down.
type Address struct {
	// Link is the name of the interface, or one of its alternative names.
	Link string
	// Prefix holds the address itself, not the subnet, and its prefix length: 192.168.3.100/32.
	Prefix netip.Prefix
}

// String returns the address as `ip addr` takes it: 192.168.3.100/32 dev net1.
func (a Address) String() string { return a.Prefix.String() + " dev " + a.Link }

// Present is an address that the kernel has.
type Present struct {
	// Address names its link by the kernel's own name, never by an alternative one.
	Address
	// Valid is what is left of its lifetime, in whole seconds rounded down; negative means for ever.
	Valid time.Duration
	// Ours says that it has a finite lifetime and carries the mark of this package; the package documentation says which.
	Ours bool
}

// Link is a network interface.
type Link struct {
	Name     string
	Altnames []string // further names it is known by, see ip-link(8), altname
	Index    int      // never used again by the kernel for another link of this boot
	Up       bool     // the administrator wants it up
	// Carrier says that frames can pass: the medium is connected and the link is not dormant (802.1X). The kernel may report
	// its loss up to a second late (net/core/link_watch.c).
	Carrier  bool
	Loopback bool
	Hardware net.HardwareAddr
	// Prefixes are the link's own addresses with their prefix lengths, in the kernel's order. Ours are left out. [Kernel.Links]
	// fills it in, events do not.
	Prefixes []netip.Prefix
}

var (
	// ErrLate says that authority ended before the addresses were confirmed. They were not added, or were deleted again.
	ErrLate = errors.New("too late")
	// ErrForeign says that the address is on the link already and is not ours; it was left as it is.
	ErrForeign = errors.New("the address belongs to somebody else")
	// ErrNoLink says that there is no interface of this name (any more).
	ErrNoLink = errors.New("no such link")
	// ErrLeft says that addresses of the group may still be up, because the kernel did not confirm that they are gone. They end
	// with their lifetime. Delete them again, or look with [Kernel.Addresses].
	ErrLeft = errors.New("some may be left until their lifetime ends")
)

// Config is what a [Kernel] needs. Its zero value is usable.
type Config struct {
	// Now returns the time since boot, suspend included. Zero: CLOCK_BOOTTIME.
	Now func() time.Duration
	// Log hears of settings of the host that were changed. Zero: nothing is logged.
	Log *slog.Logger
}

// Kernel reads and writes the addresses of one network namespace, that of the thread which opened it.
//
// One goroutine at a time may call its methods, so that effects on an address have an order; [Kernel.Watch] is the exception, it
// has sockets of its own and runs beside them. No method waits for anything but the kernel, which answers within the system call.
// It can be made to wait there by others that hold its lock on the network configuration (RTNL); no deadline can end that wait,
// which is why the methods take no context and Raise looks at the clock afterwards.
type Kernel struct {
	now  func() time.Duration
	log  *slog.Logger
	lane *lane
	// marks says that the kernel keeps the protocol number of an address, our mark.
	marks bool
	// raised remembers each address that Raise has added or refreshed, until the kernel has ended it.
	raised map[Address]record
	// watchBuffer is the size of the receive buffer of Watch, in bytes; tests make it small.
	watchBuffer int
}

// record is where an address was raised, and when the kernel ends it at the earliest: until then it is ours without asking. The
// index finds it again when the link has been renamed.
type record struct {
	index int
	lapse time.Duration
}

// key is what the kernel matches an address by. (The family is in the prefix.)
type key struct {
	index  int
	prefix netip.Prefix
}

// Open opens a netlink socket in the network namespace of the calling thread. It starts nothing.
func Open(c Config) (*Kernel, error) {
	k := &Kernel{
		now:         c.Now,
		log:         c.Log,
		marks:       keepsProtocol(),
		raised:      map[Address]record{},
		watchBuffer: 4 << 20,
	}
	if k.now == nil {
		k.now = boottime
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if k.lane, err = openLane(); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return k, nil
}

// Close closes the socket; no method may be called after it. Addresses stay up until their lifetime ends.
func (k *Kernel) Close() error {
	k.lane.socket.Close()
	return nil
}

// forget drops the records of addresses that the kernel has ended.
func (k *Kernel) forget(now time.Duration) {
	const late = 1250 * time.Millisecond // see the package documentation
	maps.DeleteFunc(k.raised, func(_ Address, r record) bool { return r.lapse+late <= now })
}

// boottime reads CLOCK_BOOTTIME.
func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("read CLOCK_BOOTTIME: %v", err)) // it has been there since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}

// keepsProtocol says whether the kernel stores the protocol of an address (IFA_PROTO): Linux 5.18 and later.
func keepsProtocol() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	return atLeast(unix.ByteSliceToString(name.Release[:]), 5, 18)
}

// atLeast compares a kernel release such as 6.1.0-18-amd64 with a version.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}
