package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// packagesEnv is the folder with viplease 1.0.0 and 1.0.1 as packages of this machine's architecture.
const packagesEnv = "VIPLEASE_PACKAGES"

// needPackages makes them, outside the lab.
func needPackages() error {
	if os.Getenv(packagesEnv) != "" {
		return nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "viplease", "packages")
	for _, version := range []string{"1.0.0", "1.0.1"} {
		out, err := exec.Command("../scripts/package", "--version", version, "--arch", runtime.GOARCH, "--to", dir).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "SKIPPED LATER, MISSING: packages: %v\n%s", err, out)
			return nil
		}
	}
	return os.Setenv(packagesEnv, dir)
}

// systemctl stands in for systemd towards the package's scripts: there is none in the lab. It knows one unit, whose process is in /run/daemon.pid.
const systemctl = `#!/bin/sh
echo "$*" >>/run/systemctl.log
pid=$(cat /run/daemon.pid)
case "$1" in
list-units) ! kill -0 "$pid" 2>/dev/null || echo "viplease.service loaded active running Virtual IP addresses" ;;
reload) kill -HUP "$pid" ;;
disable) kill -TERM "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done ;;
esac
`

// packager is how a distribution installs a package from a file, upgrades to it, and removes it.
type packager struct {
	name, install, upgrade string // with the file's path
	file                   string // its name, of a version
	remove                 string
	purge                  string // the rest, "" if nothing is left
}

var (
	dpkg = packager{
		name: "dpkg", install: dpkgHere + " -i", upgrade: dpkgHere + " -i", remove: dpkgHere + " -r viplease", purge: dpkgHere + " -P viplease",
		file: "viplease_%s-1_" + runtime.GOARCH + ".deb",
	}
	// Its database is empty, so it does not know that there is a /bin/sh.
	rpm = packager{
		name: "rpm", install: rpmHere + " --nodeps -i", upgrade: rpmHere + " --nodeps -U", remove: rpmHere + " -e viplease", purge: "rm /etc/viplease/viplease.toml.rpmsave",
		file: "viplease-%s-1." + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + ".rpm",
	}
)

const (
	dpkgHere = "dpkg --admindir=/run/dpkg --log=/run/dpkg.log --no-triggers"
	rpmHere  = "rpm --dbpath /run/rpm --define '_rpmlock_path /run/rpm/.lock'"
)

// installed is a node that got its viplease from a package.
type installed struct {
	*lab.Node
	packager
	t    *testing.T
	unit map[string]string // settings of the unit

	mu   sync.Mutex
	told []string // lines that the daemon told systemd
}

// TestPackage: from the package alone to VIPs that are up, through an upgrade, to nothing left. Two nodes have the .deb, one has the .rpm.
func TestPackage(t *testing.T) {
	if !*long {
		t.Skip("runs with -long: it makes two packages")
	}
	dir := os.Getenv(packagesEnv)
	if dir == "" {
		t.Skip("SKIPPED, MISSING: the packages")
	}
	for _, name := range []string{"dpkg", "rpm", "setpriv"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED, MISSING: %s", name)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, MISSING: root, to have more than one user")
	}
	c := cluster.Start(t, cluster.Options{Idle: true})
	var machines []*installed
	for i, n := range c.Nodes {
		m := &installed{Node: n, t: t, packager: []packager{dpkg, rpm, dpkg}[i]}
		m.prepare()
		m.sh(m.install + " " + m.packageOf(dir, "1.0.0"))
		m.tuned()
		m.configure(c)
		m.start()
		machines = append(machines, m)
	}
	c.Settled()
	for _, m := range machines {
		m.least()
		await(t, "systemd is told that it is ready", patience, func() bool { return m.heard("READY=1") })
		await(t, "systemd is told how it is", patience, func() bool { return m.heard(`STATUS=\d+ of 10 VIPs here`) })
		await(t, "the watchdog is fed", patience, func() bool { return m.heard("WATCHDOG=1") })
	}
	for _, m := range machines {
		pid := m.Pid()
		quiet(t, c, "upgrade by "+m.packager.name, func() {
			m.sh(m.upgrade + " " + m.packageOf(dir, "1.0.1"))
			await(t, "the new version runs", patience, func() bool {
				return strings.Contains(m.Logs(), `msg=started`) && strings.Contains(m.Logs(), `version="1.0.1 `)
			})
			adopted(t, c, m.Node)
		})
		if m.Pid() != pid || m.calls("reload viplease.service") != 1 || m.calls("restart") != 0 {
			t.Errorf("the upgrade did not reload: pid %d, now %d, systemctl was asked to\n%s", pid, m.Pid(), m.file("/run/systemctl.log"))
		}
		m.least()
	}
	var removed figures
	for i, m := range machines {
		removed.during(c, func() {
			m.sh(m.remove)
			if i < len(machines)-1 {
				c.Within(time.Second, "removal", c.AllHeld)
			}
		})
		if up := cluster.Loads(c.Judge.Holders())[m.Name]; up != 0 || m.Running() {
			t.Errorf("%s is removed and has %d addresses; it runs: %v", m.Name, up, m.Running())
		}
		if i == len(machines)-2 {
			t.Logf("removals: %v", &removed)
		}
		m.sh(m.purge)
		for _, path := range []string{"/etc/viplease/viplease.toml", "/run/viplease", "/usr/bin/viplease", "/usr/lib/systemd/system/viplease.service"} {
			if _, err := m.Run("/bin/sh", "-c", "[ ! -e "+path+" ]"); err != nil {
				t.Errorf("%s is purged by %s and has %s", m.Name, m.packager.name, path)
			}
		}
	}
}

