package sockets

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

var (
	// ErrUnsupported says that this kernel cannot do it, see [Supported].
	ErrUnsupported = errors.New("the kernel cannot reset connections; it needs CONFIG_INET_DIAG_DESTROY")
	// ErrPermission says that this process may not do it.
	ErrPermission = errors.New("resetting connections takes CAP_NET_ADMIN")
)

// LateError says that the gate closed before all connections were reset.
type LateError struct {
	// Left is how many connections were found and not reset.
	Left int
	// More says that there may be others, which were not looked for.
	More bool
}

func (e *LateError) Error() string {
	if e.More {
		return fmt.Sprintf("too late, connections left: %d that were found, and perhaps more", e.Left)
	}
	return fmt.Sprintf("too late, connections left: %d", e.Left)
}

// Destroy resets the TCP connections whose local address is one of addrs, in the network namespace of the calling thread, and
// returns how many it has reset. Connections that end by themselves meanwhile do not count. A link-local address needs its
// interface as its zone; the zone of any other is ignored.
//
// inTime is asked immediately before each call to the kernel. When it says no, nothing more is reset, and the error matches
// [*LateError]. Destroy waits for nothing but the kernel, which answers within the system call. It is idempotent, and any
// goroutine may call it.
//
// The error matches [ErrUnsupported] or [ErrPermission] where it is one of these; permission is asked for only when there is a
// connection to reset. An address that makes no sense is an error and does not keep the others from being served.
func Destroy(addrs []netip.Addr, inTime func() bool) (killed int, err error) {
	wanted, err := targets(addrs)
	errs := []error{err}
	if len(wanted) > 0 {
		var d *diag
		if d, err = openDiag(); err == nil {
			defer d.close()
			killed, err = d.reset(wanted, inTime)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return killed, fmt.Errorf("reset connections: %w", err)
	}
	return killed, nil
}

// reset finds and resets the connections of one family after the other.
func (d *diag) reset(wanted []target, inTime func() bool) (killed int, err error) {
	var errs []error
	queries := queries(wanted)
	for i, q := range queries {
		found, err := d.find(q, inTime)
		late := errors.Is(err, errGate)
		if err != nil && !late {
			errs = append(errs, fmt.Errorf("find them: %w", explain(err)))
		}
		n, left, err := d.destroy(found, inTime)
		killed += n
		if err != nil {
			errs = append(errs, explain(err))
		}
		if late || left > 0 {
			errs = append(errs, &LateError{Left: left, More: late || i+1 < len(queries)})
			break
		}
	}
	return killed, errors.Join(errs...)
}

// batch is how many connections one system call resets: little enough for the gate to be asked often, a fraction of a millisecond
// apart, and for the answers to fit in the receive buffer.
const batch = 64

// destroy resets connections. left says how many the gate kept from being tried. That one has ended by itself is no error, and what
// the kernel refuses for one does not keep the others from being tried.
func (d *diag) destroy(found []connection, inTime func() bool) (killed, left int, err error) {
	refused, why := 0, unix.Errno(0)
	for at := 0; at < len(found); at += batch {
		if !inTime() {
			left = len(found) - at
			break
		}
		answers, err := d.exchange(found[at:min(at+batch, len(found))])
		if err != nil {
			return killed, left, err
		}
		for _, errno := range answers {
			switch errno {
			case 0:
				killed++
			case unix.ENOENT:
			default:
				refused, why = refused+1, errno
			}
		}
	}
	if refused > 0 {
		err = fmt.Errorf("%d were refused: %w", refused, why)
	}
	return killed, left, err
}

// Supported says whether the kernel can reset connections; if not, the error matches [ErrUnsupported]. It resets none, and does
// not ask whether this process may.
func Supported() error {
	d, err := openDiag()
	if err != nil {
		return err
	}
	defer d.close()
	// No socket is in no state, and no connection has port 0. The first question tells whether there is anything to ask: to the
	// second the kernel answers ENOENT in both cases.
	if _, err := d.find(query{family: unix.AF_INET}, func() bool { return true }); err != nil {
		return explain(err)
	}
	answers, err := d.exchange([]connection{{family: unix.AF_INET}})
	if err == nil && answers[0] != unix.ENOENT {
		err = answers[0]
	}
	return explain(err)
}

// explain puts our word for it before an error of the kernel.
func explain(err error) error {
	for _, errno := range []unix.Errno{unix.EOPNOTSUPP, unix.ENOENT, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EINVAL} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}
