package leases

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"strconv"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Snapshots of several pages show one revision, whatever is written meanwhile.
func TestReadOneRevision(t *testing.T) {
	s := open(t, one(t).urls()...)
	cli := raw(t, one(t).urls()...)
	const n = 2*page + 7
	for i := 0; i < n; i += 100 {
		var ops []clientv3.Op
		for j := i; j < min(i+100, n); j++ {
			ops = append(ops, clientv3.OpPut(s.key(fmt.Sprintf("claims/%04d", j)), "0"))
		}
		if _, err := cli.Txn(seconds(t)).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	first, last := "claims/0000", fmt.Sprintf("claims/%04d", n-1)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		writes := 0
		for ctx.Err() == nil {
			v := strconv.Itoa(writes + 1)
			if _, err := cli.Txn(ctx).Then(clientv3.OpPut(s.key(first), v), clientv3.OpPut(s.key(last), v)).Commit(); err == nil {
				writes++
			}
		}
		done <- writes
	}()
	values := map[string]bool{}
	for range 20 {
		snap := must[Snapshot](t)(s.Read(seconds(t)))
		if len(snap.Entries) != n {
			t.Fatalf("%d keys, want %d", len(snap.Entries), n)
		}
		if !sort.SliceIsSorted(snap.Entries, func(i, j int) bool { return snap.Entries[i].Key < snap.Entries[j].Key }) {
			t.Error("not sorted")
		}
		a, z := snap.Entries[0], snap.Entries[n-1]
		if !bytes.Equal(a.Value, z.Value) || a.Mod != z.Mod || a.Mod > snap.Revision {
			t.Errorf("at revision %d: %s of %d and %s of %d", snap.Revision, a.Value, a.Mod, z.Value, z.Mod)
		}
		values[string(a.Value)] = true
	}
	stop()
	if writes := <-done; writes < 20 || len(values) < 10 {
		t.Errorf("only %d writes and %d values seen: the writer did not interfere", writes, len(values))
	}
}

// What others wrote below the prefix is handed out or counted, but cannot hurt.
func TestReadForeign(t *testing.T) {
	s := open(t, one(t).urls()...)
	cli := raw(t, one(t).urls()...)
	for key, value := range map[string]string{
		s.key("claims/"): "nameless", s.key("claims/\x00\xff"): "binary", s.key("claims/long"): string(make([]byte, MaxValue+1)),
		s.cfg.Prefix: "not below", s.cfg.Prefix + "x/claims/y": "another group",
	} {
		if _, err := cli.Put(seconds(t), key, value); err != nil {
			t.Fatal(err)
		}
	}
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	var keys []string
	for _, e := range snap.Entries {
		keys = append(keys, e.Key)
		if e.Key == "claims/long" && e.Value != nil {
			t.Errorf("a value of %d bytes was handed out", len(e.Value))
		}
	}
	if got, want := fmt.Sprintf("%q", keys), `["claims/" "claims/\x00\xff" "claims/long"]`; got != want {
		t.Errorf("keys %s, want %s", got, want)
	}
	if a := must[Answer](t)(s.Check(seconds(t), "a", 0)); a.Count != int64(len(snap.Entries)) || len(a.Changed) != len(keys) {
		t.Errorf("the check counts %d claims and %d changed, the snapshot has %d", a.Count, len(a.Changed), len(keys))
	}
}

func TestGet(t *testing.T) {
	s := open(t, one(t).urls()...)
	put(t, s, "a", "1")
	rev := put(t, s, "b", "2")
	snap := must[Snapshot](t)(s.Get(seconds(t), "b", "absent", "a"))
	if snap.Revision < rev || len(snap.Entries) != 2 || snap.Entries[0].Key != "b" || snap.Entries[1].Key != "a" {
		t.Errorf("got %+v", snap)
	}
	if _, err := s.Get(seconds(t)); err == nil {
		t.Error("got nothing without an error")
	}
}
