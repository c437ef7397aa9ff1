package leases

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watching runs a watch until the test ends, and returns its batches and its error.
func watching(t testing.TB, s *Store, from int64) (<-chan Batch, <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	batches, ended := make(chan Batch, 10000), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- s.Watch(ctx, from, func(b Batch) { batches <- b })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return batches, ended
}

// next returns the next batch with keys.
func next(t testing.TB, batches <-chan Batch) Batch {
	t.Helper()
	for deadline := time.After(5 * time.Second); ; {
		select {
		case b := <-batches:
			if len(b.Changed)+len(b.Deleted) > 0 {
				return b
			}
		case <-deadline:
			t.Fatal("no batch")
		}
	}
}

func TestWatch(t *testing.T) {
	s := open(t, one(t).urls()...)
	cli := raw(t, one(t).urls()...)
	put(t, s, "claims/before", "x")
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	batches, _ := watching(t, s, snap.Revision+1)

	created := put(t, s, "claims/v", "1")
	if b := next(t, batches); b.Revision != created || len(b.Changed) != 1 || b.Changed[0].Key != "claims/v" || b.Changed[0].Mod != created ||
		string(b.Changed[0].Value) != "1" || b.Cluster != snap.Cluster {
		t.Errorf("created: %+v", b)
	}
	// One transaction is one batch.
	r, err := cli.Txn(seconds(t)).Then(clientv3.OpPut(s.key("claims/v"), "2"), clientv3.OpDelete(s.key("claims/before")), clientv3.OpPut(s.key("z"), "3")).Commit()
	if err != nil {
		t.Fatal(err)
	}
	if b := next(t, batches); b.Revision != r.Header.Revision || len(b.Changed) != 2 || len(b.Deleted) != 1 ||
		b.Deleted[0] != (Deleted{Key: "claims/before", Mod: r.Header.Revision}) || b.Changed[0].Create != created {
		t.Errorf("transaction: %+v", b)
	}
	if _, err := cli.Put(seconds(t), s.cfg.Prefix+"x/claims/v", "another group"); err != nil {
		t.Fatal(err)
	}
	_, lease := join(t, s, "a")
	if b := next(t, batches); len(b.Changed) != 2 || b.Changed[0].Key != "members/a" || b.Changed[0].Lease != lease {
		t.Errorf("joined: %+v", b)
	}
	if err := s.Revoke(seconds(t), lease); err != nil {
		t.Fatal(err)
	}
	if b := next(t, batches); len(b.Deleted) != 2 || b.Deleted[0].Key != "members/a" || b.Deleted[1].Key != "states/a" || b.Deleted[0].Mod != b.Revision {
		t.Errorf("lease gone: %+v", b)
	}
}

// Nothing is written for longer than three probes take. The watch stays, and says how fresh it is: also right after a read, when the
// revision it waits for is yet to come.
func TestWatchIdle(t *testing.T) {
	t.Parallel()
	c, err := startCluster(1) // of its own, so that really nothing happens
	if err != nil {
		t.Fatal(err)
	}
	defer c.members[0].kill()
	s := open(t, c.urls()...)
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	batches, ended := watching(t, s, snap.Revision+1)
	fresh := 0
	for deadline := time.After((probes+2)*probeEvery + probeEvery/2); ; {
		select {
		case b := <-batches:
			if b.Revision != snap.Revision || len(b.Changed)+len(b.Deleted) != 0 {
				t.Errorf("batch %+v at revision %d", b, snap.Revision)
			}
			fresh++
			continue
		case err := <-ended:
			t.Fatalf("after %d answers: %v", fresh, err)
		case <-deadline:
		}
		break
	}
	if fresh < probes+1 {
		t.Errorf("%d answers to %d probes", fresh, probes+2)
	}
	rev := put(t, s, "x", "1")
	if b := next(t, batches); b.Revision != rev {
		t.Errorf("after the idle time: %+v", b)
	}
}

