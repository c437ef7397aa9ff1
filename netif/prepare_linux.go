package netif

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Prepare makes the links of these addresses fit to hold them: for an IPv4 address with a prefix shorter than /32 it sets
// promote_secondaries, without which taking such an address off may take others off too (see the package documentation). It is
// idempotent, and changes nothing for /32 and IPv6. Raise does the same; Prepare says beforehand whether it will be possible.
// A link that is not there is an error that is [ErrNoLink], and will be prepared by Raise when it comes.
func (k *Kernel) Prepare(addrs []Address) error {
	var errs []error
	tried := map[string]bool{}
	for _, a := range addrs {
		if !sharesSubnet(a) || tried[a.Link] {
			continue
		}
		tried[a.Link] = true
		link, err := k.resolve(a.Link)
		if err == nil {
			err = k.promote(link, a)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("prepare link %s: %w", a.Link, err))
		}
	}
	return errors.Join(errs...)
}

// sharesSubnet says whether the kernel may tie the address to others in its subnet.
func sharesSubnet(a Address) bool { return a.Prefix.Addr().Is4() && !a.Prefix.IsSingleIP() }

// promote sets promote_secondaries on a link, unless it is set. It goes by netlink (inet_set_link_af in net/ipv4/devinet.c), for
// /proc/sys is read-only in containers and under ProtectKernelTunables= of systemd.
func (k *Kernel) promote(link resolved, a Address) error {
	if link.promotes {
		return nil
	}
	r := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	r.Sockets = k.lane.sockets()
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(link.index)
	r.AddData(header)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	settings := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	settings.AddRtAttr(promoteSecondaries, nl.Uint32Attr(1))
	r.AddData(spec)
	if _, err := r.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("set promote_secondaries: %w; without it, taking %s off could take others of its subnet off too: "+
			"write \"net.ipv4.conf.%s.promote_secondaries = 1\" into /etc/sysctl.d/viplease.conf, or make it a /32",
			err, a.Prefix, strings.ReplaceAll(link.name, ".", "/"))
	}
	k.log.Info("promote_secondaries set", "link", link.name, "for", a.Prefix)
	return nil
}
