package lab

import (
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// settle waits until frames pass through the ports. The kernel sets a new link up in the background (net/core/link_watch.c); until
// then it drops what is sent there, and an ARP request that is lost is repeated only after a second.
func (l *Lab) settle(ports ...*Port) error {
	return await(patience, func() error {
		states, err := l.portStates()
		if err != nil {
			return err
		}
		for _, p := range ports {
			if s := states[p.peer]; s != forwarding {
				return fmt.Errorf("the switch's port of %v is in state %d", p, s)
			}
			if err := p.settled(); err != nil {
				return err
			}
		}
		return nil
	})
}

// settled reports what is still under way at the host's end. Once nothing is, duplicate address detection is on again there.
func (p *Port) settled() error {
	link, err := p.host.link.LinkByName(p.Name)
	if err != nil {
		return fmt.Errorf("find %v: %w", p, err)
	}
	if s := link.Attrs().OperState; s != netlink.OperUp {
		return fmt.Errorf("%v is %v", p, s)
	}
	addrs, err := p.host.link.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("list the addresses of %v: %w", p, err)
	}
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			return fmt.Errorf("%v of %v is tentative", a.IPNet, p)
		}
	}
	return p.host.Do(func() error {
		for _, name := range []string{"accept_dad", "dad_transmits"} {
			if err := sysctl("net/ipv6/conf/"+p.Name+"/"+name, "1"); err != nil {
				return fmt.Errorf("check new addresses of %v: %w", p, err)
			}
		}
		return nil
	})
}

const forwarding = 3 // BR_STATE_FORWARDING, linux/if_bridge.h

// portStates are the states of the switch's ports (IFLA_BRPORT_STATE) by name.
func (l *Lab) portStates() (map[string]uint8, error) {
	states := map[string]uint8{}
	err := Do(l.ns.net, func() error {
		request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		request.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
		messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
		if err != nil {
			return err
		}
		for _, m := range messages {
			attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
			if err != nil {
				return err
			}
			name, state := portState(attrs)
			states[name] = state
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the states of the switch's ports: %w", err)
	}
	return states, nil
}

// portState reads one port's message.
func portState(attrs []syscall.NetlinkRouteAttr) (name string, state uint8) {
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			name = unix.ByteSliceToString(a.Value)
		case unix.IFLA_PROTINFO:
			inner, err := nl.ParseRouteAttr(a.Value)
			if err != nil {
				continue
			}
			for _, b := range inner {
				if b.Attr.Type == nl.IFLA_BRPORT_STATE && len(b.Value) == 1 {
					state = b.Value[0]
				}
			}
		}
	}
	return name, state
}
