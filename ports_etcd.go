package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/leases"
)

// etcdPort is package leases as the coordinator sees it.
type etcdPort struct{ store *leases.Store }

// translate puts the coordinator's word for an error before the driver's.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, leases.ErrLeaseGone), errors.Is(err, leases.ErrNotMember):
		return fmt.Errorf("%w: %w", coordinator.ErrGone, err)
	case errors.Is(err, leases.ErrNotApplied):
		return fmt.Errorf("%w: %w", coordinator.ErrNotApplied, err)
	}
	return err
}

// marked is an error that stands for one of the coordinator's, in its own words.
type marked struct {
	error
	mark error
}

func (m marked) Unwrap() []error { return []error{m.error, m.mark} }

func entries(list []leases.Entry) []plan.Entry {
	out := make([]plan.Entry, len(list))
	for i, e := range list {
		out[i] = entry(e)
	}
	return out
}

func entry(e leases.Entry) plan.Entry {
	return plan.Entry{Key: e.Key, Value: e.Value, Create: e.Create, Mod: e.Mod, Version: e.Version}
}

func (p etcdPort) Grant(ctx context.Context, ttl time.Duration) (int64, time.Duration, error) {
	return p.store.Grant(ctx, ttl)
}

func (p etcdPort) Register(ctx context.Context, node string, lease int64, member, state []byte) (int64, int64, error) {
	r, err := p.store.Register(ctx, leases.Registration{Node: node, Lease: lease, Member: member, State: state})
	var taken *leases.TakenError
	if errors.As(err, &taken) {
		err = &coordinator.TakenError{Value: taken.Entry.Value}
	}
	return r.MemberRev, r.Revision, translate(err)
}

func (p etcdPort) Renew(ctx context.Context, lease int64) (time.Duration, error) {
	ttl, err := p.store.Renew(ctx, lease)
	return ttl, translate(err)
}

func (p etcdPort) Revoke(ctx context.Context, lease int64) error {
	return p.store.Revoke(ctx, lease)
}

func (p etcdPort) Check(ctx context.Context, node string, since int64) (plan.CheckAnswered, error) {
	a, err := p.store.Check(ctx, node, since)
	return plan.CheckAnswered{
		T0: a.T0, Cluster: a.Cluster, Revision: a.Revision, MemberRev: a.MemberRev, Member: a.Member, Changed: entries(a.Changed), Count: a.Count,
		Challenge: maybe(a.Challenge), Eviction: maybe(a.Eviction),
	}, err
}

func maybe(e *leases.Entry) *plan.Entry {
	if e == nil {
		return nil
	}
	out := entry(*e)
	return &out
}

func (p etcdPort) Contest(ctx context.Context, node string, c plan.Contest) (applied bool, err error) {
	txn := leases.Commit{Node: node, MemberRev: c.MemberRev, Deletes: c.Deletes}
	for _, g := range c.Guards {
		guard := leases.Guard{Key: g.Key, On: leases.Modified, Rev: g.Rev, Not: g.Not}
		if g.Created {
			guard.On = leases.Created
		}
		txn.Guards = append(txn.Guards, guard)
	}
	for _, put := range c.Puts {
		txn.Puts = append(txn.Puts, leases.Put(put))
	}
	done, err := p.store.Commit(ctx, txn)
	return done.Applied, translate(err)
}

func (p etcdPort) Commit(ctx context.Context, node string, c plan.Commit) (plan.ClaimsCommitted, error) {
	txn := leases.Commit{Node: node, MemberRev: c.MemberRev}
	for _, w := range c.Writes {
		write := leases.Write{
			Key: "claims/" + w.VIP, Value: plan.Encode(w.Claim), IfMod: w.IfMod,
			OwnerGone: (*leases.MemberRef)(w.OwnerGone), TargetHere: (*leases.MemberRef)(w.TargetHere),
		}
		if w.Slot != nil {
			write.Beside = &leases.Beside{Key: "round", Value: plan.Encode(w.Slot.Round), IfMod: w.Slot.IfMod}
		}
		txn.Writes = append(txn.Writes, write)
	}
	for _, put := range c.Puts {
		txn.Puts = append(txn.Puts, leases.Put(put))
	}
	done, err := p.store.Commit(ctx, txn)
	f := plan.ClaimsCommitted{Revision: done.Revision, Member: done.Member}
	for _, r := range done.Results {
		result := plan.WriteResult{Won: r.Won}
		if r.Current != nil {
			current := entry(*r.Current)
			result.Current = &current
		}
		if r.Beside != nil {
			round := entry(*r.Beside)
			result.Round = &round
		}
		f.Results = append(f.Results, result)
	}
	return f, translate(err)
}

func (p etcdPort) PutState(ctx context.Context, node string, r plan.Registration, value []byte) error {
	return translate(p.store.PutState(ctx, node, r.MemberRev, r.Lease, value))
}

func (p etcdPort) PutOnce(ctx context.Context, key string, value []byte) error {
	err := p.store.PutOnce(ctx, key, value)
	var taken *leases.TakenError
	if errors.As(err, &taken) {
		err = &coordinator.TakenError{Value: taken.Entry.Value}
	}
	return err
}

func (p etcdPort) Read(ctx context.Context) (plan.SnapshotRead, error) {
	s, err := p.store.Read(ctx)
	return plan.SnapshotRead{Cluster: s.Cluster, Revision: s.Revision, Entries: entries(s.Entries)}, err
}

func (p etcdPort) Watch(ctx context.Context, from int64, deliver func(plan.BatchSeen)) error {
	return p.store.Watch(ctx, from, func(b leases.Batch) {
		f := plan.BatchSeen{Revision: b.Revision, Changed: entries(b.Changed)}
		for _, d := range b.Deleted {
			f.Deleted = append(f.Deleted, plan.Deleted(d))
		}
		deliver(f)
	})
}

func (p etcdPort) Edit(ctx context.Context, key string, change func([]byte) ([]byte, error)) (int64, error) {
	rev, err := p.store.Edit(ctx, key, change)
	if errors.Is(err, leases.ErrNotApplied) {
		err = marked{err, coordinator.ErrNotApplied}
	}
	return rev, err
}
