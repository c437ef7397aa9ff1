package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// What happens when somebody else writes the cluster's keys: by hand, with etcdctl. Everything here is put right by the nodes themselves, without a
// packet lost, unless a test says otherwise.

// keys is what all keys of the cluster begin with.
const keys = "/viplease/www/"

// patience is how long anything may take that is no matter of the protocol.
const patience = 15 * time.Second

// byHand makes one request to etcd, as an operator with etcdctl does.
func byHand(t *testing.T, c *cluster.Cluster, request func(context.Context, *clientv3.Client) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := request(ctx, c.Etcd.Client()); err != nil {
		t.Fatalf("a request to etcd by hand: %v", err)
	}
}

func put(t *testing.T, c *cluster.Cluster, key, value string) {
	t.Helper()
	byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
		_, err := e.Put(ctx, key, value)
		return err
	})
}

func del(t *testing.T, c *cluster.Cluster, key string, options ...clientv3.OpOption) {
	t.Helper()
	byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
		answer, err := e.Delete(ctx, key, options...)
		if err == nil && answer.Deleted == 0 {
			err = fmt.Errorf("delete %s: there is no such key", key)
		}
		return err
	})
}

// stands is what a key holds; it must be there.
func stands(t *testing.T, c *cluster.Cluster, key string) lab.Entry {
	t.Helper()
	for _, e := range c.Etcd.Get(key) {
		if e.Key == key {
			return e
		}
	}
	t.Fatalf("%s is not there", key)
	return lab.Entry{}
}

// holder is the node that has the VIP up.
func holder(t *testing.T, c *cluster.Cluster, vip netip.Addr) *lab.Node {
	t.Helper()
	on := c.Judge.Holders()[vip]
	if len(on) != 1 {
		t.Fatalf("%s is up on %v", vip, on)
	}
	return c.Node(on[0])
}

// anew waits until the node has another registration than the one that stood, and all that it holds is stamped with that.
func anew(t *testing.T, c *cluster.Cluster, n *lab.Node, was lab.Entry) {
	t.Helper()
	began := time.Now()
	await(t, n.Name+" registers anew", patience, func() bool {
		now := c.Etcd.Get(was.Key)
		if len(now) != 1 || now[0].CreateRevision == was.CreateRevision {
			return false
		}
		for _, k := range claims(t, c) {
			if k.Node == n.Name && k.MemberRev != now[0].CreateRevision {
				return false
			}
		}
		return true
	})
	t.Logf("%s had registered and stamped its claims anew after %v", n.Name, time.Since(began).Round(10*time.Millisecond))
}

// TestRegistrationEndedByHand: a lease that is gone for no good reason moves nothing, however it went.
func TestRegistrationEndedByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	ways := []struct {
		what string
		end  func(member lab.Entry)
	}{
		{"lease revoked by hand", func(member lab.Entry) {
			byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
				_, err := e.Revoke(ctx, clientv3.LeaseID(member.Lease))
				return err
			})
		}},
		{"member key deleted by hand", func(member lab.Entry) { del(t, c, member.Key) }},
		{"member and state deleted by hand", func(member lab.Entry) {
			byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
				_, err := e.Txn(ctx).Then(clientv3.OpDelete(member.Key), clientv3.OpDelete(strings.Replace(member.Key, "members", "states", 1))).Commit()
				return err
			})
		}},
	}
	for i := range rounds(3, 21) {
		n, way := c.Nodes[i%len(c.Nodes)], ways[i%len(ways)]
		lapses := strings.Count(n.Logs(), "msg=lapsed")
		quiet(t, c, way.what, func() {
			was := stands(t, c, keys+"members/"+n.Name)
			way.end(was)
			anew(t, c, n, was)
		})
		if strings.Count(n.Logs(), "msg=lapsed") == lapses {
			t.Errorf("%s: %s does not say that it lost its registration:\n%s", way.what, n.Name, n.Logs())
		}
	}
}

// TestEverythingDeletedByHand: the keys of the whole group go at once.
func TestEverythingDeletedByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		quiet(t, c, "all keys deleted by hand", func() {
			up := c.Judge.Holders()
			var were []lab.Entry
			for _, n := range c.Nodes {
				were = append(were, stands(t, c, keys+"members/"+n.Name))
			}
			del(t, c, keys, clientv3.WithPrefix())
			for i, n := range c.Nodes {
				anew(t, c, n, were[i])
			}
			healed(t, c, up)
		})
	}
}

// healed waits until every claim is as a node wrote it and names the one that had the VIP up before.
func healed(t *testing.T, c *cluster.Cluster, up map[netip.Addr][]string) {
	t.Helper()
	began := time.Now()
	await(t, "the claims are put right", patience, func() bool {
		now, wrong := claims(t, c), ""
		for _, v := range c.VIPs {
			if k, ok := now[v.String()]; !ok || len(up[v]) != 1 || k.Node != up[v][0] || k.Writes != k.Version {
				wrong = fmt.Sprintf("%v was up on %v, its claim says %+v", v, up[v], k)
			}
		}
		return wrong == ""
	})
	t.Logf("the claims were right again after %v", time.Since(began).Round(time.Millisecond))
}

// TestStateByHand: what a node says of itself is written again, and meanwhile nobody takes it for unfit.
func TestStateByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(1, 20) {
		key := keys + "states/" + c.Nodes[i%len(c.Nodes)].Name
		quiet(t, c, key+" deleted by hand", func() { rewritten(t, c, key, func() { del(t, c, key) }) })
		quiet(t, c, key+" overwritten by hand", func() { rewritten(t, c, key, func() { put(t, c, key, "garbage") }) })
	}
}

// rewritten breaks a key and waits until it holds what it held before, but for the time.
func rewritten(t *testing.T, c *cluster.Cluster, key string, broken func()) {
	t.Helper()
	meaning := func(value string) string {
		var all map[string]any
		if json.Unmarshal([]byte(value), &all) != nil {
			return "not JSON"
		}
		delete(all, "since")
		return fmt.Sprint(all)
	}
	was := stands(t, c, key)
	broken()
	await(t, key+" is written again", patience, func() bool {
		now := c.Etcd.Get(key)
		return len(now) == 1 && now[0].ModRevision > was.ModRevision+1 && meaning(now[0].Value) == meaning(was.Value)
	})
}

// TestConfigurationByHand: the record of a configuration that is in use is written again.
func TestConfigurationByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		key := c.Etcd.Get(keys + "configs/")[0].Key
		quiet(t, c, key+" deleted by hand", func() { rewritten(t, c, key, func() { del(t, c, key) }) })
		quiet(t, c, key+" overwritten by hand", func() {
			was := stands(t, c, key)
			put(t, c, key, "garbage")
			put(t, c, key, was.Value) // it is written once, so nobody but the operator can put it right
		})
	}
}

// TestKeysThatNobodyKnows are left alone, and do no harm.
func TestKeysThatNobodyKnows(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		strange := []string{"members/", "members/no/node", "claims/no/vip", "claims/nobody-has-this", "claims/", "states/nobody", "configs/nobody", "else"}
		quiet(t, c, "keys that nobody knows", func() {
			for _, key := range strange {
				put(t, c, keys+key, `{"v":1}`)
			}
		})
		s, err := c.Status(c.Nodes[1])
		if err != nil || !s.Etcd.Reachable || len(s.VIPs) != len(c.VIPs) {
			t.Errorf("status among keys that nobody knows: %+v, %v", s, err)
		}
		for _, key := range strange {
			del(t, c, keys+key)
		}
	}
}
