package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
)

// releases of etcd that the scenario below runs against, apart from the one that all others do. Each is in the environment of the lab as VIPLEASE_ETCD_
// and the name: a folder with etcd and etcdctl, which needForLong makes.
var releases = []string{"3.6", "3.5", "debian"}

func releaseEnv(name string) string { return "VIPLEASE_ETCD_" + strings.ReplaceAll(name, ".", "_") }

// needForLong gets what only the long form needs, outside the lab, where there is a network. What cannot be had is said, and skipped later.
func needForLong() error {
	if !slices.ContainsFunc(os.Args, func(a string) bool { return a == "-long" || a == "--long" }) {
		return nil
	}
	for _, name := range releases {
		if os.Getenv(releaseEnv(name)) != "" {
			continue
		}
		cmd := exec.Command("../scripts/etcd", name)
		if name == "debian" {
			cmd = exec.Command("../scripts/etcd-debian")
		}
		var why bytes.Buffer
		cmd.Stderr = &why
		dir, err := cmd.Output()
		if err != nil {
			fmt.Fprintf(os.Stderr, "SKIPPED LATER, MISSING: etcd %s: %v\n%s", name, err, why.Bytes())
			continue
		}
		os.Setenv(releaseEnv(name), strings.TrimSpace(string(dir)))
	}
	return needPackages()
}

// TestEtcdReleases: the daemons against each release of etcd that is in use, and its own etcdctl reads what they wrote.
func TestEtcdReleases(t *testing.T) {
	if !*long {
		t.Skip("runs with -long: it builds two more releases of etcd")
	}
	for _, name := range append([]string{""}, releases...) {
		t.Run("etcd"+name, func(t *testing.T) {
			dir := ""
			if name != "" {
				if dir = os.Getenv(releaseEnv(name)); dir == "" {
					t.Skipf("SKIPPED, MISSING: etcd %s", name)
				}
			}
			basics(t, dir)
		})
	}
}

// basics brings VIPs up, drains a node, reads the keys with etcdctl, and lets a machine die.
func basics(t *testing.T, release string) {
	c := cluster.Start(t, cluster.Options{Release: release, Etcd: 3})
	version, err := c.Etcd.Ctl("version")
	if err != nil {
		t.Fatal(err)
	}
	c.Settled()
	n := c.Nodes[0]
	var drained figures
	drained.during(c, func() {
		run(t, n, "drain", "--wait", "--timeout", "10s")
		c.Within(time.Second, "drain", c.None(n))
		c.Within(time.Second, "drain", c.AllHeld)
	})
	readsKeys(t, c)
	run(t, n, "undrain")
	c.Within(10*time.Second, "undrain", c.Even(c.Nodes...))
	began := time.Now()
	c.Die(n)
	limit := cluster.TTL + 500*time.Millisecond + cluster.Wait + 2*time.Second
	c.Within(limit, "host death", c.Even(c.Nodes[1:]...))
	c.Answering(limit)
	server, err := exec.Command(filepath.Join(orDefault(release), "etcd"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s%sdrain: %v; every VIP answered %v after a host's death", firstLine(string(server)), firstLine(version), &drained, time.Since(began).Round(10*time.Millisecond))
}

func orDefault(release string) string {
	if release == "" {
		return os.Getenv("VIPLEASE_ETCD")
	}
	return release
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line + "\n"
}

// readsKeys reads every claim and the drain as docs/etcd.md tells operators to.
func readsKeys(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	out, err := c.Etcd.Ctl("get", "--prefix", "/viplease/www/", "--keys-only")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"members/node1", "states/node1", "drains/node1"} {
		if !strings.Contains(out, "/viplease/www/"+key+"\n") {
			t.Errorf("etcdctl does not show %s:\n%s", key, out)
		}
	}
	for _, v := range c.VIPs {
		out, err := c.Etcd.Ctl("get", "--print-value-only", "/viplease/www/claims/"+v.String())
		if err != nil {
			t.Fatal(err)
		}
		var claim struct{ Node string }
		if err := json.Unmarshal([]byte(out), &claim); err != nil || !slices.Equal(c.Judge.Holders()[v], []string{claim.Node}) {
			t.Errorf("the claim of %s, held by %v, is %q, %v", v, c.Judge.Holders()[v], out, err)
		}
	}
}
