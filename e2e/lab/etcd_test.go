package lab

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func put(t *testing.T, l *Lab, key, value string) {
	t.Helper()
	if err := await(patience, func() error { // a write that an election interrupts is not repeated by the client
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Etcd.Client().Put(ctx, key, value)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestOneEtcd(t *testing.T) {
	l := New(t, Options{Nodes: 1, Etcd: 1})
	server := l.Etcd.Servers[0]
	put(t, l, "/viplease/a", "1")
	before := l.Etcd.Revision()
	put(t, l, "/viplease/b", "2")
	if got := l.Etcd.Revision(); got != before+1 {
		t.Errorf("revision %d, want %d", got, before+1)
	}
	entries := l.Etcd.Get("/viplease/")
	if len(entries) != 2 || entries[1].Key != "/viplease/b" || entries[1].Value != "2" || entries[1].ModRevision != before+1 {
		t.Errorf("entries %+v", entries)
	}
	out, err := l.Etcd.Ctl("get", "--prefix", "/viplease/")
	if err != nil || out != "/viplease/a\n1\n/viplease/b\n2\n" {
		t.Errorf("etcdctl: %q, %v", out, err)
	}
	// The node reaches it over its own management interface.
	if out, err := l.Nodes[0].Run(etcdctl(), "--endpoints", server.Endpoint(), "get", "/viplease/a"); err != nil || !strings.HasSuffix(out, "1\n") {
		t.Errorf("from the node: %q, %v", out, err)
	}
	l.Nodes[0].Mgmt.Cut()
	if _, err := l.Nodes[0].Run(etcdctl(), "--dial-timeout", "300ms", "--command-timeout", "300ms", "--endpoints", server.Endpoint(), "get", "/viplease/a"); err == nil {
		t.Error("the node reaches etcd although it is cut off")
	}

	put(t, l, "/viplease/c", "3")
	l.Etcd.Compact()
	watch := <-l.Etcd.Client().Watch(t.Context(), "/viplease/", clientv3.WithPrefix(), clientv3.WithRev(before))
	if !errors.Is(watch.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from before the compaction: %v", watch.Err())
	}

	server.Kill()
	server.Start()
	if n := len(l.Etcd.Get("/viplease/")); n != 3 {
		t.Errorf("%d entries after a crash, want 3", n)
	}
}

func TestEtcdGoesBackInTime(t *testing.T) {
	l := New(t, Options{Etcd: 1})
	server := l.Etcd.Servers[0]
	put(t, l, "/viplease/a", "1")
	saved, cluster := l.Etcd.Revision(), clusterID(t, l)
	server.Stop()
	server.Save()
	server.Start()
	put(t, l, "/viplease/a", "2")
	server.Stop()
	server.Restore()
	server.Start()
	if got := l.Etcd.Revision(); got != saved || clusterID(t, l) != cluster {
		t.Errorf("revision %d of cluster %x, want %d of %x", got, clusterID(t, l), saved, cluster)
	}
	server.Kill()
	server.Wipe()
	server.Start()
	if n := len(l.Etcd.Get("")); n != 0 || l.Etcd.Revision() >= saved {
		t.Errorf("%d entries at revision %d after it was wiped", n, l.Etcd.Revision())
	}
}

func clusterID(t *testing.T, l *Lab) uint64 {
	t.Helper()
	answer, err := l.Etcd.Client().Get(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.ClusterId
}

func TestThreeEtcds(t *testing.T) {
	l := New(t, Options{Etcd: 3})
	put(t, l, "/viplease/a", "1")
	for _, s := range l.Etcd.Servers {
		l.Etcd.MoveLeader(s)
		if got := l.Etcd.Leader(); got != s {
			t.Fatalf("%s leads, want %s", got.Name, s.Name)
		}
	}

	paused := l.Etcd.Leader()
	paused.Pause()
	next := l.Etcd.Leader()
	if next == paused {
		t.Fatalf("%s leads while it is paused", next.Name)
	}
	put(t, l, "/viplease/b", "2")
	paused.Continue()

	next.Cut()
	third := l.Etcd.Leader()
	if third == next {
		t.Fatalf("%s leads while it is cut off", next.Name)
	}
	put(t, l, "/viplease/c", "3")
	next.Heal()

	third.Stop()
	put(t, l, "/viplease/d", "4")
	third.Start()
	for _, s := range l.Etcd.Servers {
		if err := await(patience, func() error {
			return l.Etcd.at(s, func(ctx context.Context, c *clientv3.Client) error {
				answer, err := c.Get(ctx, "/viplease/", clientv3.WithPrefix(), clientv3.WithSerializable())
				if err == nil && len(answer.Kvs) != 4 {
					err = errors.New("it lags")
				}
				return err
			})
		}); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}

	// Without a majority nothing is written.
	l.Etcd.Servers[0].Pause()
	l.Etcd.Servers[1].Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := l.Etcd.Client().Put(ctx, "/viplease/e", "5"); err == nil {
		t.Error("one server of three took a write")
	}
	l.Etcd.Servers[1].Start() // does not wait for the one that is paused
	put(t, l, "/viplease/e", "5")
}

func TestEtcdAfterAPowerFailure(t *testing.T) {
	l := New(t, Options{Etcd: 3})
	put(t, l, "/viplease/a", "1")
	for _, s := range l.Etcd.Servers {
		s.Args = []string{"--max-txn-ops", "64"}
		s.Kill()
	}
	l.Etcd.StartAll()
	for _, s := range l.Etcd.Servers { // at once and without a second try, which a client would make by itself
		conn, err := l.Dial(t.Context(), "tcp", strings.TrimPrefix(s.Endpoint(), "http://"))
		if err != nil {
			t.Fatalf("%s does not listen right after StartAll: %v", s.Name, err)
		}
		conn.Close()
	}
	for _, s := range l.Etcd.Servers {
		client := s.Client()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		answer, err := client.Get(ctx, "/viplease/a")
		cancel()
		client.Close()
		if err != nil || len(answer.Kvs) != 1 {
			t.Errorf("%s: %v, %v", s.Name, answer, err)
		}
		if cmdline := strings.Join(s.process.cmd.Args, " "); !strings.HasSuffix(cmdline, "--max-txn-ops 64") {
			t.Errorf("%s runs as %q", s.Name, cmdline)
		}
	}
}
