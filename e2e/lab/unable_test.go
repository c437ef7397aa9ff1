package lab

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestWhereNamespacesAreForbidden runs this test binary in a user namespace of its own that may have no network namespace.
func TestWhereNamespacesAreForbidden(t *testing.T) {
	Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, env string
		status    int
		says      string
	}{
		{"a test skips", "CI=", 0, "SKIPPED, MISSING: make namespaces"},
		{"a test under CI fails", "CI=true", 1, "lab: missing: make namespaces"},
		{"a program fails", inhabitEnv + "=return", 1, "lab: make namespaces"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", `echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" -test.v -test.run=TestSetUpIsQuick`, self)
			cmd.Env = append(os.Environ(), c.env)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
			}
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d, want %d (%v)", got, c.status, err)
			}
			for _, want := range []string{c.says, "sysctl -w user.max_user_namespaces"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}
