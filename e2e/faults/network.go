package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

// The faults of links and addresses.

// silence starts to probe an address. What it returns ends that, and is a noEffect unless a probe was lost.
func (w *World) silence(from *os.File, to netip.Addr) (lost func() error, err error) {
	p, err := probe.Start(probe.Config{NS: from, Targets: []netip.Addr{to}, Every: 20 * time.Millisecond})
	if err != nil {
		return nil, fmt.Errorf("watch the fault: %w", err)
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(p.Settle(ctx), p.Close()); err != nil {
			return noEffect(fmt.Sprintf("unknown: %v", err))
		}
		if p.Lost(0) == 0 {
			return noEffect(fmt.Sprintf("no packet to %s was lost", to))
		}
		return nil
	}, nil
}

// wire is a fault of the network between two places, seen by probes from one to an address of the other.
func (w *World) wire(n *lab.Node, from *os.File, to netip.Addr, cut, heal func() error) (broken, error) {
	b := broken{target: n.Name}
	silent, err := w.silence(from, to)
	if err != nil {
		return b, err
	}
	b.mend, b.showed = heal, silent
	return b, cut()
}

// onLAN and onMgmt are faults of the node's ports, seen from the client and from the switch.
func (w *World) onLAN(n *lab.Node, cut, heal func()) (broken, error) {
	off, on := w.told(n, w.doing(cut), w.doing(heal))
	return w.wire(n, w.Client.NetNS(), n.LAN.Addr4(), off, on)
}

func (w *World) onMgmt(n *lab.Node, cut, heal func()) (broken, error) {
	return w.wire(n, w.NetNS(), n.Mgmt.Addr4(), w.doing(cut), w.doing(heal))
}

// told makes the judge know while the node's place on the LAN is broken. Beside another fault, such as of its path to etcd, it may then be evicted, and
// what it still has up is no fault until its LAN is whole.
func (w *World) told(n *lab.Node, cut, heal func() error) (off, on func() error) {
	off = func() error { err := cut(); w.Judge.SetConnected(n.Name, false); return err }
	on = func() error { w.Judge.SetConnected(n.Name, true); return heal() }
	return off, on
}

// doing calls a method of the lab, which ends the fault itself when it fails.
func (w *World) doing(call func()) func() error {
	return func() error { w.locked(call); return nil }
}

func isolated(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	return w.onLAN(n, func() { w.Cut(n.LAN, n.Mgmt) }, func() { w.Heal(n.LAN, n.Mgmt) })
}

func unreachable(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	return w.onMgmt(n, n.Mgmt.Cut, n.Mgmt.Heal)
}

func etcdLossy(_ context.Context, w *World, f Fault) (broken, error) {
	n, percent := w.Nodes[f.Node], loss(f)
	b, err := w.onMgmt(n, func() { n.Mgmt.Lose(percent) }, n.Mgmt.Heal)
	b.target = fmt.Sprintf("%s, %v %%", n.Name, percent)
	return b, err
}

func lanSilent(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	return w.onLAN(n, n.LAN.Cut, n.LAN.Heal)
}

func lanUnplugged(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	return w.onLAN(n, n.LAN.Down, n.LAN.Up)
}

func lanLossy(_ context.Context, w *World, f Fault) (broken, error) {
	n, percent := w.Nodes[f.Node], loss(f)
	b, err := w.onLAN(n, func() { n.LAN.Lose(percent) }, n.LAN.Heal)
	b.target = fmt.Sprintf("%s, %v %%", n.Name, percent)
	return b, err
}

// loss is between 10 and 69 percent of the packets.
func loss(f Fault) float64 {
	n, _ := f.pick(60)
	return float64(10 + n)
}

func etcdOneWay(_ context.Context, w *World, f Fault) (broken, error) {
	n, all := w.Nodes[f.Node], w.Etcd.Servers
	out, f := f.pick(2)
	many, f := f.pick(len(all))
	first, _ := f.pick(len(all))
	var hit []*lab.Port
	for i := range many + 1 {
		hit = append(hit, all[(first+i)%len(all)].Mgmt)
	}
	b, err := w.oneWay(n, n.Mgmt, out == 1, hit)
	b.target = fmt.Sprintf("%s %s %d of %d servers", n.Name, [...]string{"does not hear", "is not heard by"}[out], len(hit), len(all))
	return b, err
}

