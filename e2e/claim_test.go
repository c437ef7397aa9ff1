package e2e

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"viplease/e2e/cluster"
)

// What happens when somebody else writes the claims.

// claim is a claim as it stands, as far as these tests read it. A value that is not one has no node.
type claim struct {
	*mvccpb.KeyValue `json:"-"`

	Node      string `json:"node"`
	MemberRev int64  `json:"member_rev"`
	Writes    int64  `json:"writes"` // the protocol's own writes have etcd's version of the key here
}

// claims are those that stand, by VIP.
func claims(t *testing.T, c *cluster.Cluster) map[string]claim {
	t.Helper()
	out := map[string]claim{}
	byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
		answer, err := e.Get(ctx, keys+"claims/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		for _, kv := range answer.Kvs {
			k := claim{KeyValue: kv}
			if json.Unmarshal(kv.Value, &k) != nil {
				k = claim{KeyValue: kv}
			}
			out[strings.TrimPrefix(string(kv.Key), keys+"claims/")] = k
		}
		return nil
	})
	return out
}

// TestClaimDeletedByHand: a missing claim is no release. Its holder writes it again and does not let go meanwhile.
func TestClaimDeletedByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(2, 20) {
		vip := c.VIPs[i%len(c.VIPs)]
		n := holder(t, c, vip)
		said := strings.Count(n.Logs(), "claim lost")
		quiet(t, c, "a claim deleted by hand", func() {
			up, was := c.Judge.Holders(), stands(t, c, keys+"claims/"+vip.String())
			del(t, c, was.Key)
			healed(t, c, up)
			if now := stands(t, c, was.Key); now.CreateRevision == was.CreateRevision {
				t.Errorf("%s was not gone", was.Key)
			}
		})
		if strings.Count(n.Logs(), "claim lost") == said {
			t.Errorf("%s does not say that the claim of %s was lost:\n%s", n.Name, vip, n.Logs())
		}
	}
}

// TestClaimDeletedWhileItsHolderIsAway: nobody is there to write it again, so the others wait W from seeing it missing.
func TestClaimDeletedWhileItsHolderIsAway(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		n, began := c.Nodes[2], time.Now()
		n.Mgmt.Cut()
		for vip, k := range claims(t, c) {
			if k.Node == n.Name {
				del(t, c, keys+"claims/"+vip)
			}
		}
		c.Within(cluster.Hold+200*time.Millisecond, "addresses of "+n.Name+" gone", c.None(n))
		c.Within(cluster.Wait+2*time.Second, "takeover", c.Even(others(c, n)...))
		t.Logf("claims of a node that was away deleted: taken over after %v", time.Since(began).Round(10*time.Millisecond))
		n.Mgmt.Heal()
		returned(t, c, patience)
		c.Answering(2 * time.Second)
	}
}

// TestClaimOverwrittenByHand: a value that the protocol did not write says nothing, whatever it looks like.
func TestClaimOverwrittenByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	values := []struct {
		what string
		of   func(was claim) string
	}{
		{"garbage", func(claim) string { return "garbage\x00\xff" }},
		{"its own value, released", func(was claim) string { return edited(was, "node", "") }},
		{"its own value again", func(was claim) string { return string(was.Value) }},
		{"nothing", func(claim) string { return "" }},
		{"its own value with another node", func(was claim) string {
			for _, n := range c.Nodes {
				if n.Name != was.Node {
					return edited(was, "node", n.Name)
				}
			}
			return ""
		}},
		{"a megabyte", func(claim) string { return `{"v":1,"node":"` + strings.Repeat("x", 1<<20) + `"}` }},
	}
	for i := range rounds(len(values), 3*len(values)) {
		vip, value := c.VIPs[i%len(c.VIPs)], values[i%len(values)]
		quiet(t, c, "a claim overwritten by hand with "+value.what, func() {
			up, was := c.Judge.Holders(), claims(t, c)[vip.String()]
			put(t, c, string(was.Key), value.of(was))
			healed(t, c, up)
			if now := claims(t, c)[vip.String()]; now.Version < was.Version+2 {
				t.Errorf("the claim of %s had been written %d times, was overwritten, and is now at %d", vip, was.Version, now.Version)
			}
		})
	}
}

