package main

import (
	"context"
	"time"

	"viplease/arpnotify"
	"viplease/config"
	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/metrics"
)

// Ports that are timed. They add nothing else.

// newMetrics connects what is measured with what is shown.
func newMetrics(cfg config.Config, announcer *arpnotify.Announcer, snapshot func() coordinator.Snapshot) *metrics.Metrics {
	mc := metrics.Config{Version: releaseNumber(), Group: cfg.Group, Hold: cfg.Lease.Hold, Wait: cfg.Lease.Wait(), Snapshot: snapshot}
	for _, v := range cfg.VIPs {
		mc.VIPs = append(mc.VIPs, v.Name)
	}
	mc.Frames = func() metrics.Frames {
		n := announcer.Counters()
		return metrics.Frames{IPv4: n.SentIPv4, IPv6: n.SentIPv6, Directed: n.Directed, Withheld: n.Withheld, Errors: n.Errors}
	}
	return metrics.New(mc)
}

// timedEtcd is etcdPort, timed.
type timedEtcd struct {
	etcdPort
	metrics *metrics.Metrics
}

// timed runs one request.
func timed[T any](p timedEtcd, kind string, request func() (T, error)) (T, error) {
	began := sinceBoot()
	v, err := request()
	p.metrics.Requested(kind, sinceBoot()-began, err)
	return v, err
}

// bare is timed for a request that is answered with nothing.
func bare(p timedEtcd, kind string, request func() error) error {
	_, err := timed(p, kind, func() (struct{}, error) { return struct{}{}, request() })
	return err
}

func (p timedEtcd) Grant(ctx context.Context, ttl time.Duration) (lease int64, granted time.Duration, err error) {
	err = bare(p, "grant", func() error {
		lease, granted, err = p.etcdPort.Grant(ctx, ttl)
		return err
	})
	return lease, granted, err
}

func (p timedEtcd) Register(ctx context.Context, node string, lease int64, member, state []byte) (rev, revision int64, err error) {
	err = bare(p, "register", func() error {
		rev, revision, err = p.etcdPort.Register(ctx, node, lease, member, state)
		return err
	})
	return rev, revision, err
}

func (p timedEtcd) Renew(ctx context.Context, lease int64) (time.Duration, error) {
	return timed(p, "renew", func() (time.Duration, error) { return p.etcdPort.Renew(ctx, lease) })
}

func (p timedEtcd) Revoke(ctx context.Context, lease int64) error {
	return bare(p, "revoke", func() error { return p.etcdPort.Revoke(ctx, lease) })
}

func (p timedEtcd) Check(ctx context.Context, node string, since int64) (plan.CheckAnswered, error) {
	return timed(p, "check", func() (plan.CheckAnswered, error) { return p.etcdPort.Check(ctx, node, since) })
}

func (p timedEtcd) Commit(ctx context.Context, node string, c plan.Commit) (plan.ClaimsCommitted, error) {
	return timed(p, "commit", func() (plan.ClaimsCommitted, error) { return p.etcdPort.Commit(ctx, node, c) })
}

func (p timedEtcd) PutState(ctx context.Context, node string, r plan.Registration, value []byte) error {
	return bare(p, "put", func() error { return p.etcdPort.PutState(ctx, node, r, value) })
}

func (p timedEtcd) PutOnce(ctx context.Context, key string, value []byte) error {
	return bare(p, "put", func() error { return p.etcdPort.PutOnce(ctx, key, value) })
}

func (p timedEtcd) Read(ctx context.Context) (plan.SnapshotRead, error) {
	return timed(p, "read", func() (plan.SnapshotRead, error) { return p.etcdPort.Read(ctx) })
}

func (p timedEtcd) Edit(ctx context.Context, key string, change func([]byte) ([]byte, error)) (int64, error) {
	return timed(p, "edit", func() (int64, error) { return p.etcdPort.Edit(ctx, key, change) })
}

// timedKernel is kernelPort, timed.
type timedKernel struct {
	*kernelPort
	metrics *metrics.Metrics
}

func (p timedKernel) Raise(items []plan.Item, lifetime, until time.Duration) []error {
	began := sinceBoot()
	errs := p.kernelPort.Raise(items, lifetime, until)
	p.metrics.Operated(metrics.OpRaise, sinceBoot()-began)
	return errs
}

func (p timedKernel) Delete(list []plan.Address) []error {
	began := sinceBoot()
	errs := p.kernelPort.Delete(list)
	p.metrics.Operated(metrics.OpDelete, sinceBoot()-began)
	return errs
}
