package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"viplease/arpnotify"
	"viplease/coordinator/plan"
)

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
		if c.Probing {
			return // it only asks, as guards do, and the kernel answers it (RFC 5227 section 2.1.1)
		}
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
