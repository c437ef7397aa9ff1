package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultPath is where the configuration is unless -c says otherwise.
const DefaultPath = "/etc/viplease/viplease.toml"

// Config is a checked configuration, all defaults filled in.
type Config struct {
	Path     string        // as it was given to Load or Parse
	Group    string        // one name for the nodes that share these VIPs
	Node     string        // this node; by default the host name
	Mature   time.Duration // a node is ready when it was healthy for so long
	Weight   int           // this node's share of the load, in proportion to the others'
	Etcd     Etcd
	Lease    Lease
	Balance  Balance
	Takeover Takeover
	Announce Announce
	Checks   []Check
	Hooks    Hooks
	VIPs     []VIP // every [[vip]], then every member of every [[pool]]
	Control  Control
	Metrics  Metrics
	Log      Log

	ResetConnections bool // TCP connections of a VIP are reset on the node that gives it up
}

// Takeover is section 4 of the design, taking VIPs over before W has passed.
type Takeover struct {
	Fast          bool
	ProbeInterval time.Duration
	Misses        int // unanswered probes that make a ward suspect
	Grace         time.Duration
	Witnesses     []Witness
}

// Witness is a host whose answer shows that it is not this node that is cut
// off.
type Witness struct {
	Addr netip.Addr
	Dev  string // "": the interface whose subnet holds the address
}

// Announce is what is told to the LAN about VIPs that are up.
type Announce struct {
	Refresh  time.Duration // VIPs that stay are announced again so often
	ARPCache time.Duration // how often the neighbours seen here are shared
	Notify   []Notify
}

// Notify is hosts that are told directly where a VIP is now.
type Notify struct {
	Target   Range
	Dev      string
	Throttle int // notices per second
}

// Control is where the commands find the daemon.
type Control struct {
	Socket string // absolute path of a Unix socket
	Group  string // whose members may use it besides root; "": that of the process
}

// Metrics is where Prometheus finds the daemon.
type Metrics struct {
	Listen string // address and port; "": nowhere but on the control socket
}

// Env is what a configuration takes from its surroundings.
type Env struct {
	Hostname string // the default node name; "" if there is none
}

// Load reads and checks the file at path for this host. A file that cannot be
// read is a wrapped error of package os, a file with mistakes a [Problems].
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	var env Env
	if env.Hostname, err = os.Hostname(); err != nil {
		return Config{}, fmt.Errorf("read host name: %w", err)
	}
	return Parse(path, data, env)
}

// Parse checks a configuration; name is its file name in messages and becomes
// Config.Path. It reads the files that the etcd section names and nothing
// else. The error, if any, is a [Problems].
func Parse(name string, data []byte, env Env) (Config, error) {
	r, err := read(name, data)
	if err != nil {
		return Config{}, err
	}
	c := readAll(r, env)
	r.refuseUnknown()
	if len(r.problems) > 0 {
		r.problems.sort()
		return Config{}, r.problems
	}
	return c, nil
}

// readAll asks for every key that there is.
func readAll(r *reader, env Env) Config {
	top := r.top()
	c := Config{
		Path:   r.file,
		Group:  top.label("group", ""),
		Node:   readNode(top, env),
		Mature: top.duration("mature", 5*time.Second, 0, maxMature),

		ResetConnections: top.flag("reset_connections", true),
	}
	if c.Group == "" && !top.has("group") {
		top.problem("group", `is missing; write group = "www", or another name that all nodes share`)
	}
	c.Weight = readWeight(top, c.Node)
	c.Etcd = readEtcd(top.table("etcd"))
	c.Lease = readLease(top.table("lease"))
	c.Balance = readBalance(top.table("balance"), c.Lease)
	c.Takeover = readTakeover(top.table("takeover"))
	c.Announce = readAnnounce(top.table("announce"))
	c.VIPs = r.readVIPs(top)
	c.Checks = readChecks(top, c.VIPs)
	c.Control.Socket = readSocket(top.table("control"), c.Group)
	c.Control.Group = top.table("control").label("group", "")
	c.Metrics.Listen = readListen(top.table("metrics"))
	c.Log = readLog(top.table("log"))
	c.Hooks = readHooks(top.table("hooks"))
	return c
}

// maxMature is as far as mature doubles after evictions (design, section 3).
const maxMature = 5 * time.Minute

func readNode(top table, env Env) string {
	if node := top.label("node", ""); node != "" || top.has("node") {
		return node
	}
	if env.Hostname == "" || badName(env.Hostname) != "" {
		top.problem("node", `is missing, and the host name %s cannot stand for it; write node = "..."`, quote(env.Hostname))
	}
	return env.Hostname
}

// readSocket reads the path of the control socket. By default it carries the
// group, since several groups may run on one host.
func readSocket(t table, group string) string {
	// sun_path has 108 bytes, the last of them NUL: unix(7).
	const most = 107
	path := t.text("socket", "/run/viplease/"+group+".sock")
	switch {
	case !filepath.IsAbs(path):
		t.problem("socket", `%s is not an absolute path; write one such as "/run/viplease/viplease.sock"`, quote(path))
	case len(path) > most:
		t.problem("socket", "%s has %d bytes, and a socket's path at most %d; write a shorter one", quote(path), len(path), most)
	case strings.ContainsRune(path, 0):
		t.problem("socket", "%s contains a NUL byte; remove it", quote(path))
	}
	return path
}

// has says whether the file gives the key a value; "" is none.
func (t table) has(key string) bool {
	v, ok := t.value(key)
	return ok && v != ""
}
