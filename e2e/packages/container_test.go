package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestContainer: the recipe makes an image of viplease alone, from a clone of the repository, and the program starts in it. Every step of the recipe is run.
// What it builds in is not the image that it names, for tests need no registry: it is an empty one with this machine's /usr and Go.
func TestContainer(t *testing.T) {
	if !*long {
		t.Skip("runs with -long: it takes another build, and buildah")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, MISSING: root, for buildah without user namespaces")
	}
	dir := t.TempDir()
	buildah := func(args ...string) string {
		t.Helper()
		out, err := tool(t, "buildah", append([]string{"--root", dir + "/store", "--runroot", dir + "/run", "--storage-driver", "vfs"}, args...)...)
		if err != nil {
			t.Fatalf("buildah %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(out)
	}
	output := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}

	base := dir + "/base"
	for _, name := range []string{"usr", "tmp", "etc", "root", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + name); err != nil || target != "usr/"+name {
			t.Skipf("SKIPPED, MISSING: a merged /usr, which the base image is made of: /%s, %v", name, err)
		}
		if err := os.Symlink("usr/"+name, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	goroot := output("go", "env", "GOROOT")
	working := buildah("from", "scratch")
	buildah("copy", working, base, "/")
	buildah("config", "--env", "PATH="+goroot+"/bin:/usr/bin:/bin", "--env", "GOMODCACHE=/go/mod", "--env", "GOCACHE=/go/build", working)
	buildah("commit", "-q", working, "docker.io/library/golang:1.26")

	source := dir + "/source"
	output("git", "clone", "-q", root, source)
	mounts := []string{"-v", "/usr:/usr:ro", "-v", output("go", "env", "GOMODCACHE") + ":/go/mod:ro", "-v", output("go", "env", "GOCACHE") + ":/go/build"}
	if !strings.HasPrefix(goroot, "/usr/") {
		mounts = append(mounts, "-v", goroot+":"+goroot+":ro")
	}
	args := append([]string{"bud", "--isolation", "chroot", "--pull-never", "-f", source + "/contrib/Containerfile", "-t", "viplease"}, mounts...)
	buildah(append(args, source)...)

	if runs := buildah("inspect", "--type", "image", "--format", "{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}", "viplease"); runs != "[/usr/bin/viplease] [run]" {
		t.Errorf("the container runs %s", runs)
	}
	container := buildah("from", "viplease")
	files := buildah("mount", container)
	if got := output("find", files, "-type", "f"); got != files+"/usr/bin/viplease" {
		t.Errorf("in it are\n%s", got)
	}
	version := output("chroot", files, "/usr/bin/viplease", "version")
	if commit := output("git", "-C", source, "rev-parse", "--short=7", "HEAD"); !strings.Contains(version, commit) {
		t.Errorf("it says that it is %q, of commit %s", version, commit)
	}
	out, err := exec.Command("chroot", files, "/usr/bin/viplease", "run").CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "/etc/viplease/viplease.toml") {
		t.Errorf("without a configuration it ends with %v:\n%s", err, out)
	}
	t.Logf("%s", version)
}
