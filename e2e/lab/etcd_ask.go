package lab

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Entry is a key with its value and what etcd knows of it.
type Entry struct {
	Key, Value                  string
	CreateRevision, ModRevision int64
	Lease                       int64 // 0: none
}

// Endpoints are the servers' client URLs, reachable from every node and, through the cluster's client, from the test.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.Endpoint())
	}
	return urls
}

// Client is a client of all servers that works from anywhere in the test. Do not close it.
func (c *Cluster) Client() *clientv3.Client { return c.client }

// Get returns the entries under the prefix in the order of their keys, by a linearizable read.
func (c *Cluster) Get(prefix string) []Entry {
	c.lab.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := c.client.Get(ctx, prefix, clientv3.WithPrefix())
	c.lab.check(err, "get "+prefix)
	var entries []Entry
	for _, kv := range answer.Kvs {
		entries = append(entries, Entry{string(kv.Key), string(kv.Value), kv.CreateRevision, kv.ModRevision, kv.Lease})
	}
	return entries
}

// Revision is the store's revision now, by a linearizable read.
func (c *Cluster) Revision() int64 {
	c.lab.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := c.client.Get(ctx, "revision", clientv3.WithCountOnly())
	c.lab.check(err, "ask for the revision")
	return answer.Header.Revision
}

// Compact forgets all history before the present revision: a watch that lags behind it is told so.
func (c *Cluster) Compact() {
	c.lab.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.client.Compact(ctx, c.Revision(), clientv3.WithCompactPhysical())
	c.lab.check(err, "compact")
}

// Leader waits until a server that answers leads the majority and returns it. A paused, cut off or stopped one is never returned.
func (c *Cluster) Leader() *Server {
	c.lab.t.Helper()
	var leader *Server
	c.lab.check(await(patience, func() (err error) {
		leader, err = c.leader()
		return err
	}), "find the leader of etcd")
	return leader
}

func (c *Cluster) leader() (*Server, error) {
	for _, s := range c.Servers {
		var leads bool
		err := c.at(s, func(ctx context.Context, client *clientv3.Client) error {
			ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			// A linearizable read comes first: a leader that was cut off believes in itself for a while.
			if _, err := client.Get(ctx, "leader"); err != nil {
				return err
			}
			status, err := client.Status(ctx, s.Endpoint())
			leads = err == nil && status.Leader == status.Header.MemberId
			return err
		})
		if err == nil && leads {
			return s, nil
		}
	}
	return nil, errNoLeader
}

// MoveLeader makes the server the leader and waits until it is.
func (c *Cluster) MoveLeader(to *Server) {
	c.lab.t.Helper()
	c.lab.check(await(patience, func() error {
		now, err := c.leader()
		if err != nil || now == to {
			return err
		}
		var id uint64
		err = c.at(to, func(ctx context.Context, client *clientv3.Client) error {
			status, err := client.Status(ctx, to.Endpoint())
			if err == nil {
				id = status.Header.MemberId
			}
			return err
		})
		if err != nil {
			return err
		}
		err = c.at(now, func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.MoveLeader(ctx, id)
			return err
		})
		return errors.Join(err, errors.New("not yet "+to.Name))
	}), "make "+to.Name+" the leader")
}

// Ctl runs etcdctl on the first server's host, against all servers, and returns what it prints; see [Host.Run].
func (c *Cluster) Ctl(args ...string) (string, error) {
	return c.Servers[0].Run(filepath.Join(c.lab.release, "etcdctl"), append([]string{"--endpoints", strings.Join(c.Endpoints(), ",")}, args...)...)
}
