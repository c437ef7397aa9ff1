package lab

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main(NeedEtcd)
	os.Exit(m.Run())
}

func TestSmoke(t *testing.T) {
	start := time.Now()
	l := New(t, Options{Nodes: 5})
	t.Log(time.Since(start))
	for _, n := range l.Nodes {
		out, err := n.Run("sh", "-c", "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; ls -l /run /etc/viplease; ls /sys/class/net; ip -br a")
		t.Log(out, err)
	}
	start = time.Now()
	l.Nodes[0].LAN.Cut()
	t.Log("cut", time.Since(start))
	start = time.Now()
	l.Close()
	t.Log("close", time.Since(start))
	start = time.Now()
	l = New(t, Options{Nodes: 5, Etcd: 3})
	t.Log(time.Since(start))
	t.Log(l.Etcd.Leader().Name)
	l.Etcd.MoveLeader(l.Etcd.Servers[2])
	t.Log(time.Since(start))
	t.Log(l.Etcd.Ctl("member", "list"))
	start = time.Now()
	l.Close()
	t.Log("close", time.Since(start))
}
