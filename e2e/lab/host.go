package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is one machine: a network namespace with its interfaces, a host name, and /etc and /run of its own. Its machine id and boot
// id are its own too. Processes, memory, other files and the clock are shared with the lab.
type Host struct {
	Name string
	LAN  *Port // nil where it has none
	Mgmt *Port // nil where it has none

	// Without are capabilities (unix.CAP_...) that what is started on the host from now on does not have.
	Without []uintptr

	lab   *Lab
	dir   string   // holds etc and run
	log   *os.File // beside it
	netns *os.File // from the first boot on
	nsid  int
	link  *netlink.Handle // in netns

	mu sync.RWMutex // guards ns: a boot replaces all of it but the network namespace
	ns namespaces
}

// addHost makes a host with the given ports, running nothing.
func (l *Lab) addHost(name string, ports ...*Port) (*Host, error) {
	h := &Host{Name: name, lab: l, dir: filepath.Join(l.dir, name), nsid: len(l.hosts)}
	l.hosts = append(l.hosts, h) // first, so that Close sees a half-made one
	if err := h.build(ports); err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	return h, nil
}

func (h *Host) build(ports []*Port) (err error) {
	if err := os.MkdirAll(filepath.Join(h.dir, "etc", "viplease"), 0o755); err != nil {
		return err
	}
	if h.log, err = os.OpenFile(h.dir+".log", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644); err != nil {
		return err
	}
	if err := h.writeIdentity(); err != nil {
		return err
	}
	if err := h.boot(); err != nil {
		return err
	}
	if err := h.lab.link.SetNetNsIdByFd(int(h.netns.Fd()), h.nsid); err != nil {
		return fmt.Errorf("number its network namespace: %w", err)
	}
	for _, p := range ports {
		p.host = h
		p.end = fmt.Sprintf("%s-%d", p.segment, h.nsid)
		p.peer = p.end
		if p.Kind == VLAN {
			p.peer += "-tag"
		}
		switch p.segment {
		case lan:
			h.LAN = p
		case mgmt:
			h.Mgmt = p
		}
		if err := p.plug(); err != nil {
			return err
		}
		h.lab.ports = append(h.lab.ports, p)
	}
	return nil
}

