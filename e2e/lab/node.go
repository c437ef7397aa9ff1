package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
)

// Node is a host that runs the daemon, with a LAN and a management interface.
type Node struct {
	*Host
	// Binary is the daemon that Start runs; $VIPLEASE_BINARY (set by [NeedViplease]) unless changed.
	Binary string
	daemon *process
	dead   atomic.Bool
}

// ConfigPath is where the daemon's configuration lies on every node.
const ConfigPath = "/etc/viplease/viplease.toml"

// AddNode puts one more machine on the LAN, running nothing.
func (l *Lab) AddNode() *Node {
	l.t.Helper()
	n, err := l.addNode()
	if err == nil {
		err = l.settle(n.LAN, n.Mgmt)
	}
	l.check(err, "add a node")
	return n
}

func (l *Lab) addNode() (*Node, error) {
	i := len(l.Nodes) + 1
	if i > maxNodes {
		return nil, fmt.Errorf("the LAN has room for %d nodes", maxNodes)
	}
	wire := lanPort(10 + i)
	wire.Kind = l.nodeLink
	h, err := l.addHost(fmt.Sprintf("node%d", i), wire, mgmtPort(100+i))
	if err != nil {
		return nil, err
	}
	n := &Node{Host: h, Binary: os.Getenv(vipleaseEnv)}
	l.Nodes = append(l.Nodes, n)
	return n, n.routeOut()
}

// WriteConfig replaces the node's configuration. A running daemon reads it on SIGHUP.
func (n *Node) WriteConfig(toml string) {
	n.lab.t.Helper()
	file := n.Path(ConfigPath)
	n.lab.check(errors.Join(os.WriteFile(file+"~", []byte(toml), 0o644), os.Rename(file+"~", file)), "configure "+n.Name)
}

// Start writes the configuration and starts the daemon, "viplease run" with args. It does not wait until the node is ready.
func (n *Node) Start(toml string, args ...string) {
	n.lab.t.Helper()
	n.WriteConfig(toml)
	n.Restart(args...)
}

// Restart starts the daemon with the configuration that is there.
func (n *Node) Restart(args ...string) {
	n.lab.t.Helper()
	if n.daemon.running() {
		n.lab.t.Fatalf("lab: start the daemon of %s: it is running", n.Name)
	}
	n.StartCommand(n.Binary, append([]string{"run", "-c", ConfigPath}, args...)...)
}

// StartCommand starts another program in the daemon's place.
func (n *Node) StartCommand(name string, args ...string) {
	n.lab.t.Helper()
	var err error
	n.daemon, err = n.start(exec.Command(name, args...))
	n.lab.check(err, "start the daemon")
}

// Install copies a binary to the node, whole or not at all, as a package upgrade does, and makes it the one that Start runs.
func (n *Node) Install(binary string) {
	n.lab.t.Helper()
	n.lab.check(n.install(binary), "install "+binary+" on "+n.Name)
}

func (n *Node) install(binary string) error {
	const place = "/run/host/viplease"
	from, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(n.Path(place)+"~", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close(), os.Rename(to.Name(), n.Path(place))); err != nil {
		return err
	}
	n.Binary = place
	return nil
}

// Viplease runs the node's binary with args to its end, as an operator on that machine would; see [Host.Run].
func (n *Node) Viplease(args ...string) (string, error) { return n.Run(n.Binary, args...) }

// Running reports whether the daemon has been started and has not ended.
func (n *Node) Running() bool { return n.daemon.running() }

// Pid is the daemon's process id, 0 when it does not run.
func (n *Node) Pid() int {
	if !n.Running() {
		return 0
	}
	return n.daemon.cmd.Process.Pid
}

// Done is closed when the daemon that was started last has ended.
func (n *Node) Done() <-chan struct{} { return n.daemon.done }

// Signal sends a signal to the daemon.
func (n *Node) Signal(s syscall.Signal) {
	n.lab.t.Helper()
	if !n.Running() {
		n.lab.t.Fatalf("lab: signal the daemon of %s: it does not run; its log ends:\n%s", n.Name, n.tail(10))
	}
	n.daemon.signal(s)
}

// Stop asks the daemon to leave (SIGTERM) and waits for its end. The error is its exit status.
func (n *Node) Stop() error {
	n.lab.t.Helper()
	n.Signal(syscall.SIGTERM)
	return n.stopped(n.daemon)
}

// stopped waits for the end of a process that was asked for it.
func (h *Host) stopped(p *process) error {
	err := await(patience, func() error {
		if p.running() {
			return errors.New("it still runs")
		}
		return nil
	})
	if err != nil {
		p.kill()
		return fmt.Errorf("stop %s: %w", h.Name, err)
	}
	return p.err
}

// Kill ends the daemon without a word (SIGKILL), its children with it. Its addresses stay until the kernel ends them.
func (n *Node) Kill() {
	n.lab.t.Helper()
	if !n.Running() {
		n.lab.t.Fatalf("lab: kill the daemon of %s: it does not run; its log ends:\n%s", n.Name, n.tail(10))
	}
	n.daemon.kill()
}

// Pause stops the daemon in its tracks (SIGSTOP) and waits until it stands; its children go on.
func (n *Node) Pause() {
	n.lab.t.Helper()
	if !n.Running() {
		n.lab.t.Fatalf("lab: pause the daemon of %s: it does not run; its log ends:\n%s", n.Name, n.tail(10))
	}
	n.lab.check(n.daemon.pause(), "pause the daemon of "+n.Name)
}

// Continue lets a paused daemon go on.
func (n *Node) Continue() { n.lab.t.Helper(); n.Signal(syscall.SIGCONT) }

// Die is the death of the machine: nothing on it runs any more and nothing reaches it. Its neighbours keep their carrier, as behind
// a switch. Addresses that its kernel still shows mean nothing: nobody hears it.
func (n *Node) Die() {
	n.lab.t.Helper()
	n.lab.Cut(n.LAN, n.Mgmt)
	n.Freeze()
	n.dead.Store(true)
}

// Dead reports whether the machine died and has not returned. Safe for concurrent use.
func (n *Node) Dead() bool { return n.dead.Load() }

// Return boots the machine that died (or reboots one that lives): nothing runs, new interfaces with their own addresses alone, an
// empty /run, another boot id, the same machine id. Faults of its ports are gone.
func (n *Node) Return() {
	n.lab.t.Helper()
	n.lab.check(n.reboot(), "boot "+n.Name)
}

func (n *Node) reboot() error {
	n.killAll()
	if n.daemon != nil {
		<-n.daemon.done // it has ended; this waits until that is known
	}
	for _, p := range []*Port{n.LAN, n.Mgmt} {
		if err := p.unplug(); err != nil {
			return err
		}
	}
	if err := n.boot(); err != nil {
		return err
	}
	n.lab.Heal(n.LAN, n.Mgmt)
	for _, p := range []*Port{n.LAN, n.Mgmt} {
		if err := p.plug(); err != nil {
			return err
		}
	}
	if err := n.routeOut(); err != nil {
		return err
	}
	n.dead.Store(false)
	return n.lab.settle(n.LAN, n.Mgmt)
}
