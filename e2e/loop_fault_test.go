package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// built is a viplease that is built otherwise than the one that all nodes run.
func built(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "viplease")
	build := exec.Command("go", append(append([]string{"build", "-o", binary}, flags...), ".")...)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with %v: %v\n%s", flags, err, out)
	}
	return binary
}

// labBuild has the faults that only the daemon itself can inject.
func labBuild(t *testing.T) string { t.Helper(); return built(t, "-tags", "lab") }

func faulty(t *testing.T) (*cluster.Cluster, *lab.Node) {
	t.Helper()
	binary := labBuild(t)
	c := cluster.Start(t, cluster.Options{Idle: true})
	for _, n := range c.Nodes {
		n.Install(binary)
		n.Start(c.Config(n.Name))
	}
	c.Settled()
	return c, c.Nodes[1]
}

func TestLoopThatHangsForEver(t *testing.T) {
	t.Parallel()
	c, n := faulty(t)
	for range rounds(1, 20) {
		began := time.Now()
		n.Signal(syscall.SIGUSR1)
		// The kernel ends them. What the loop had ordered before is still carried out, within T of its check.
		withdrawn(t, c, n, began, cluster.Set+cluster.Hold+cluster.Late+100*time.Millisecond)
		takenOver(t, c, n, began, 2*cluster.TTL+cluster.Wait+time.Second)
		if !n.Running() {
			t.Fatal("the daemon ended: it did not hang")
		}
		n.Kill()
		n.Restart()
		returned(t, c, 15*time.Second)
	}
}

func TestPanicTakesTheAddressesDownFirst(t *testing.T) {
	t.Parallel()
	c, n := faulty(t)
	for range rounds(1, 20) {
		began := time.Now()
		n.Signal(syscall.SIGUSR2)
		withdrawn(t, c, n, began, 500*time.Millisecond)
		select {
		case <-n.Done():
		case <-time.After(5 * time.Second):
			t.Fatal("the daemon lives on after a panic")
		}
		if logs := n.Logs(); !strings.Contains(logs, "panic in the loop: SIGUSR2") {
			t.Errorf("the log does not say why:\n%s", logs)
		}
		takenOver(t, c, n, began, takeover)
		n.Restart()
		returned(t, c, 15*time.Second)
	}
}

// An upgrade in place: another binary stands at the daemon's path, and SIGHUP makes the daemon become it.
func TestUpgradeLosesNothing(t *testing.T) {
	t.Parallel()
	normal := os.Getenv("VIPLEASE_BINARY")
	c, n := faulty(t)
	for i := range rounds(1, 20) {
		quiet(t, c, "upgrade", func() {
			n.Install([]string{normal, labBuild(t)}[i%2])
			n.Signal(syscall.SIGHUP)
			await(t, "the daemon re-executes itself", 5*time.Second, func() bool { return strings.Count(n.Logs(), "msg=re-executing") == i+1 })
			adopted(t, c, n)
		})
	}
	if !*long { // it is the normal build now, which the signal that hangs the other does nothing to
		n.Signal(syscall.SIGUSR1)
		observe(100 * time.Millisecond)
		adopted(t, c, n)
	}
}
