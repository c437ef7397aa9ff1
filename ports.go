package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"viplease/arpnotify"
	"viplease/config"
	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/health"
	"viplease/leases"
	"viplease/netif"
	"viplease/runstate"
	"viplease/sockets"
)

// The drivers and the coordinator do not know each other. These are the plugs between them: they translate and decide nothing.

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
	return p.store.PutOnce(ctx, key, value)
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

// kernelPort is package netif as the coordinator sees it, with the configuration's say on where VIPs go.
type kernelPort struct {
	kernel *netif.Kernel
	cfg    config.Config
	log    *slog.Logger
}

func configLinks(links []netif.Link) []config.Link {
	out := make([]config.Link, len(links))
	for i, l := range links {
		out[i] = config.Link{Name: l.Name, Altnames: l.Altnames, Prefixes: l.Prefixes, Loopback: l.Loopback}
	}
	return out
}

func (p *kernelPort) Places() (map[string]plan.Place, error) {
	links, err := p.kernel.Links()
	if err != nil {
		return nil, err
	}
	unusable := map[string]string{} // a link's name to why
	for _, l := range links {
		switch {
		case !l.Up:
			unusable[l.Name] = l.Name + " is down"
		case !l.Carrier:
			unusable[l.Name] = l.Name + " has no carrier"
		}
	}
	vips, problems := p.cfg.Resolve(configLinks(links))
	places := map[string]plan.Place{}
	for _, v := range vips {
		places[v.Name] = p.place(v, unusable)
	}
	for _, problem := range problems {
		places[problem.VIP] = plan.Place{Why: problem.Text}
	}
	return places, nil
}

func (p *kernelPort) place(v config.VIP, unusable map[string]string) plan.Place {
	var place plan.Place
	for _, a := range v.Addresses {
		place.Addresses = append(place.Addresses, plan.Address{Link: a.Dev, Prefix: a.Prefix})
		if why := unusable[a.Dev]; why != "" {
			place.Why = why
		}
	}
	return place
}

func netifAddresses(list []plan.Address) []netif.Address {
	out := make([]netif.Address, len(list))
	for i, a := range list {
		out[i] = netif.Address(a)
	}
	return out
}

func (p *kernelPort) Raise(items []plan.Item, lifetime, until time.Duration) []error {
	groups := make([][]netif.Address, len(items))
	for i, it := range items {
		groups[i] = netifAddresses(it.Addresses)
	}
	errs := p.kernel.Raise(groups, lifetime, until)
	for i, err := range errs {
		for _, word := range []struct{ theirs, ours error }{
			{netif.ErrLate, coordinator.ErrLate}, {netif.ErrLeft, coordinator.ErrLeft}, {netif.ErrForeign, coordinator.ErrForeign},
		} {
			if errors.Is(err, word.theirs) {
				errs[i] = fmt.Errorf("%w: %w", word.ours, errs[i])
			}
		}
	}
	return errs
}

func (p *kernelPort) Delete(list []plan.Address) []error {
	return p.kernel.Delete(netifAddresses(list))
}

func (p *kernelPort) Present() (map[plan.Address]bool, error) {
	list, err := p.kernel.Addresses()
	have := make(map[plan.Address]bool, len(list))
	for _, a := range list {
		have[plan.Address(a.Address)] = true
	}
	return have, err
}

// connectionPort is package sockets.
type connectionPort struct{}

// connections is nil, the interface, where connections are to be left alone or cannot be reset.
func connections(cfg config.Config, log *slog.Logger) coordinator.Connections {
	if !cfg.ResetConnections {
		return nil
	}
	if err := sockets.Supported(); err != nil {
		log.Warn("connections to a VIP that leaves this node cannot be reset; write reset_connections = false to do without", "err", err)
		return nil
	}
	return connectionPort{}
}

func (connectionPort) Reset(addresses []plan.Address, inTime func() bool) error {
	list := make([]netip.Addr, len(addresses))
	for i, a := range addresses {
		if list[i] = a.Prefix.Addr(); list[i].IsLinkLocalUnicast() && list[i].Is6() {
			list[i] = list[i].WithZone(a.Link)
		}
	}
	_, err := sockets.Destroy(list, inTime)
	return err
}

// healthPort is package health.
type healthPort struct{ runner *health.Runner }

// healthChecks is nil, the interface, where the configuration has none.
func healthChecks(cfg config.Config) coordinator.Health {
	if len(cfg.Checks) == 0 {
		return nil
	}
	var checks []health.Check
	for _, c := range cfg.Checks {
		checks = append(checks, health.Check{
			Name: c.Name, HTTP: c.HTTP, TCP: c.TCP, Command: c.Command, Interval: c.Interval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall,
		})
	}
	return healthPort{health.New(checks, slog.New(slog.DiscardHandler))} // what it says the coordinator logs
}

func (p healthPort) Run(ctx context.Context, deliver func(plan.HealthJudged)) error {
	return p.runner.Run(ctx, func(v health.Verdict) {
		deliver(plan.HealthJudged{Check: v.Name, Passes: v.Healthy, Why: v.Why})
	})
}

// eventPort is netif's events.
type eventPort struct{ kernel *netif.Kernel }