func (m *installed) packageOf(dir, version string) string {
	return filepath.Join(dir, fmt.Sprintf(m.packager.file, version))
}

// prepare makes the host one that has its own programs, users and packages.
func (m *installed) prepare() {
	m.t.Helper()
	m.Overlay("/usr")
	m.OwnFiles("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock")
	for _, dir := range []string{"/run/dpkg/info", "/run/dpkg/updates", "/run/dpkg/triggers", "/run/rpm", "/run/systemd/system"} {
		m.must(os.MkdirAll(m.Path(dir), 0o755))
	}
	m.must(os.WriteFile(m.Path("/run/dpkg/status"), nil, 0o644))
	m.must(os.WriteFile(m.Path("/run/daemon.pid"), []byte("none"), 0o644))
	m.must(os.WriteFile(m.Path("/run/systemctl"), []byte(systemctl), 0o755))
	m.sh("cp --remove-destination /run/systemctl /usr/bin/systemctl")
	m.Binary = "/usr/bin/viplease"
}

func (m *installed) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", m.Name, err)
	}
}

// sh runs a shell command on the host; it must succeed.
func (m *installed) sh(command string) string {
	m.t.Helper()
	out, err := m.Run("env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", command)
	if err != nil {
		m.t.Fatalf("%s: %s: %v\n%s", m.Name, command, err, out)
	}
	return out
}

func (m *installed) file(path string) string {
	m.t.Helper()
	text, err := os.ReadFile(m.Path(path))
	m.must(err)
	return string(text)
}

// calls counts how often the package's scripts asked systemd for it.
func (m *installed) calls(command string) int {
	return strings.Count(m.file("/run/systemctl.log"), command)
}

// tuned compares what the package asked of the kernel with what the kernel does.
func (m *installed) tuned() {
	m.t.Helper()
	for line := range strings.Lines(m.sh("cat /usr/lib/sysctl.d/60-viplease.conf")) {
		key, want, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if is := strings.TrimSpace(m.sh("sysctl -n " + key)); is != want {
			m.t.Errorf("%s: %s is %q, want %q", m.Name, key, is, want)
		}
	}
}

// configure edits two lines of what the package installed.
func (m *installed) configure(c *cluster.Cluster) {
	m.t.Helper()
	toml := m.file(lab.ConfigPath)
	var vips []string
	for _, v := range c.VIPs {
		vips = append(vips, v.String())
	}
	for key, list := range map[string][]string{"endpoints": c.Etcd.Endpoints(), "addresses": vips} {
		line := key + " = []\n"
		if strings.Count(toml, "\n"+line) != 1 {
			m.t.Fatalf("the configuration has not one line %q", line)
		}
		toml = strings.Replace(toml, "\n"+line, fmt.Sprintf("\n%s = [\"%s\"]\n", key, strings.Join(list, `", "`)), 1)
	}
	m.WriteConfig(toml)
	m.sh("viplease check --live")
}

// start does what systemd does for the unit: its command, as its user, with its capabilities and no other, in its runtime directory, with its socket.
func (m *installed) start() {
	m.t.Helper()
	m.unit = map[string]string{}
	for line := range strings.Lines(m.sh("cat /usr/lib/systemd/system/viplease.service")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m.unit[key] = value
		}
	}
	m.sh(fmt.Sprintf("install -d -m 755 -o %s -g %s /run/%s", m.unit["User"], m.unit["Group"], m.unit["RuntimeDirectory"]))
	m.listen()
	capabilities := "-all"
	for name := range strings.FieldsSeq(strings.ToLower(m.unit["AmbientCapabilities"])) {
		capabilities += ",+" + strings.TrimPrefix(name, "cap_")
	}
	args := []string{"--reuid", m.unit["User"], "--regid", m.unit["Group"], "--init-groups", "--no-new-privs",
		"--inh-caps=" + capabilities, "--ambient-caps=" + capabilities, "--bounding-set=" + capabilities,
		"env", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=10000000"}
	m.StartCommand("setpriv", append(args, strings.Fields(m.unit["ExecStart"])...)...)
	m.must(os.WriteFile(m.Path("/run/daemon.pid"), fmt.Append(nil, m.Pid()), 0o644))
}

// listen hears what the daemon tells systemd.
func (m *installed) listen() {
	m.t.Helper()
	path := m.Path("/run/notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	m.must(err)
	m.must(os.Chmod(path, 0o777))
	ended := make(chan struct{})
	m.t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, strings.Split(string(buffer[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
}

// heard says whether the daemon told systemd such a line.
func (m *installed) heard(line string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.told, regexp.MustCompile("^"+line+"$").MatchString)
}

// least reads back from the kernel that the daemon is nobody in particular and has CAP_NET_ADMIN (12) and CAP_NET_RAW (13) alone.
func (m *installed) least() {
	m.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.Pid()))
	m.must(err)
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if want := fmt.Sprintf("\n%s:\t%016x\n", set, 1<<12|1<<13); !strings.Contains(string(status), want) {
			m.t.Errorf("the daemon has not %q:\n%s", want, status)
		}
	}
	if strings.Contains(string(status), "\nUid:\t0") || !strings.Contains(string(status), "\nNoNewPrivs:\t1") {
		m.t.Errorf("the daemon is somebody in particular:\n%s", status)
	}
}
