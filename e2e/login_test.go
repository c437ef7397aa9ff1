package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/cluster"
)

// password is what etcd wants; it stands nowhere but in the file.
const password = "correct-horse-3141592653"

// authenticate starts etcd anew with these arguments and makes it want to know who asks. The users get the group's role as operators give it, by the script
// that the package brings: what follows the group on its command line, for each user.
func authenticate(t *testing.T, c *cluster.Cluster, etcd []string, users ...[]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tools, err := exec.CommandContext(ctx, "../scripts/etcd").Output()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../contrib/etcd/viplease-role")
	if err != nil {
		t.Fatal(err)
	}
	server := c.Etcd.Servers[0]
	server.Args = etcd
	server.Kill()
	server.Start()
	c.Etcd.Leader()
	client := c.Etcd.Client()
	role := func() error {
		if err := os.WriteFile(server.Path("/run/host/password"), []byte(password), 0o600); err != nil {
			return err
		}
		for _, user := range users {
			args := append([]string{"PATH=" + strings.TrimSpace(string(tools)) + ":" + os.Getenv("PATH"), "ETCDCTL_ENDPOINTS=" + server.Endpoint(), script, "www"}, user...)
			if _, err := server.Run("/usr/bin/env", args...); err != nil {
				return err
			}
		}
		return nil
	}
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(ctx, "root", "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, "root"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		role,
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Get(ctx, "/", clientv3.WithPrefix()); err == nil {
		t.Fatal("etcd does not ask who reads")
	}
}
