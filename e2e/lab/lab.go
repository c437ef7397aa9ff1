package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
)

// T is what a lab asks of a test; every testing.TB is one, and [Program] for what is no test.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
	Failed() bool
}

// Options say what stands on the LAN. The zero value is an empty LAN with a client.
type Options struct {
	Nodes   int    // node1, node2, ... at 192.168.3.11 and fd00:3::11 upwards; at most 89
	Etcd    int    // servers of etcd, started and ready: none, 1 or 3
	Gateway bool   // a router at 192.168.3.1 and fd00:3::1, the nodes' and the client's default gateway
	Link    Link   // what the nodes' LAN interfaces are
	Release string // folder with the etcd and etcdctl to run; "": those that NeedEtcd built
}

// Lab is one LAN with its hosts. Several labs in one process do not see each other. Methods are for one goroutine at a time, except
// where they say otherwise; every fault of the lab itself ends the test.
type Lab struct {
	Nodes   []*Node
	Client  *Host    // 192.168.3.250 and fd00:3::250, on the LAN alone
	Gateway *Host    // nil without Options.Gateway
	Etcd    *Cluster // nil without Options.Etcd

	t        T
	dir      string
	ns       namespaces // the switch: both bridges, and the lab's own address on the management network
	link     *netlink.Handle
	bridges  map[segment]netlink.Link
	ports    []*Port
	blocked  map[[2]*Port]bool
	hosts    []*Host
	nodeLink Link
	release  string // folder with etcd and etcdctl

	mu     sync.Mutex // guards the faults in force: cut, loss, blocked
	closed bool
}

// segment is one of the two networks.
type segment string

const (
	lan  segment = "lan"
	mgmt segment = "mgmt"
)

// New builds a lab and closes it when the test ends. After a failed test the last lines of every host's log follow.
func New(t T, o Options) *Lab {
	t.Helper()
	Require(t)
	if o.Release == "" {
		o.Release = etcdFolder()
	}
	l := &Lab{t: t, nodeLink: o.Link, release: o.Release, bridges: map[segment]netlink.Link{}, blocked: map[[2]*Port]bool{}}
	t.Cleanup(l.Close)
	l.check(l.build(o), "build the LAN")
	if o.Etcd > 0 {
		l.check(l.startEtcd(o.Etcd), "start etcd")
	}
	return l
}

// Require ends or skips the test where there can be no lab: it needs a world that Main made.
func Require(t T) {
	t.Helper()
	if reason := os.Getenv(unableEnv); reason != "" {
		Missing(t, reason)
	}
	if _, err := os.Stat(home); err != nil {
		t.Fatalf("lab: call lab.Main first in main or TestMain")
	}
}

// Missing skips the test because the machine lacks something, and fails it when CI is set: there nothing may be skipped unseen.
func Missing(t T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("lab: missing: %s", what)
	}
	t.Skipf("SKIPPED, MISSING: %s", what)
}

// check ends the test on a fault of the lab, and skips it where the kernel lacks a feature.
func (l *Lab) check(err error, doing string) {
	l.t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errMissing):
		l.t.Skipf("SKIPPED, MISSING: %s: %v", doing, err) // of the kernel, which no script can install
	default:
		l.t.Fatalf("lab: %s: %v", doing, err)
	}
}

func (l *Lab) build(o Options) (err error) {
	if l.dir, err = os.MkdirTemp(home, "lan-"); err != nil {
		return err
	}
	if err := l.buildSwitch(); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	if l.Client, err = l.addHost("client", lanPort(250)); err != nil {
		return err
	}
	if o.Gateway {
		if l.Gateway, err = l.addHost("gateway", lanPort(1)); err != nil {
			return err
		}
		if err := l.Client.routeOut(); err != nil {
			return err
		}
	}
	for range o.Nodes {
		if _, err := l.addNode(); err != nil {
			return err
		}
	}
	return l.settle(l.ports...)
}

// buildSwitch makes the namespace with the two bridges. They are plain: no spanning tree, no snooping, no filtering of their own.
func (l *Lab) buildSwitch() error {
	err := onThread(func() (err error) {
		if l.ns, err = unshare(syscall.CLONE_NEWNET); err != nil {
			return err
		}
		quietIPv6()
		// Frames on a bridge are not packets of the switch.
		for _, family := range []string{"iptables", "ip6tables", "arptables"} {
			sysctl("net/bridge/bridge-nf-call-"+family, "0")
		}
		l.link, err = netlink.NewHandle()
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range []segment{lan, mgmt} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = string(s)
		snooping := false
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
		if err := add(l.link, bridge); err != nil {
			return err
		}
		if err := l.link.LinkSetUp(bridge); err != nil {
			return fmt.Errorf("set bridge %s up: %w", s, err)
		}
		l.bridges[s] = bridge
	}
	addr := &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("10.9.0.254/24"))}
	if err := l.link.AddrAdd(l.bridges[mgmt], addr); err != nil {
		return fmt.Errorf("add the lab's management address: %w", err)
	}
	return nil
}

// NetNS is the switch's network namespace. It knows the namespace of every host by the number [Host.NSID], so a netlink socket
// opened here with NETLINK_LISTEN_ALL_NSID hears all of them. It also has an address on the management network.
func (l *Lab) NetNS() *os.File { return l.ns.net }

// Dial connects from the switch, which is on the management network: to etcd, or to a node's metrics. Safe for concurrent use.
func (l *Lab) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = Do(l.ns.net, func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Dir is the lab's folder, in memory: logs, and what hosts have in /etc and /run. It goes with the lab.
func (l *Lab) Dir() string { return l.dir }

// Close ends every process on the LAN and takes everything down. New has arranged for it; a second call does nothing.
func (l *Lab) Close() {
	if l.closed {
		return
	}
	l.closed = true
	l.reportLogs()
	if l.Etcd != nil {
		l.Etcd.close()
	}
	for _, h := range l.hosts {
		h.killAll()
	}
	for _, h := range l.hosts {
		h.close()
	}
	if l.link != nil {
		l.link.Close()
	}
	l.ns.close() // with its last descriptor the switch goes, and every cable with it
	if l.dir != "" {
		if err := os.RemoveAll(l.dir); err != nil {
			l.t.Logf("lab: %v", err)
		}
	}
}

// reportLogs prints the end of each log when the test failed, and keeps all of them where that was asked for.
func (l *Lab) reportLogs() {
	for _, h := range l.hosts {
		if h.log == nil {
			continue
		}
		if l.t.Failed() {
			l.t.Logf("%s", h.tail(40))
		}
		if dir := os.Getenv(logsEnv); dir != "" {
			kept := filepath.Join(dir, filepath.Base(l.dir)+"-"+h.Name+".log")
			if err := os.WriteFile(kept, []byte(h.Logs()), 0o644); err != nil {
				l.t.Logf("lab: keep a log: %v", err)
			}
		}
	}
}

func sysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
}

// quietIPv6 makes link-local addresses usable at once in this thread's namespace: no duplicate address detection, no waiting for
// routers (Documentation/networking/ip-sysctl.rst). New interfaces inherit it from "default".
func quietIPv6() {
	for _, scope := range []string{"all", "default"} {
		sysctl("net/ipv6/conf/"+scope+"/accept_dad", "0")
		sysctl("net/ipv6/conf/"+scope+"/dad_transmits", "0")
		sysctl("net/ipv6/conf/"+scope+"/accept_ra", "0")
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
