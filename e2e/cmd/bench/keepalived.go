package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// A program is viplease or keepalived in one configuration.
type program struct {
	name, settings string // in tables and, in words, below them

	mode     cluster.Mode // of viplease
	takeover string       // more of its [takeover]
	vrrp     *vrrp        // nil: it is viplease
}

// The programs, in the order of their turns.
var (
	byDefault = &program{name: "viplease", settings: "as shipped", mode: cluster.Fast}
	tight     = &program{name: "viplease, tight", settings: "`probe_interval = \"10ms\"`, `misses = 3`, `grace = \"30ms\"`", mode: cluster.Fast,
		takeover: "probe_interval = \"10ms\"\nmisses = 3\ngrace = \"30ms\""}
	strict = &program{name: "viplease, strict", settings: "`fast = false`", mode: cluster.Strict}

	vrrpDefault = &program{name: "keepalived", settings: "VRRPv2, `advert_int 1`, priorities 102, 101, and 100, which is its default", mode: cluster.Fast,
		vrrp: &vrrp{version: 2, interval: "1", priority: 102}}
	vrrpHigh = &program{name: "keepalived, high priorities", settings: "the same with priorities 254, 253, 252: the higher they are, the less a backup waits", mode: cluster.Fast,
		vrrp: &vrrp{version: 2, interval: "1", priority: 254}}
	vrrpTight = &program{name: "keepalived, 10 ms", settings: "VRRPv3, `advert_int 0.01`, the least that it takes, and the high priorities", mode: cluster.Fast,
		vrrp: &vrrp{version: 3, interval: "0.01", priority: 254}}

	programs = []*program{byDefault, tight, strict, vrrpDefault, vrrpHigh, vrrpTight}
)

// missing tells whether the program is not on this machine.
func (p *program) missing() bool {
	if p.vrrp == nil {
		return false
	}
	_, err := exec.LookPath("keepalived")
	return err != nil
}

// vrrp is a keepalived's configuration: what differs between those that are measured.
type vrrp struct {
	version  int
	interval string // between advertisements, in seconds
	priority int    // of the first node; each further one has one less
}

// start writes the configuration of the node at that place in the order of priority, and starts keepalived there.
func (v *vrrp) start(n *lab.Node, place int, vips []netip.Addr) error {
	const file = "/etc/viplease/keepalived.conf"
	if err := os.WriteFile(n.Path(file), []byte(v.config(n.Name, place, vips)), 0o644); err != nil {
		return err
	}
	n.StartCommand("keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", file, "-p", "/run/keepalived.pid", "-r", "/run/vrrp.pid")
	return nil
}

// config is one VRRP instance for each family, since none can have both: what is not said here is as keepalived comes. nopreempt, so that a
// host which comes back does not take the addresses from the next one, a move that nobody measures here.
func (v *vrrp) config(name string, place int, vips []netip.Addr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n    router_id %s\n    vrrp_version %d\n}\n", name, v.version)
	for i, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, "vrrp_instance %s {\n    state BACKUP\n    nopreempt\n    interface net1\n    virtual_router_id %d\n    priority %d\n    advert_int %s\n    virtual_ipaddress {\n",
			family, 51+i, v.priority-place, v.interval)
		for _, vip := range vips {
			if vip.Is6() == (family == "ipv6") {
				fmt.Fprintf(&b, "        %v/%d dev net1\n", vip, vip.BitLen())
			}
		}
		b.WriteString("    }\n}\n")
	}
	return b.String()
}
