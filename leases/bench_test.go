package leases

import (
	"context"
	"fmt"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// BenchmarkCheck measures a check on three servers, where nothing has changed, by the number of claims there are.
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{0, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("claims=%d", n), func(b *testing.B) {
			leader, followers := many(b)
			s := openWith(b, Config{Endpoints: []string{leader.url, followers[0].url}})
			join(b, s, "a")
			fill(b, s, n)
			snap := must[Snapshot](b)(s.Read(seconds(b)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Check(context.Background(), "a", snap.Revision); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill makes n claims of the usual length.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	leader, _ := many(b)
	cli := raw(b, leader.url)
	value := fmt.Sprintf("%0300d", 0)
	for i := 0; i < n; i += 100 {
		var ops []clientv3.Op
		for j := i; j < min(i+100, n); j++ {
			ops = append(ops, clientv3.OpPut(s.key(fmt.Sprintf("claims/%05d", j)), value))
		}
		if _, err := cli.Txn(seconds(b)).Then(ops...).Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit measures a transaction on three servers that take every claim in it from an absent owner.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, MaxWrites} {
		b.Run(fmt.Sprintf("writes=%d", n), func(b *testing.B) {
			leader, followers := many(b)
			s := openWith(b, Config{Endpoints: []string{leader.url, followers[0].url}})
			me, _ := join(b, s, "a")
			c := Commit{Node: me.Node, MemberRev: me.MemberRev, Writes: make([]Write, n)}
			for i := range c.Writes {
				c.Writes[i] = Write{Key: fmt.Sprintf("claims/%05d", i), Value: []byte(fmt.Sprintf("%0300d", i)), OwnerGone: &MemberRef{"b", 1}}
			}
			b.ReportAllocs()
			for b.Loop() {
				done, err := s.Commit(context.Background(), c)
				if err != nil {
					b.Fatal(err)
				}
				for i, r := range done.Results {
					if !r.Won {
						b.Fatalf("write %d lost", i)
					}
					c.Writes[i].IfMod = r.Mod
				}
			}
		})
	}
}

// BenchmarkRenew measures a renewal over the stream that is kept.
func BenchmarkRenew(b *testing.B) {
	leader, followers := many(b)
	s := openWith(b, Config{Endpoints: []string{leader.url, followers[0].url}})
	_, lease := join(b, s, "a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Renew(context.Background(), lease); err != nil {
			b.Fatal(err)
		}
	}
}
