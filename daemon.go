package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"viplease/arpnotify"
	"viplease/config"
	"viplease/control"
	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/hooks"
	"viplease/leases"
	"viplease/metrics"
	"viplease/netif"
	"viplease/runstate"
	"viplease/sentinel"
)

// leaveWithin is how long a daemon that is told to stop may take to hand its VIPs over.
const leaveWithin = 5 * time.Second

// run is the daemon: it builds the parts, connects them, and lets them work until the core ends.
func run(ctx context.Context, path string) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // first of all: from here on it does not end the program
	defer signal.Stop(hup)
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	told(leave, hup)
	cfg, err := load(path)
	if err != nil {
		return err
	}
	log := newLog(cfg.Log)
	p, err := assemble(cfg, log)
	if err != nil {
		return err
	}
	defer p.close()
	c, m, o := p.connect()
	injectFaults(c)
	ln, err := listen(cfg.Control)
	if err != nil {
		return err
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- control.Serve(serving, ln, o, m.Handlers(), log) }()
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stopServing()
	hooks := startPrograms(p.hooks, cfg)
	beside.Go(func() {
		reloads(serving, hup, cfg, func() { hooks.settle(serving); c.Handoff() }, log)
	})
	beside.Go(func() { reportToSystemd(serving, c.Snapshot, log) })
	if cfg.Metrics.Listen != "" {
		beside.Go(func() { m.Serve(serving, cfg.Metrics.Listen, log) })
	}
	log.Info("started", "node", cfg.Node, "group", cfg.Group, "vips", len(cfg.VIPs), "etcd", strings.Join(cfg.Etcd.Endpoints, ","), "version", version())
	err = c.Run(ctx, remembered(p.left))
	hooks.end(err == nil)
	if errors.Is(err, coordinator.ErrHandoff) {
		log.Info("re-executing", "version", version())
		err = errors.Join(reexec(ctx, hup), c.Sweep()) // reached only when there is no next process
	}
	stopServing()
	err = errors.Join(err, <-served)
	log.Info("stopped")
	return err
}

// parts are what the daemon is made of, and what the one before it left.
type parts struct {
	cfg    config.Config
	log    *slog.Logger
	hooks  *hooks.Runner
	id     identity
	dir    *runstate.Dir
	left   runstate.State
	store  *leases.Store
	kernel *netif.Kernel
}

// assemble makes the parts, or leaves nothing open. Close them.
func assemble(cfg config.Config, log *slog.Logger) (_ *parts, err error) {
	p := &parts{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err = capable(); err != nil {
		return nil, err
	}
	if p.hooks, err = newHooks(cfg, log); err != nil {
		return nil, err
	}
	if p.id, err = identify(); err != nil {
		return nil, err
	}
	if p.dir, err = openRuntime(runtimeDir(cfg)); err != nil {
		return nil, err
	}
	if p.left, err = p.dir.Load(p.id.boot, cfg.Node); err != nil {
		return nil, err
	}
	if p.store, err = openStore(cfg, log); err != nil {
		return nil, err
	}
	if p.kernel, err = netif.Open(netif.Config{Now: sinceBoot, Log: log}); err != nil {
		return nil, err
	}
	return p, nil
}

// close closes what is open, the last one first.
func (p *parts) close() {
	if p.kernel != nil {
		p.kernel.Close()
	}
	if p.store != nil {
		p.store.Close()
	}
	if p.dir != nil {
		p.dir.Close()
	}
}

// connect makes the core with everything plugged in, what is measured of it, and what operators may ask of it.
func (p *parts) connect() (*coordinator.Coordinator, *metrics.Metrics, coordinator.Operator) {
	cfg, log := p.cfg, p.log
	announcer := arpnotify.New(arpnotify.Config{Now: sinceBoot, Log: log, Refresh: cfg.Announce.Refresh, Settle: cfg.Lease.Wait()})
	pc := planConfig(cfg, p.id)
	pc.Address = hostAddress(p.kernel)
	pc.Former = former(p.left.Addresses, cfg)
	var c *coordinator.Coordinator
	m := newMetrics(cfg, announcer, func() coordinator.Snapshot { return c.Snapshot() })
	e := timedEtcd{etcdPort{p.store}, m}
	c = coordinator.New(coordinator.Config{Plan: pc, Leave: leaveWithin, Log: log}, coordinator.Ports{
		Now: now, Registry: e, Claims: e, Feed: e, Observer: m,
		Kernel: timedKernel{&kernelPort{kernel: p.kernel, cfg: cfg, log: log}, m}, Events: eventPort{p.kernel}, Lans: lanPort{p.kernel}, Announcer: announcerPort{announcer},
		Ears:   earPort{arpnotify.NewListener(arpnotify.ListenerConfig{Now: sinceBoot, Log: log}), &arpnotify.Prober{}, &arpnotify.Prober{Tries: 2, Pause: quickPause}},
		Memory: memoryPort{dir: p.dir, boot: p.id.boot, node: cfg.Node}, Connections: connections(cfg, log), Health: healthChecks(cfg), Hooks: hookPort{p.hooks},
		Sentry: newSentry(cfg, p.kernel, log),
	})
	return c, m, operator(cfg, coordinator.Operator{Intents: e, Show: c.Snapshot, Look: c.Look})
}

// load reads the configuration. A mistake in it ends the program with exit code 2.
func load(path string) (config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return cfg, misconfigured{err}
	}
	return cfg, nil
}

