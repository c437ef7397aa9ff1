package packages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const units = root + "/contrib/systemd/"

// settings are the lines of a unit file by key.
func settings(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(units + name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

// TestUnit: what the rest of viplease relies on. The reasons stand in the unit.
func TestUnit(t *testing.T) {
	unit := settings(t, "viplease.service")
	for key, value := range map[string]string{
		"Type": "notify", "Restart": "always", "ExecStart": "/usr/bin/viplease run", "ExecReload": "/bin/kill -HUP $MAINPID",
		"RuntimeDirectory": "viplease", "RuntimeDirectoryPreserve": "yes", "KillMode": "mixed", "User": "viplease",
		"AmbientCapabilities": "CAP_NET_ADMIN CAP_NET_RAW", "CapabilityBoundingSet": "CAP_NET_ADMIN CAP_NET_RAW",
		"After": "network-online.target etcd.service", "StartLimitIntervalSec": "0",
	} {
		if !slices.Equal(unit[key], []string{value}) {
			t.Errorf("%s is %q, want %q", key, unit[key], value)
		}
	}
	for _, key := range []string{"ExecStop", "ExecStopPost"} {
		if unit[key] != nil {
			t.Errorf("%s would run between a crash and the restart", key)
		}
	}
	if unit["WatchdogSec"] == nil {
		t.Error("no watchdog")
	}
}

// TestTemplate: the unit for several groups is the same but for what names the group.
func TestTemplate(t *testing.T) {
	one, many := settings(t, "viplease.service"), settings(t, "viplease@.service")
	for key, value := range one {
		want := value
		switch key {
		case "Description", "ConditionPathExists", "ExecStart":
			if len(many[key]) != 1 || !strings.Contains(many[key][0], "%i") {
				t.Errorf("%s of the template is %q", key, many[key])
			}
			continue
		}
		if !slices.Equal(many[key], want) {
			t.Errorf("%s is %q in the template and %q in the unit", key, many[key], want)
		}
	}
	if len(one) != len(many) {
		t.Errorf("the template has %d keys, the unit %d", len(many), len(one))
	}
}

func TestSecurity(t *testing.T) {
	const most = 2.0
	for _, name := range []string{"viplease.service", "viplease@.service"} {
		out, err := tool(t, "systemd-analyze", "security", "--offline=true", "--threshold=100", units+name)
		m := regexp.MustCompile(`Overall exposure level for .*: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("systemd-analyze: %v\n%s", err, out)
		}
		score, err := strconv.ParseFloat(m[1], 64)
		if err != nil || score > most {
			t.Errorf("%s is exposed by %s, at most %.1f is allowed:\n%s", name, m[1], most, out)
		}
		t.Logf("%s: %s", name, m[1])
	}
}

// TestVerify: systemd finds nothing to complain about in the units as the package installs them.
func TestVerify(t *testing.T) {
	dir := unpacked(t)
	// What every host has, and a unit may name.
	for stub, mode := range map[string]os.FileMode{"bin/kill": 0o755, "usr/lib/systemd/system/sysinit.target": 0o644, "usr/lib/systemd/system/basic.target": 0o644} {
		path := filepath.Join(dir, stub)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("[Unit]\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"viplease.service", "viplease@www.service"} {
		if out, err := tool(t, "systemd-analyze", "verify", "--man=no", "--root="+dir, name); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestSysctl: every setting names one that this kernel has.
func TestSysctl(t *testing.T) {
	text, err := os.ReadFile(root + "/contrib/package/sysctl.conf")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		key, _, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		n++
		path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		if _, err := os.Stat(path); err != nil {
			if _, off := os.Stat("/proc/sys/net/ipv6"); off != nil && strings.Contains(key, "ipv6") {
				t.Skip("SKIPPED, MISSING: IPv6 in this kernel")
			}
			t.Errorf("%s: %v", key, err)
		}
	}
	if n < 12 {
		t.Errorf("found %d settings", n)
	}
}
