package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
)

func ptr(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }

func listen(t *testing.T, h *Host, address string) net.PacketConn {
	t.Helper()
	var conn net.PacketConn
	if err := h.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", address)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, from *Host, to netip.Addr, port uint16) {
	t.Helper()
	if err := from.Do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, port)))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("."))
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// state is the letter that the kernel gives a process: R or S while it goes on, T when it is stopped.
func state(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "gone"
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
}

func wantState(t *testing.T, pid int, want string) {
	t.Helper()
	if err := await(patience, func() error {
		if got := state(t, pid); got != want {
			return fmt.Errorf("process %d is %s, want %s", pid, got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// daemonScript writes its name and signals to the log, as the daemon in these tests. The child shows who goes with whom.
const daemonScript = `trap 'echo bye; kill $!; exit 3' TERM; trap 'echo reload' HUP; echo up on $(uname -n); sleep 1000 & while :; do wait; done`

func startScript(t *testing.T, n *Node) {
	t.Helper()
	n.StartCommand("sh", "-c", daemonScript)
	awaitLog(t, n.Host, "up on "+n.Name)
}

func awaitLog(t *testing.T, h *Host, want string) {
	t.Helper()
	if err := await(patience, func() error {
		if !strings.Contains(h.Logs(), want) {
			return fmt.Errorf("the log of %s has no %q: %q", h.Name, want, h.Logs())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestDaemon(t *testing.T) {
	l := New(t, Options{Nodes: 1})
	n := l.Nodes[0]
	startScript(t, n)
	n.Signal(syscall.SIGHUP)
	awaitLog(t, n.Host, "reload")
	pid := n.Pid()
	n.Pause()
	wantState(t, pid, "T")
	n.Continue()
	wantState(t, pid, "S")
	n.Freeze()
	for _, p := range n.pids() {
		wantState(t, p, "T")
	}
	if len(n.pids()) != 2 {
		t.Errorf("%d processes, want the daemon and its child", len(n.pids()))
	}
	n.Thaw()
	wantState(t, pid, "S")
	var status *exec.ExitError
	if err := n.Stop(); !errors.As(err, &status) || status.ExitCode() != 3 {
		t.Errorf("stop: %v, want exit status 3", err)
	}
	awaitLog(t, n.Host, "bye")
	if n.Running() || n.Pid() != 0 {
		t.Error("it still runs")
	}
	startScript(t, n)
	if err := await(patience, func() error {
		if now := n.pids(); len(now) != 2 {
			return fmt.Errorf("processes %v, want the daemon and its child", now)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	n.Kill()
	if err := await(patience, func() error {
		if left := n.pids(); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	select {
	case <-n.Done():
	default:
		t.Error("Kill did not wait")
	}
}

func TestStartRunsTheBinaryWithItsConfiguration(t *testing.T) {
	l := New(t, Options{Nodes: 1})
	n := l.Nodes[0]
	script := t.TempDir() + "/daemon"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$0 $*\"; cat \"$3\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.Install(script)
	n.Start("group = \"www\"\n", "--verbose")
	<-n.Done()
	if got, want := n.Logs(), "/run/host/viplease run -c /etc/viplease/viplease.toml --verbose\ngroup = \"www\"\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	if out, err := n.Viplease("version", "-", "/etc/hostname"); err != nil || !strings.HasSuffix(out, "node1\n") {
		t.Errorf("%q, %v", out, err)
	}
	_, err := n.Run("sh", "-c", "echo oh >&2; exit 4")
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != 4 || !strings.Contains(err.Error(), "oh") {
		t.Errorf("run: %v, want exit status 4 and standard error", err)
	}
}

func TestDieAndReturn(t *testing.T) {
	for _, kind := range Links {
		t.Run("link="+string(kind), func(t *testing.T) {
			l := New(t, Options{Nodes: 2, Gateway: true, Link: kind})
			one, two := l.Nodes[0], l.Nodes[1]
			echo(t, one.Host)
			echo(t, two.Host)
			ids := func() (machine, boot string) {
				return run(t, one.Host, "cat", "/etc/machine-id"), run(t, one.Host, "cat", "/proc/sys/kernel/random/boot_id")
			}
			machine, boot := ids()
			startScript(t, one)
			pid := one.Pid()
			addAddress(t, one.Host, netip.MustParsePrefix("192.168.3.100/32"))
			run(t, one.Host, "touch", "/run/state")

			one.Die()
			wantState(t, pid, "T")
			wantAnswer(t, l.Client, one.LAN.Addr4(), false)
			wantAnswer(t, two.Host, one.Mgmt.Addr4(), false)
			if !one.Dead() || !carrier(t, two.LAN) {
				t.Error("it is not dead, or another lost its carrier")
			}

			one.Return()
			wantState(t, pid, "gone")
			if one.Dead() || one.Running() {
				t.Error("it is still dead, or its daemon runs")
			}
			wantAnswer(t, l.Client, one.LAN.Addr4(), true)
			wantAnswer(t, two.Host, one.Mgmt.Addr4(), true)
			if got, want := fmt.Sprint(one.Addresses()), "[192.168.3.11/24 fd00:3::11/64]"; got != want {
				t.Errorf("addresses %s, want %s", got, want)
			}
			machine2, boot2 := ids()
			if machine2 != machine || boot2 == boot {
				t.Errorf("machine id %s then %s, boot id %s then %s", machine, machine2, boot, boot2)
			}
			if _, err := one.Run("cat", "/run/state"); err == nil {
				t.Error("/run survived")
			}
			if got := run(t, one.Host, "uname", "-n"); got != "node1\n" {
				t.Errorf("host name %q", got)
			}
			if n := len(one.routes(t)); n != 2 {
				t.Errorf("%d default routes, want 2", n)
			}
			startScript(t, one)
		})
	}
}

// routes are the host's default routes.
func (h *Host) routes(t *testing.T) []netlink.Route {
	t.Helper()
	var found []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := h.link.RouteListFiltered(family, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, routes...)
	}
	return found
}
