package judge

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Machine names a network namespace.
type Machine struct {
	Name string
	// NS is the namespace, for instance an open /run/netns/a or /proc/PID/ns/net. It is used during the call only, and stays the caller's.
	NS *os.File
}

// A machine that the judge follows.
type machine struct {
	name  string
	nsid  int32
	sock  map[int]*nl.SocketHandle // one, inside the namespace: for the dump, and it keeps the namespace alive
	known bool                     // its addresses are in the ledger, so changes count
	heard int                      // address messages that meant something, ever
	echo  int                      // messages about the planted address, ever
}

// The planted address proves that the judge hears a machine. It is up on the loopback interface of that machine for an instant.
var planted = netip.MustParseAddr("127.111.222.33")

const loopback = 1 // the interface index of lo in every namespace (net/core/dev.c, loopback is the first device registered)

func openMachine(m Machine, nsid int32) (*machine, error) {
	s, err := nl.GetNetlinkSocketAt(netns.NsHandle(m.NS.Fd()), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink in its namespace: %w", err)
	}
	return &machine{name: m.Name, nsid: nsid, sock: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}, nil
}

func (m *machine) close() { m.sock[unix.NETLINK_ROUTE].Close() }

// dump returns the instances that are up now. It may be torn by changes at the same time; see Judge.snapshot.
func (m *machine) dump() ([]instance, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.Sockets = m.sock
	req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	bodies, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", m.name, err)
	}
	var all []instance
	for _, b := range bodies {
		i, answers, err := parseAddress(b)
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", m.name, err)
		}
		if answers {
			all = append(all, i)
		}
	}
	return all, nil
}

// barrier returns when every address operation that had begun in the namespace has ended and sent its messages. It asks for the deletion
// of an address of an interface that does not exist, for which the kernel takes the RTNL and then answers ENODEV.
func (m *machine) barrier() error {
	const none = 1<<31 - 1
	if err := m.change(unix.RTM_DELADDR, none); !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("wait for the RTNL of %s: %w", m.name, errors.Join(err, errors.New("expected ENODEV")))
	}
	return nil
}

// plant brings the planted address up and takes it down again.
func (m *machine) plant() error {
	if err := m.change(unix.RTM_NEWADDR, loopback); err != nil {
		return fmt.Errorf("add %s on the loopback interface of %s: %w", planted, m.name, err)
	}
	if err := m.change(unix.RTM_DELADDR, loopback); err != nil {
		return fmt.Errorf("delete %s on the loopback interface of %s: %w", planted, m.name, err)
	}
	return nil
}

func (m *machine) change(msg int, index uint32) error {
	req := nl.NewNetlinkRequest(msg, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	req.Sockets = m.sock
	head := nl.NewIfAddrmsg(unix.AF_INET)
	head.Index, head.Prefixlen, head.Scope = index, 32, unix.RT_SCOPE_HOST
	req.AddData(head)
	ip := planted.As4()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip[:]))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