// From an old revision on everything is delivered, in order, whole revisions at a time, and no batch claims to be further than it is.
func TestWatchCatchesUp(t *testing.T) {
	s := open(t, one(t).urls()...)
	cli := raw(t, one(t).urls()...)
	var first, last int64
	const n = 2500 // etcd sends at most 1000 revisions at once
	for i := range n {
		v := fmt.Sprint(i)
		r, err := cli.Txn(seconds(t)).Then(clientv3.OpPut(s.key(fmt.Sprintf("a/%d", i%7)), v), clientv3.OpPut(s.key(fmt.Sprintf("b/%d", i%7)), v)).Commit()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = r.Header.Revision
		}
		last = r.Header.Revision
	}
	batches, _ := watching(t, s, first)
	view := map[string]Entry{}
	sizes := 0
	for rev := first - 1; rev < last; sizes++ {
		b := next(t, batches)
		if b.Revision <= rev {
			t.Fatalf("batch of revision %d after %d", b.Revision, rev)
		}
		rev = b.Revision
		seen := map[string]bool{}
		for _, e := range b.Changed {
			if seen[e.Key] || e.Mod > b.Revision {
				t.Fatalf("batch of revision %d has %s twice or too new", b.Revision, e.Key)
			}
			seen[e.Key], view[e.Key] = true, e
		}
		for i := range 7 {
			a, b := view[fmt.Sprintf("a/%d", i)], view[fmt.Sprintf("b/%d", i)]
			if a.Mod != b.Mod || string(a.Value) != string(b.Value) {
				t.Fatalf("a revision was split: %+v, %+v", a, b)
			}
		}
	}
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	for _, e := range snap.Entries {
		if v := view[e.Key]; v.Mod != e.Mod || v.Create != e.Create || string(v.Value) != string(e.Value) {
			t.Errorf("%s: the watch says %+v, etcd %+v", e.Key, v, e)
		}
	}
	if sizes < 2 {
		t.Errorf("%d batches: the catch-up was not split", sizes)
	}
}

func TestWatchCompacted(t *testing.T) {
	s := open(t, one(t).urls()...)
	from := put(t, s, "x", "1")
	put(t, s, "x", "2")
	rev := put(t, s, "x", "3")
	if _, err := raw(t, one(t).urls()...).Compact(seconds(t), rev); err != nil {
		t.Fatal(err)
	}
	_, ended := watching(t, s, from)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrCompacted) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("still watching")
	}
	// A read at the very revision of a compaction can be watched on from.
	put(t, s, "x", "4")
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	if _, err := raw(t, one(t).urls()...).Compact(seconds(t), snap.Revision); err != nil {
		t.Fatal(err)
	}
	batches, ended := watching(t, s, snap.Revision+1)
	put(t, s, "x", "5")
	next(t, batches)
	select {
	case err := <-ended:
		t.Error(err)
	default:
	}
}

// A server that takes the probes and does not answer, and one that is gone.
func TestWatchBroken(t *testing.T) {
	for name, breakIt := range map[string]func(*proxy){"silent": func(p *proxy) { p.mute(true) }, "gone": func(p *proxy) { p.close() }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, one(t).members[0].url)
			s := open(t, p.url, one(t).members[0].url)
			put(t, s, "x", "1")
			snap := must[Snapshot](t)(s.Read(seconds(t)))
			batches, ended := watching(t, s, snap.Revision+1)
			last := put(t, s, "x", "2")
			next(t, batches)
			breakIt(p)
			begin := time.Now()
			select {
			case err := <-ended:
				if err == nil || (name == "silent") != errors.Is(err, ErrSilent) {
					t.Errorf("ended with %v", err)
				}
			case <-time.After((probes + 2) * probeEvery):
				t.Fatal("not noticed")
			}
			t.Logf("noticed after %v", time.Since(begin))
			if s.ranked()[0].url == p.url {
				t.Error("the broken server is still asked first")
			}
			// The next watch misses nothing.
			batches, _ = watching(t, s, last+1) // others write to this etcd as well
			rev := put(t, s, "x", "3")
			if b := next(t, batches); b.Revision != rev {
				t.Errorf("batch %+v, want revision %d", b, rev)
			}
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s := open(t, one(t).urls()...)
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan struct{}, 100)
	rev := put(t, s, "x", "1")
	time.AfterFunc(5*time.Second, cancel)
	go func() { <-started; cancel() }()
	if err := s.Watch(ctx, rev, func(Batch) { started <- struct{}{} }); err != nil {
		t.Errorf("ended with %v", err)
	}
}