// writeIdentity fills /etc: a symbolic link for each entry of the real one, and the host's own name and machine id.
func (h *Host) writeIdentity() error {
	etc := filepath.Join(h.dir, "etc")
	entries, err := os.ReadDir("/etc")
	if err != nil {
		return err
	}
	own := map[string]string{
		"hostname":   h.Name + "\n",
		"hosts":      "127.0.0.1 localhost " + h.Name + "\n::1 localhost\n",
		"machine-id": randomHex(16) + "\n",
	}
	for name, text := range own {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, e := range entries {
		err := os.Symlink("/run/host/etc/"+e.Name(), filepath.Join(etc, e.Name()))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// boot makes what a start of the machine makes: a boot id, an empty /run, and the namespaces; all but the network's anew, which
// stays the same file, so that who watches it goes on watching.
func (h *Host) boot() error {
	run := filepath.Join(h.dir, "run")
	if err := os.RemoveAll(run); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(run, "host", "etc"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(run, "host", "boot_id"), []byte(randomUUID()+"\n"), 0o444); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return onThread(h.furnish)
}

// furnish makes the namespaces of one boot and arranges them. The calling thread is left inside.
func (h *Host) furnish() error {
	first := h.netns == nil
	kinds := syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS
	if first {
		kinds |= syscall.CLONE_NEWNET
	} else if err := unix.Setns(int(h.netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter its network namespace: %w", err)
	}
	ns, err := unshare(kinds)
	if err != nil {
		return err
	}
	if first {
		quietIPv6()
		h.netns = ns.net
		if h.link, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
	} else {
		h.ns.mnt.Close()
		h.ns.uts.Close()
		ns.net = h.netns
	}
	h.ns = ns
	if err := h.mount(); err != nil {
		return err
	}
	lo, err := h.link.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return h.link.LinkSetUp(lo)
}

// mount arranges the calling thread's mount namespace as the host sees it. An ordinary user may do all of it in a user namespace.
func (h *Host) mount() error {
	if err := unix.Sethostname([]byte(h.Name)); err != nil {
		return fmt.Errorf("set its name: %w", err)
	}
	run, etc := filepath.Join(h.dir, "run"), filepath.Join(h.dir, "etc")
	for _, m := range []struct{ from, to string }{
		{"/etc", run + "/host/etc"}, // where the links in its own /etc lead
		{run + "/host/boot_id", "/proc/sys/kernel/random/boot_id"},
		{etc, "/etc"},
		{run, "/run"}, // hides the paths above, so it comes last
	} {
		if err := unix.Mount(m.from, m.to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.from, m.to, err)
		}
	}
	// For /sys/class/net. Where a container forbids it, the host sees the lab's there.
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		fmt.Fprintf(h.log, "lab: mount /sys: %v\n", err)
	}
	return nil
}

// NetNS is the host's network namespace, the same as long as the lab lives. Do not close it.
func (h *Host) NetNS() *os.File { return h.netns }

// NSID is the number by which the switch's namespace ([Lab.NetNS]) knows the host's.
func (h *Host) NSID() int { return h.nsid }

// Do runs fn in the host's network namespace, as [Do] does. Safe for concurrent use.
func (h *Host) Do(fn func() error) error { return Do(h.netns, fn) }

// Path is where a file of the host's /etc or /run is found from outside it, sockets included.
func (h *Host) Path(name string) string { return filepath.Join(h.dir, name) }

// Addresses are those on the host's LAN interface now, its own ones and the virtual ones, link-local ones left out.
func (h *Host) Addresses() []netip.Prefix {
	h.lab.t.Helper()
	var addrs []netlink.Addr
	h.lab.check(await(patience, func() error {
		link, err := h.link.LinkByName(h.LAN.Name)
		if err == nil {
			addrs, err = h.link.AddrList(link, netlink.FAMILY_ALL) // refuses a list that changed while it was read
		}
		return err
	}), "list the addresses of "+h.LAN.String())
	var out []netip.Prefix
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ip = ip.Unmap(); !ip.IsLinkLocalUnicast() {
			out = append(out, netip.PrefixFrom(ip, bits))
		}
	}
	return out
}

// Holds reports whether the address is on the host's LAN interface now.
func (h *Host) Holds(addr netip.Addr) bool {
	h.lab.t.Helper()
	return slices.ContainsFunc(h.Addresses(), func(p netip.Prefix) bool { return p.Addr() == addr })
}

// Route makes the prefix reachable on the LAN directly, as virtual addresses outside its subnet need it at the client.
func (h *Host) Route(prefix netip.Prefix) {
	h.lab.t.Helper()
	link, err := h.link.LinkByName(h.LAN.Name)
	h.lab.check(err, "find "+h.LAN.String())
	err = h.link.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: ipNet(prefix.Masked())})
	h.lab.check(err, fmt.Sprintf("route %v at %s", prefix, h.Name))
}

// routeOut makes the gateway, where there is one, the host's default route of both families.
func (h *Host) routeOut() error {
	if h.lab.Gateway == nil {
		return nil
	}
	for _, a := range h.lab.Gateway.LAN.Addrs {
		if err := h.link.RouteReplace(&netlink.Route{Gw: a.Addr().AsSlice()}); err != nil {
			return fmt.Errorf("route %s via %v: %w", h.Name, a.Addr(), err)
		}
	}
	return nil
}

func (h *Host) close() {
	if h.link != nil {
		h.link.Close()
	}
	if h.log != nil {
		h.log.Close()
	}
	h.ns.close()
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// randomUUID is a random UUID as the kernel writes its boot id.
func randomUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
