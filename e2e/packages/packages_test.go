package packages

import (
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root    = "../.."
	version = "9.8.7"
)

var long = flag.Bool("long", false, "package what is shipped, not just any build")

var dist string // where the packages are

// built makes the packages of this machine's architecture, once.
var built = sync.OnceValue(func() error {
	if out, err := exec.Command(root + "/scripts/nfpm").CombinedOutput(); err != nil {
		return errMissing{"the module of nfpm: " + string(out)}
	}
	args := []string{"--version", version, "--arch", runtime.GOARCH, "--to", dist}
	if !*long { // the build of what is shipped shares nothing with the tests' own, and takes a minute
		binary := filepath.Join(dist, "viplease")
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
		args = append(args, "--binary", binary)
	}
	if out, err := exec.Command(root+"/scripts/package", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("scripts/package: %w\n%s", err, out)
	}
	return nil
})

type errMissing struct{ what string }

func (e errMissing) Error() string { return "SKIPPED, MISSING: " + e.what }

func TestMain(m *testing.M) {
	var err error
	if dist, err = os.MkdirTemp("", "packages"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dist)
	os.Exit(code)
}

// packaged returns the path of the package whose name ends like that.
func packaged(t *testing.T, suffix string) string {
	t.Helper()
	err := built()
	if missing, ok := err.(errMissing); ok {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	found, _ := filepath.Glob(dist + "/*" + suffix)
	if len(found) != 1 {
		t.Fatalf("scripts/package made %v", found)
	}
	return found[0]
}

// tool runs a program that not every machine has, and returns all that it says.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED, MISSING: %s", name)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

// unpacked is a folder with the files of the .deb.
func unpacked(t *testing.T) string {
	t.Helper()
	deb, dir := packaged(t, ".deb"), t.TempDir()
	if out, err := tool(t, "dpkg-deb", "--raw-extract", deb, dir); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	return dir
}

// files are what the package has to bring, with their modes.
var files = map[string]os.FileMode{
	"usr/bin/viplease":                                  0o755,
	"etc/viplease/viplease.toml":                        0o644,
	"usr/lib/systemd/system/viplease.service":           0o644,
	"usr/lib/systemd/system/viplease@.service":          0o644,
	"usr/lib/sysctl.d/60-viplease.conf":                 0o644,
	"usr/lib/sysusers.d/viplease.conf":                  0o644,
	"usr/share/man/man1/viplease.1.gz":                  0o644,
	"usr/share/man/man5/viplease.toml.5.gz":             0o644,
	"usr/share/bash-completion/completions/viplease":    0o644,
	"usr/share/fish/vendor_completions.d/viplease.fish": 0o644,
	"usr/share/doc/viplease/copyright":                  0o644,
	"usr/share/viplease/viplease-role":                  0o755,
	"usr/share/viplease/prometheus/viplease.rules.yml":  0o644,
	"usr/share/viplease/grafana/viplease.json":          0o644,
	"usr/share/doc/viplease/docs/configuration.md":      0o644,
}

func TestDebianPackage(t *testing.T) {
	dir := unpacked(t)
	for name, mode := range files {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	conffiles, err := os.ReadFile(dir + "/DEBIAN/conffiles")
	if err != nil || strings.TrimSpace(string(conffiles)) != "/etc/viplease/viplease.toml" {
		t.Errorf("its conffiles are %q, %v", conffiles, err)
	}
	control, err := os.ReadFile(dir + "/DEBIAN/control")
	if err != nil || strings.Contains(string(control), "Depends:") {
		t.Errorf("a static binary depends on nothing: %v\n%s", err, control)
	}
}

// TestBinary: what is shipped is small, static and stripped, and knows its version.
func TestBinary(t *testing.T) {
	if !*long {
		t.Skip("runs with -long: it takes another build")
	}
	dir := unpacked(t)
	const most = 18_500_000 // 20 MB are promised; template packages, whose reflection links in every exported method, are 3 of them
	info, err := os.Stat(dir + "/usr/bin/viplease")
	if err != nil || info.Size() > most {
		t.Errorf("the binary has %d bytes, at most %d are allowed; %v", info.Size(), most, err)
	}
	t.Logf("the binary has %.1f MB", float64(info.Size())/1e6)
	out, err := exec.Command(dir+"/usr/bin/viplease", "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), version+" (") {
		t.Errorf("it says that it is %q, %v", out, err)
	}
	binary, err := elf.Open(dir + "/usr/bin/viplease")
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if binary.Section(".interp") != nil || binary.Section(".symtab") != nil {
		t.Error("the binary is not static and stripped")
	}
}

// edited is the configuration of the package after an operator has edited its two lines.
func edited(t *testing.T, toml string) string {
	t.Helper()
	for line, instead := range map[string]string{
		"endpoints = []": `endpoints = ["http://192.0.2.1:2379"]`,
		"addresses = []": `addresses = ["192.0.2.100"]`,
	} {
		if strings.Count("\n"+toml, "\n"+line+"\n") != 1 {
			t.Fatalf("the configuration has not one line %q", line)
		}
		toml = strings.Replace(toml, "\n"+line+"\n", "\n"+instead+"\n", 1)
	}
	return toml
}

func TestTheConfigurationNeedsTwoLines(t *testing.T) {
	dir := unpacked(t)
	binary, file := dir+"/usr/bin/viplease", dir+"/etc/viplease/viplease.toml"
	out, err := exec.Command(binary, "check", "-c", file).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || len(lines) != 2 {
		t.Errorf("check of the file as it comes: %v\n%s", err, out)
	}
	toml, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(edited(t, string(toml))), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "check", "-c", file).CombinedOutput(); err != nil {
		t.Errorf("check of the file with its two lines: %v\n%s", err, out)
	}
}

func TestRPMPackage(t *testing.T) {
	rpm := packaged(t, ".rpm")
	out, err := tool(t, "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{ARCH}\n[%{FILEMODES:perms} %{FILENAMES}\n]", rpm)
	if err != nil {
		t.Fatalf("rpm: %v\n%s", err, out)
	}
	lines := strings.Split(out, "\n")
	if !strings.HasPrefix(lines[0], "viplease "+version+" ") {
		t.Errorf("it says that it is %q", lines[0])
	}
	for name, mode := range files {
		if !slices.Contains(lines, mode.String()+" /"+name) {
			t.Errorf("%s %s is not in it:\n%s", mode, name, out)
		}
	}
	if out, err = tool(t, "rpm", "-qp", "--configfiles", rpm); err != nil || out != "/etc/viplease/viplease.toml\n" {
		t.Errorf("its configuration files are %q, %v", out, err)
	}
	if out, err = tool(t, "rpm", "-qp", "--scripts", rpm); err != nil || strings.Count(out, "scriptlet (using /bin/sh)") != 3 {
		t.Errorf("its scripts are %s, %v", out, err)
	}
}

func TestShellScripts(t *testing.T) {
	scripts, err := filepath.Glob(root + "/contrib/package/*.sh")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("found %v, %v", scripts, err)
	}
	for _, name := range []string{"build", "etcd", "nfpm", "package", "release", "test", "version"} {
		scripts = append(scripts, root+"/scripts/"+name)
	}
	for _, s := range scripts {
		if out, err := exec.Command("/bin/sh", "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s, err, out)
		}
	}
	if out, err := tool(t, "shellcheck", scripts...); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}