// TestClaimOfNewerFormat: a value that only a newer version understands is left alone, so its VIP is down until somebody who does puts it right.
func TestClaimOfNewerFormat(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for i := range rounds(1, 20) {
		vip := c.VIPs[i%len(c.VIPs)]
		n, was := holder(t, c, vip), claims(t, c)[vip.String()]
		key, newer := string(was.Key), edited(was, "v", 99)
		put(t, c, key, newer)
		c.Within(cluster.Hold+500*time.Millisecond, "withdrawal", func(up map[netip.Addr][]string) bool { return len(up[vip]) == 0 })
		observe(2 * cluster.Wait)
		if now := stands(t, c, key).Value; now != newer {
			t.Errorf("the claim of a newer format became %s", now)
		}
		if !strings.Contains(n.Logs(), "newer viplease") {
			t.Errorf("the log of %s does not say so:\n%s", n.Name, n.Logs())
		}
		if s, err := c.Status(n); err != nil || !slices.ContainsFunc(s.VIPs, func(v struct{ Name, Node, State, Why string }) bool {
			return v.Name == vip.String() && strings.Contains(v.Why, "newer viplease")
		}) {
			t.Errorf("status does not say why %v is down: %+v, %v", vip, s.VIPs, err)
		}
		del(t, c, key)
		c.Within(cluster.Wait+2*time.Second, "the claim is gone", c.AllHeld)
		c.Within(patience, "rest", c.Even(c.Nodes...))
		c.Answering(2 * time.Second)
	}
}

// edited is the claim's value with one field changed.
func edited(c claim, field string, to any) string {
	all := map[string]any{}
	if err := json.Unmarshal(c.Value, &all); err != nil {
		panic(err) // the nodes wrote it
	}
	all[field] = to
	out, err := json.Marshal(all)
	if err != nil {
		panic(err) // it was JSON a moment ago
	}
	return string(out)
}

// TestClaimCopiedByHand: the value of another VIP's claim, which the protocol did write, and which happens to carry the number of writes that this key
// comes to. It must not hand the VIP to the node that it names.
func TestClaimCopiedByHand(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{})
	c.Settled()
	for range rounds(1, 20) {
		to, from := fitting(t, c)
		t.Logf("the claim of %s (%s, %d writes) is copied to %s (%s, %d writes)", from.Key, from.Node, from.Writes, to.Key, to.Node, to.Writes)
		key := string(to.Key)
		put(t, c, key, string(from.Value))
		await(t, "the claim is written again", patience, func() bool { return stands(t, c, key).Value != string(from.Value) })
		c.Within(cluster.Wait+patience, "rest", c.Even(c.Nodes...))
		c.Answering(2 * time.Second)
		if err := c.Judge.Verdict(); err != nil {
			t.Fatal(err)
		}
	}
}

// fitting finds two claims of different nodes such that the value of the second, put to the key of the first, carries the right number of writes. Where
// there are none it makes some: revoking a lease makes a node write its claims once more.
func fitting(t *testing.T, c *cluster.Cluster) (to, from claim) {
	t.Helper()
	for range 20 {
		now := claims(t, c)
		for _, to := range now {
			for _, from := range now {
				if to.Node != from.Node && from.Writes == to.Writes+1 {
					return to, from
				}
			}
		}
		member := stands(t, c, keys+"members/"+c.Nodes[0].Name)
		byHand(t, c, func(ctx context.Context, e *clientv3.Client) error {
			_, err := e.Revoke(ctx, clientv3.LeaseID(member.Lease))
			return err
		})
		anew(t, c, c.Nodes[0], member)
	}
	t.Fatalf("no two claims fit: %v", claims(t, c))
	return to, from
}