// misconfigured is an error that the operator mends in a file.
type misconfigured struct{ error }

func (misconfigured) ExitCode() int   { return 2 }
func (m misconfigured) Unwrap() error { return m.error }

func newLog(cfg config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Level}
	if cfg.JSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// capable tells what this process may not do that it has to.
func capable() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if data[0].Effective&(1<<c.bit) == 0 {
			return fmt.Errorf("viplease lacks %s: run it as root, or by the systemd unit that comes with it, or give it AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW", c.name)
		}
	}
	return nil
}

// hostAddress is where people find this host: its name and its first address.
func hostAddress(kernel *netif.Kernel) string {
	name, _ := os.Hostname()
	links, err := kernel.Links()
	if err != nil {
		return name
	}
	for _, l := range links {
		for _, p := range l.Prefixes {
			if !l.Loopback && p.Addr().IsGlobalUnicast() {
				return strings.TrimSpace(name + " " + p.Addr().String())
			}
		}
	}
	return name
}

// identity is what tells this machine and this boot from others.
type identity struct{ machine, boot string }

func identify() (identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("read the boot id: %w", err)
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return identity{}, fmt.Errorf("read the machine id: %w; systemd-machine-id-setup makes one", err)
	}
	return identity{strings.TrimSpace(string(machine)), strings.TrimSpace(string(boot))}, nil
}

// runtimeDir is where a group's state and lock are: beside its socket.
func runtimeDir(cfg config.Config) string {
	return filepath.Join(filepath.Dir(cfg.Control.Socket), cfg.Group)
}

// lockWithin is how long a daemon waits for the lock of the one before it, which is gone: a child that was being started when that was replaced or killed has
// the lock until it executes its program, which takes long on a busy machine. It is less than what the addresses' lifetime leaves.
const lockWithin = 2 * time.Second

func openRuntime(path string) (*runstate.Dir, error) {
	for until := sinceBoot() + lockWithin; ; time.Sleep(10 * time.Millisecond) {
		dir, err := runstate.Open(path)
		if !errors.Is(err, runstate.ErrLocked) || sinceBoot() > until {
			return dir, err
		}
	}
}

func openStore(cfg config.Config, log *slog.Logger) (*leases.Store, error) {
	var secure func() (*tls.Config, error)
	if cfg.Etcd.Secure() {
		secure = cfg.Etcd.TLS
	}
	return leases.Open(leases.Config{
		Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix + "/" + cfg.Group, TLS: secure,
		Username: cfg.Etcd.Username, Password: cfg.Etcd.Password,
		Timeout: cfg.Lease.CheckTimeout, Now: sinceBoot, Log: log,
	})
}

// planConfig is the configuration as the core wants it.
func planConfig(cfg config.Config, id identity) plan.Config {
	pc := plan.Config{
		Group: cfg.Group, Node: cfg.Node, Machine: id.machine, Boot: id.boot, Version: releaseNumber(), Seed: rand.Text(),
		TTL: cfg.Lease.TTL, Hold: cfg.Lease.Hold, CheckInterval: cfg.Lease.CheckInterval, CheckTimeout: cfg.Lease.CheckTimeout,
		Wait: cfg.Lease.Wait(), Mature: cfg.Mature, ARPCache: cfg.Announce.ARPCache,
		Failback: cfg.Balance.Failback, MovesPerRound: cfg.Balance.MovesPerRound, Interval: cfg.Balance.Interval, Weight: cfg.Weight, MaxWrites: leases.MaxWrites / 2,
	}
	for _, n := range cfg.Announce.Notify {
		pc.Notices = append(pc.Notices, plan.Notice{First: n.Target.First, Last: n.Target.Last, Link: n.Dev, PerSecond: n.Throttle})
	}
	if cfg.Takeover.Fast {
		pc.Fast = sentinel.Config{Interval: cfg.Takeover.ProbeInterval, Misses: cfg.Takeover.Misses, Grace: cfg.Takeover.Grace}
	}
	for _, v := range cfg.VIPs {
		vip := plan.VIP{Name: v.Name, Prefer: v.Prefer, Spread: v.Spread}
		for _, a := range v.Addresses {
			vip.Prefixes = append(vip.Prefixes, a.Prefix)
		}
		pc.VIPs = append(pc.VIPs, vip)
	}
	for _, c := range cfg.Checks {
		pc.Checks = append(pc.Checks, plan.HealthCheck{Name: c.Name, VIPs: c.VIPs, Require: c.Require})
	}
	return pc
}

// now reads both clocks.
func now() plan.Now {
	return plan.Now{Boot: sinceBoot(), Wall: time.Now().UTC().Truncate(time.Millisecond)}
}

// sinceBoot is CLOCK_BOOTTIME: it goes on while the machine is suspended, which Go's own clock does not.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("CLOCK_BOOTTIME: %v", err)) // cannot fail on Linux >= 2.6.39
	}
	return time.Duration(ts.Nano())
}
