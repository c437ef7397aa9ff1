package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"viplease/config"
	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/netif"
)

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
