package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The environment of a lab. The first two are the lab's own; it takes them away before the program or any host sees them.
const (
	stageEnv  = "VIPLEASE_LAB_STAGE"  // which of the three processes of Main this is
	unableEnv = "VIPLEASE_LAB_UNABLE" // why there can be no lab: every New skips, with this reason
	limitEnv  = "VIPLEASE_LAB_LIMIT"  // the longest life of a lab, a Go duration (an hour)
	logsEnv   = "VIPLEASE_LAB_LOGS"   // a folder that keeps every host's log
)

const (
	defaultLimit = time.Hour        // above any timeout of go test that this project uses
	grace        = 15 * time.Second // from the first signal to the end, for a program that cleans up
)

// Main moves the program into a world of its own, and must be the first thing that main or TestMain does. It runs the same program
// again as the only inhabitant of new mount, network, process and host name namespaces (and a new user namespace for an ordinary
// user), hands signals to it and ends with its exit status. Only inside that world does it return. When anything of it ends, by
// whatever signal, the kernel ends every process in it and all its interfaces, addresses and mounts are gone.
//
// before runs once outside, where the network and the user's caches are; what it sets in the environment reaches the inside.
//
// Where the kernel refuses, a program ends with advice on standard error and status 1. A test binary goes on, and every [New] skips
// with that advice (fails when CI is set).
//
// A terminal's Ctrl-C reaches the outermost process alone, which passes it on once; the inside cannot read the terminal.
func Main(before ...func() error) {
	switch stage := os.Getenv(stageEnv); stage {
	case "":
		for _, f := range before {
			if err := f(); err != nil {
				fmt.Fprintln(os.Stderr, "lab:", err)
				os.Exit(1)
			}
		}
		status, err := outside()
		if err == nil {
			os.Exit(status)
		}
		fmt.Fprintf(os.Stderr, "lab: %v\n%s\n", err, advice)
		if !testing.Testing() {
			os.Exit(1)
		}
		os.Setenv(unableEnv, err.Error())
	case "init":
		os.Exit(inside())
	case "program":
		os.Unsetenv(stageEnv)
		// Hosts are entered by threads that end afterwards. The main thread must not be one of them: it cannot end, and
		// /proc/self shows its namespaces.
		runtime.LockOSThread()
	default:
		panic("lab: " + stageEnv + "=" + stage)
	}
}

const advice = `The lab needs namespaces. Either run it as root (in a container: privileged), or let ordinary users make user namespaces:
    sysctl -w user.max_user_namespaces=10000                    # where it is 0
    sysctl -w kernel.unprivileged_userns_clone=1                # where it exists (Debian)
    sysctl -w kernel.apparmor_restrict_unprivileged_userns=0    # where it exists (Ubuntu)`

// outside runs the program again in its namespaces and waits for it.
func outside() (status int, err error) {
	kinds := uintptr(syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC)
	if os.Geteuid() != 0 {
		return world(kinds | syscall.CLONE_NEWUSER)
	}
	status, err = world(kinds)
	if errors.Is(err, syscall.EPERM) { // root of a container
		return world(kinds | syscall.CLONE_NEWUSER)
	}
	return status, err
}

// world starts the first process of the namespaces and waits for it. An error says that they could not be set up.
func world(kinds uintptr) (status int, err error) {
	ours, theirs, err := lifeline()
	if err != nil {
		return 0, err
	}
	defer ours.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), stageEnv+"=init")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: kinds, Setpgid: true}
	if kinds&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, fmt.Errorf("make namespaces: %w", err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	go relay(signals, cmd.Process, ended)
	// The other end says "ready", or what went wrong, or nothing when it was killed first.
	said := make([]byte, 4096)
	n, _ := ours.Read(said)
	<-ended
	if word := string(said[:n]); word != "ready" && word != "" {
		return 0, setupError(word)
	}
	return exitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// relay passes signals on. After the first one the program has a time of grace; after the second it has none.
func relay(signals <-chan os.Signal, to *os.Process, ended <-chan struct{}) {
	var late <-chan time.Time
	for {
		select {
		case s := <-signals:
			if late != nil {
				to.Kill()
			}
			to.Signal(s)
			late = time.After(grace)
		case <-late:
			to.Kill()
		case <-ended:
			return
		}
	}
}

// lifeline is a pair of connected sockets between the outermost process and the first one inside: the inside reports on it once, and
// ends when the other end is closed, which the kernel does whatever kills the holder.
func lifeline() (outer, inner *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the lab's lifeline: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "lifeline"), os.NewFile(uintptr(fds[1]), "lifeline"), nil
}

// setupError is what the inside reported. A refusal (EPERM, EACCES) is told apart, for outside to try a user namespace.
type setupError string

func (e setupError) Error() string { return strings.TrimPrefix(string(e), refused) }

func (e setupError) Is(target error) bool {
	return target == syscall.EPERM && strings.HasPrefix(string(e), refused)
}

const refused = "refused: "

// say reports the outcome of the set-up on the lifeline.
func say(to io.Writer, err error) {
	word := "ready"
	switch {
	case errors.Is(err, os.ErrPermission):
		word = refused + err.Error()
	case err != nil:
		word = err.Error()
	}
	io.WriteString(to, word)
}

// exitStatus is the shell's way of writing how a process ended.
func exitStatus(w syscall.WaitStatus) int {
	if w.Signaled() {
		return 128 + int(w.Signal())
	}
	return w.ExitStatus()
}