func lanOneWay(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	out, f := f.pick(2)
	i, _ := f.pick(len(w.Nodes))
	peer := w.Nodes[i].Host
	if i == f.Node {
		peer = w.Client
	}
	b, err := w.oneWay(n, n.LAN, out == 1, []*lab.Port{peer.LAN})
	b.target = fmt.Sprintf("%s %s %s", n.Name, [...]string{"does not hear", "is not heard by"}[out], peer.Name)
	return b, err
}

// oneWay blocks what a port of the node sends to others, or what they send to it.
func (w *World) oneWay(n *lab.Node, port *lab.Port, out bool, others []*lab.Port) (broken, error) {
	each := func(change func(from, to *lab.Port)) func() error {
		return w.doing(func() {
			for _, o := range others {
				if out {
					change(port, o)
				} else {
					change(o, port)
				}
			}
		})
	}
	cut, heal := each(w.Block), each(w.Unblock)
	if port == n.LAN {
		cut, heal = w.told(n, cut, heal)
	}
	return w.wire(n, n.NetNS(), others[0].Addr4(), cut, heal)
}

// linkDown: IPv6 addresses go with it, and the host's own come back as its network configuration brings them back.
func linkDown(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	off, on := w.told(n, onLink(n, netlink.LinkSetDown), onLink(n, func(l netlink.Link) error {
		return errors.Join(netlink.LinkSetUp(l), ownAddresses(n, l))
	}))
	return w.wire(n, w.Client.NetNS(), n.LAN.Addr4(), off, on)
}

// flushed is `ip addr flush dev net1 scope global`.
func flushed(_ context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	flush := func(l netlink.Link) error {
		all, err := addresses(l)
		for _, a := range all {
			if a.Scope == unix.RT_SCOPE_UNIVERSE {
				err = errors.Join(err, delAddress(l, a))
			}
		}
		return err
	}
	return w.wire(n, w.Client.NetNS(), n.LAN.Addr4(), onLink(n, flush), onLink(n, func(l netlink.Link) error { return ownAddresses(n, l) }))
}

func addressDeleted(_ context.Context, w *World, f Fault) (broken, error) {
	i, _ := f.pick(len(w.VIPs))
	vip := w.VIPs[i]
	b := broken{target: vip.String()}
	on := w.Judge.Holders()[vip]
	if len(on) == 0 {
		return b, noEffect("it is up nowhere")
	}
	n := w.Node(on[0])
	b.target += " on " + n.Name
	heard := len(w.Judge.History())
	err := onLink(n, func(l netlink.Link) error {
		all, err := addresses(l)
		for _, a := range all {
			if ip, _ := netip.AddrFromSlice(a.IP); ip.Unmap() == vip {
				err = errors.Join(err, delAddress(l, a))
			}
		}
		return err
	})()
	if err != nil {
		return b, err
	}
	for _, c := range w.Judge.History()[heard:] {
		if c.VIP == vip && c.Node == n.Name && !c.Up {
			return b, nil
		}
	}
	return b, noEffect("it was gone by itself")
}

// onLink does something in the node's network namespace to its LAN interface. One that is not there, because the host boots, is a noEffect.
func onLink(n *lab.Node, change func(netlink.Link) error) func() error {
	return func() error {
		return n.Do(func() error {
			link, err := netlink.LinkByName(n.LAN.Name)
			if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
				return noEffect("the interface is not there")
			}
			if err != nil {
				return fmt.Errorf("find %v: %w", n.LAN, err)
			}
			return change(link)
		})
	}
}

// addresses are those of the interface, in a list that did not change while it was read.
func addresses(l netlink.Link) ([]netlink.Addr, error) {
	for {
		all, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}

// delAddress deletes an address that may have gone since it was listed.
func delAddress(l netlink.Link, a netlink.Addr) error {
	err := netlink.AddrDel(l, &a)
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return err
}

// ownAddresses gives the host its own addresses back.
func ownAddresses(n *lab.Node, l netlink.Link) error {
	var errs []error
	for _, p := range n.LAN.Addrs {
		a, err := netlink.ParseAddr(p.String())
		if err == nil {
			a.Flags = unix.IFA_F_NODAD
			err = netlink.AddrReplace(l, a)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
