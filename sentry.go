package main

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"viplease/arpnotify"
	"viplease/config"
	"viplease/coordinator"
	"viplease/netif"
	"viplease/sentinel"
)

// sentryPort is package arpnotify's Sentry, with the witnesses of this host: its gateways, and what the configuration names.
type sentryPort struct {
	*arpnotify.Sentry
	kernel    *netif.Kernel
	cfg       config.Config
	log       *slog.Logger
	witnesses atomic.Pointer[[]sentinel.Host]
}

// witnessEvery is how often the routes and links are read again. Without its witness a node is only slower, so nothing hurries.
const witnessEvery = 5 * time.Second

func newSentry(cfg config.Config, kernel *netif.Kernel, log *slog.Logger) coordinator.Sentry {
	p := &sentryPort{Sentry: arpnotify.NewSentry(sinceBoot, log), kernel: kernel, cfg: cfg, log: log}
	p.witnesses.Store(new([]sentinel.Host))
	return p
}

func (p *sentryPort) Hear(deliver func(f sentinel.Fact, at time.Duration)) {
	p.Sentry.Hear(func(h arpnotify.Heard) {
		host := sentinel.Host{Link: h.Link, Addr: h.Addr}
		switch h.Kind {
		case arpnotify.Answer, arpnotify.Announcement:
			deliver(sentinel.Answered{Host: host, MAC: h.MAC, Unasked: h.Kind == arpnotify.Announcement}, h.At)
		case arpnotify.ARPQuestion: // nobody else asks so
			deliver(sentinel.Questioned{Link: h.Link, MAC: h.MAC, Sure: true}, h.At)
		case arpnotify.NDQuestion:
			deliver(sentinel.Questioned{Link: h.Link, MAC: h.MAC}, h.At)
		}
	})
}

func (p *sentryPort) Ask(q sentinel.Probe) error { return p.Sentry.Ask(q.Link, q.Addr, q.MAC) }

func (p *sentryPort) Witnesses() []sentinel.Host { return *p.witnesses.Load() }

// Run keeps the list of witnesses.
func (p *sentryPort) Run(ctx context.Context) error {
	tick := time.NewTicker(witnessEvery)
	defer tick.Stop()
	for {
		if list, err := witnesses(p.kernel, p.cfg); err == nil {
			p.witnesses.Store(&list)
		} else {
			p.log.Warn("cannot look for witnesses", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// witnesses are the gateways of this host and the configured ones, without the VIPs themselves.
func witnesses(kernel *netif.Kernel, cfg config.Config) ([]sentinel.Host, error) {
	lans, err := kernel.Lans() // has a socket of its own
	if err != nil {
		return nil, err
	}
	gateways, err := kernel.Gateways()
	if err != nil {
		return nil, err
	}
	var links []netif.Link
	for _, l := range lans {
		links = append(links, l.Link)
	}
	var list []sentinel.Host
	for _, w := range cfg.FindWitnesses(configLinks(links)) {
		list = append(list, sentinel.Host{Link: w.Dev, Addr: w.Addr})
	}
	for _, g := range gateways {
		list = append(list, sentinel.Host{Link: g.Link, Addr: g.Addr})
	}
	isVIP := func(h sentinel.Host) bool {
		return slices.ContainsFunc(cfg.VIPs, func(v config.VIP) bool {
			return slices.ContainsFunc(v.Addresses, func(a config.Address) bool { return a.Prefix.Addr() == h.Addr })
		})
	}
	return slices.DeleteFunc(list, isVIP), nil
}
