package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where the programs are that a lab runs. Each may be set by hand, to test another build.
const (
	etcdEnv     = "VIPLEASE_ETCD"   // the folder with etcd and etcdctl
	vipleaseEnv = "VIPLEASE_BINARY" // the daemon's binary
	cacheEnv    = "VIPLEASE_CACHE"
)

// NeedEtcd, given to [Main], builds etcd and etcdctl where they are not built yet.
func NeedEtcd() error {
	if os.Getenv(etcdEnv) != "" {
		return nil
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	out, err := output(exec.Command(filepath.Join(root, "scripts", "etcd")))
	if err != nil {
		return fmt.Errorf("build etcd: %w", err)
	}
	return os.Setenv(etcdEnv, strings.TrimSpace(out))
}

// NeedViplease, given to [Main], builds the daemon from this checkout.
func NeedViplease() error {
	if os.Getenv(vipleaseEnv) != "" {
		return nil
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	cache := os.Getenv(cacheEnv)
	if cache == "" {
		if cache, err = os.UserCacheDir(); err != nil {
			return err
		}
		cache = filepath.Join(cache, "viplease")
	}
	// Another test binary may be running the one that is there, so it is replaced whole.
	binary := filepath.Join(cache, "viplease")
	building := fmt.Sprintf("%s.%d", binary, os.Getpid())
	build := exec.Command("go", "build", "-o", building, ".")
	build.Dir = root
	if _, err := output(build); err != nil {
		return fmt.Errorf("build viplease: %w", err)
	}
	if err := os.Rename(building, binary); err != nil {
		return fmt.Errorf("build viplease: %w", err)
	}
	return os.Setenv(vipleaseEnv, binary)
}

// etcdFolder is where etcd and etcdctl are, after NeedEtcd.
func etcdFolder() string { return os.Getenv(etcdEnv) }

func etcdctl() string { return filepath.Join(etcdFolder(), "etcdctl") }

// output runs cmd and returns what it printed; an error has its standard error with it.
func output(cmd *exec.Cmd) (string, error) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, errs.String())
	}
	return string(out), nil
}

// moduleRoot is the checkout, found upwards from the working directory: tests run in their package's folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "etcd")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run this inside a checkout of viplease (no scripts/etcd found above)")
		}
		dir = parent
	}
}
