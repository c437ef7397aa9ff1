package main

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"viplease/config"
	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/health"
	"viplease/netif"
	"viplease/runstate"
	"viplease/sockets"
)

// The drivers and the coordinator do not know each other. These are the plugs between them: they translate and decide nothing.

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

// memoryPort keeps the state file.
type memoryPort struct {
	dir        *runstate.Dir
	boot, node string
}

func (p memoryPort) Save(r plan.Remembered) error {
	s := runstate.State{
		Boot: p.boot, Node: p.node, Reg: r.Last.ID, MemberRev: r.Last.MemberRev, Lease: r.Last.Lease, TTL: int64(r.Last.TTL / time.Second),
		Known: r.Known, Cluster: r.Cluster, Revision: r.Revision, Fast: r.Fast, Gained: r.Gained,
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
		Known: s.Known, Cluster: s.Cluster, Revision: s.Revision, Fast: s.Fast, Gained: s.Gained,
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