func (p eventPort) Watch(ctx context.Context, deliver func(coordinator.KernelEvent)) error {
	return p.kernel.Watch(ctx, func(e netif.Event) {
		switch e.Kind {
		case netif.AddressAdded, netif.AddressDeleted:
			deliver(coordinator.KernelEvent{Address: plan.Address(e.Address.Address), Present: e.Kind == netif.AddressAdded})
		case netif.LinkChanged, netif.LinkDeleted:
			deliver(coordinator.KernelEvent{Links: true})
		case netif.Resync:
			deliver(coordinator.KernelEvent{})
		}
	})
}

// lanPort is netif's view of what is around this host.
type lanPort struct{ kernel *netif.Kernel }

func (p lanPort) Lans() ([]plan.Lan, error) {
	lans, err := p.kernel.Lans()
	out := make([]plan.Lan, len(lans))
	for i, l := range lans {
		out[i] = plan.Lan{Link: l.Name, Altnames: l.Altnames, Hardware: [6]byte(l.Hardware), Prefixes: l.Prefixes}
		for _, n := range l.Neighbors {
			out[i].Seen = append(out[i].Seen, plan.Sighting{Neighbor: plan.Neighbor{Addr: n.Addr, Hardware: n.Hardware}, Quiet: n.Quiet})
		}
	}
	return out, err
}

// announcerPort is package arpnotify.
type announcerPort struct{ *arpnotify.Announcer }

func (p announcerPort) Announce(link string, addr netip.Addr, kept bool, allowed func() bool) error {
	if kept {
		return p.Keep(link, addr, allowed)
	}
	p.Announcer.Stop(link, addr)
	return p.Announcer.Announce(link, addr, allowed)
}

func (p announcerPort) SetAudience(a plan.Audience) {
	to := arpnotify.Audience{Subnets: a.Subnets}
	for _, n := range a.Notices {
		to.Notices = append(to.Notices, arpnotify.Notice{First: n.First, Last: n.Last, PerSecond: n.PerSecond})
	}
	for _, n := range a.Neighbors {
		to.Neighbors = append(to.Neighbors, arpnotify.Neighbor(n))
	}
	p.Announcer.SetAudience(a.Link, to)
}

// earPort is package arpnotify's listener and prober.
type earPort struct {
	listener *arpnotify.Listener
	prober   *arpnotify.Prober
	quick    *arpnotify.Prober
}

// probeWait is how long the last probe may take to be answered; quickWait, after two at a distance of quickPause, before a fast takeover.
const (
	probeWait  = 100 * time.Millisecond
	quickWait  = 8 * time.Millisecond
	quickPause = 4 * time.Millisecond
)

func (p earPort) Run(ctx context.Context, deliver func(plan.Address, string)) error {
	defer p.prober.Close()
	defer p.quick.Close()
	return p.listener.Run(ctx, func(c arpnotify.Claimant) {
		deliver(plan.Address{Link: c.Link, Prefix: netip.PrefixFrom(c.Addr, c.Addr.BitLen())}, c.Hardware.String())
	})
}

func (p earPort) Set(want map[string][]netip.Addr) { p.listener.Set(want) }

func (p earPort) Probe(ctx context.Context, addresses []plan.Address, quick bool) (map[plan.Address]string, error) {
	prober, wait := p.prober, probeWait
	if quick {
		prober, wait = p.quick, quickWait
	}
	links := map[string][]netip.Addr{}
	for _, a := range addresses {
		links[a.Link] = append(links[a.Link], a.Prefix.Addr())
	}
	out := map[plan.Address]string{}
	var errs []error
	for link, list := range links {
		found, err := prober.Probe(ctx, link, list, wait)
		errs = append(errs, err)
		for _, a := range addresses {
			if c, ok := found[a.Prefix.Addr()]; ok && a.Link == link {
				out[a] = c.Hardware.String()
			}
		}
	}
	return out, errors.Join(errs...)
}

// memoryPort keeps the state file.
type memoryPort struct {
	dir        *runstate.Dir
	boot, node string
}

func (p memoryPort) Save(r plan.Remembered) error {
	s := runstate.State{
		Boot: p.boot, Node: p.node, Reg: r.Last.ID, MemberRev: r.Last.MemberRev, Lease: r.Last.Lease, TTL: int64(r.Last.TTL / time.Second),
		Known: r.Known, Cluster: r.Cluster, Revision: r.Revision, Gained: r.Gained,
	}
	for _, a := range r.Addresses {
		s.Addresses = append(s.Addresses, netif.Address(a).String())
	}
	slices.Sort(s.Addresses)
	return p.dir.Save(s)
}

func remembered(s runstate.State) plan.Remembered {
	return plan.Remembered{
		Last:  plan.Registration{ID: s.Reg, MemberRev: s.MemberRev, Lease: s.Lease, TTL: time.Duration(s.TTL) * time.Second},
		Known: s.Known, Cluster: s.Cluster, Revision: s.Revision, Gained: s.Gained,
	}
}

// former are the addresses in the state file that the configuration does not have any more.
func former(state []string, cfg config.Config) []plan.Address {
	now := map[netip.Prefix]bool{}
	for _, v := range cfg.VIPs {
		for _, a := range v.Addresses {
			now[a.Prefix] = true
		}
	}
	var out []plan.Address
	for _, text := range state {
		prefix, link, ok := strings.Cut(text, " dev ")
		p, err := netip.ParsePrefix(prefix)
		if ok && err == nil && !now[p] {
			out = append(out, plan.Address{Link: link, Prefix: p})
		}
	}
	return out
}
