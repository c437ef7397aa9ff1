package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// What somebody does to the keys in etcd, with etcdctl. The nodes put it right by themselves.

// Keys is what all keys of the cluster begin with.
const Keys = "/viplease/www/"

// get returns the keys of the cluster that begin so, by a linearizable read.
func (w *World) get(ctx context.Context, f Fault, prefix string) (all []*mvccpb.KeyValue, err error) {
	err = w.ask(ctx, f, func(ctx context.Context, e *clientv3.Client) error {
		answer, err := e.Get(ctx, Keys+prefix, clientv3.WithPrefix())
		if err == nil {
			all = answer.Kvs
		}
		return err
	})
	return all, err
}

// Dump is all that the cluster keeps in etcd, as text.
func (w *World) Dump(ctx context.Context) (string, error) {
	all, err := w.get(ctx, Fault{}, "")
	var b strings.Builder
	for _, kv := range all {
		fmt.Fprintf(&b, "%s (created %d, changed %d, version %d) %.300q\n", kv.Key, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Value)
	}
	return b.String(), err
}

func leaseRevoked(ctx context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node]
	return broken{target: n.Name}, w.ask(ctx, f, func(ctx context.Context, e *clientv3.Client) error {
		member, err := e.Get(ctx, Keys+"members/"+n.Name)
		if err != nil {
			return err
		}
		if len(member.Kvs) == 0 {
			return noEffect("it is not registered")
		}
		_, err = e.Revoke(ctx, clientv3.LeaseID(member.Kvs[0].Lease))
		return err
	})
}

func memberDeleted(ctx context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node].Name
	return broken{target: n}, w.del(ctx, f, "members/"+n)
}

func stateDeleted(ctx context.Context, w *World, f Fault) (broken, error) {
	n := w.Nodes[f.Node].Name
	return broken{target: n}, w.del(ctx, f, "states/"+n)
}

func claimDeleted(ctx context.Context, w *World, f Fault) (broken, error) {
	i, f := f.pick(len(w.VIPs))
	return broken{target: w.VIPs[i].String()}, w.del(ctx, f, "claims/"+w.VIPs[i].String())
}

func (w *World) del(ctx context.Context, f Fault, key string) error {
	return w.ask(ctx, f, func(ctx context.Context, e *clientv3.Client) error {
		answer, err := e.Delete(ctx, Keys+key)
		if err == nil && answer.Deleted == 0 {
			return noEffect("there is no such key")
		}
		return err
	})
}

// claimOverwritten puts a value there that looks more or less like one of the nodes' own. It is never of a newer format: that is left alone, for those who
// understand it.
func claimOverwritten(ctx context.Context, w *World, f Fault) (broken, error) {
	i, f := f.pick(len(w.VIPs))
	vip := w.VIPs[i].String()
	other, f := f.pick(len(w.Nodes))
	garbage := []struct {
		what string
		of   func(was string) string
	}{
		{"garbage", func(string) string { return "garbage\x00\xff" }},
		{"nothing", func(string) string { return "" }},
		{"its own value", func(was string) string { return was }},
		{"its own value, released", func(was string) string { return edited(was, "node", "") }},
		{"its own value with another node", func(was string) string { return edited(was, "node", w.Nodes[other].Name) }},
		{"half of its value", func(was string) string { return was[:len(was)/2] }},
	}
	i, f = f.pick(len(garbage))
	b := broken{target: vip + " with " + garbage[i].what}
	was, err := w.get(ctx, f, "claims/"+vip)
	if err != nil {
		return b, err
	}
	value := ""
	for _, kv := range was {
		if string(kv.Key) == Keys+"claims/"+vip {
			value = string(kv.Value)
		}
	}
	return b, w.ask(ctx, f, func(ctx context.Context, e *clientv3.Client) error {
		_, err := e.Put(ctx, Keys+"claims/"+vip, garbage[i].of(value))
		return err
	})
}

// edited is the claim's value with one field changed; what is no claim stays.
func edited(value, field, to string) string {
	all := map[string]any{}
	if json.Unmarshal([]byte(value), &all) != nil {
		return value
	}
	all[field] = to
	out, err := json.Marshal(all)
	if err != nil {
		return value
	}
	return string(out)
}
