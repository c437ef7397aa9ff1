package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"viplease/config"
	"viplease/control"
	"viplease/coordinator"
	"viplease/coordinator/plan"
	"viplease/importer"
	"viplease/leases"
	"viplease/netif"
	"viplease/runstate"
)

// check is `viplease check`: is this configuration right, and, live, is what it names there.
func check(ctx context.Context, path string, live bool, out io.Writer) error {
	cfg, err := load(path)
	if err != nil {
		return err
	}
	if _, err := groupID(cfg.Control.Group); err != nil {
		return err
	}
	if _, err := newHooks(cfg, nil); err != nil {
		return err
	}
	cfg.Describe(out)
	if !live {
		return nil
	}
	return errors.Join(checkLinks(cfg, out), checkEtcd(ctx, cfg, out))
}

func checkLinks(cfg config.Config, out io.Writer) error {
	kernel, err := netif.Open(netif.Config{})
	if err != nil {
		return err
	}
	defer kernel.Close()
	links, err := kernel.Links()
	if err != nil {
		return err
	}
	vips, problems := cfg.Resolve(configLinks(links))
	fmt.Fprintf(out, "interfaces: %d of %d VIPs have a place on this host\n", len(vips), len(cfg.VIPs))
	if cfg.Takeover.Fast {
		checkWitnesses(kernel, cfg, vips, out)
	}
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// checkWitnesses says on which interfaces fast takeover rests on the other members alone.
func checkWitnesses(kernel *netif.Kernel, cfg config.Config, vips []config.VIP, out io.Writer) {
	list, err := witnesses(kernel, cfg)
	if err != nil {
		fmt.Fprintf(out, "witnesses: %v\n", err)
		return
	}
	said := map[string]bool{}
	for _, v := range vips {
		for _, a := range v.Addresses {
			if said[a.Dev] {
				continue
			}
			said[a.Dev] = true
			var names []string
			for _, w := range list {
				if w.Link == a.Dev {
					names = append(names, w.Addr.String())
				}
			}
			if len(names) == 0 {
				fmt.Fprintf(out, "witnesses on %s: none but the VIPs of other members; with two nodes every takeover waits W: name a host in takeover.witnesses\n", a.Dev)
				continue
			}
			fmt.Fprintf(out, "witnesses on %s: %s\n", a.Dev, strings.Join(names, ", "))
		}
	}
}

func checkEtcd(ctx context.Context, cfg config.Config, out io.Writer) error {
	store, err := openStore(cfg, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	for _, e := range store.Health(ctx) {
		fmt.Fprintf(out, "etcd %s: %s\n", e.URL, describe(e))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	snap, err := store.Read(ctx)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	fmt.Fprintf(out, "etcd: reachable, revision %d, %d keys of this group\n", snap.Revision, len(snap.Entries))
	return nil
}

func describe(e leases.Endpoint) string {
	switch {
	case !e.Reachable:
		return fmt.Sprintf("no answer: %v", e.Err)
	case !e.Leader:
		return fmt.Sprintf("version %s, but it knows no leader: the cluster has no quorum, or this server is cut off from it", e.Version)
	case len(e.Errors) > 0:
		return fmt.Sprintf("version %s, answered in %.1f ms, complains: %s", e.Version, e.Took.Seconds()*1000, strings.Join(e.Errors, "; "))
	}
	return fmt.Sprintf("version %s, answered in %.1f ms", e.Version, e.Took.Seconds()*1000)
}

func socket(path string) (string, error) {
	cfg, err := load(path)
	return cfg.Control.Socket, err
}

// importFile is `viplease import`.
func importFile(path string, toml, notes io.Writer) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return misconfigured{err}
	}
	host, _ := os.Hostname()
	result, err := importer.Import(path, data, importer.Options{Node: host})
	if err != nil {
		return misconfigured{err}
	}
	for _, n := range result.Notes {
		fmt.Fprintln(notes, n)
	}
	_, err = io.WriteString(toml, result.TOML)
	return err
}

// release takes every address of this configuration, and those an earlier one left, off this host.
func release(_ context.Context, path string, out io.Writer) error {
	cfg, err := load(path)
	if err != nil {
		return err
	}
	id, err := identify()
	if err != nil {
		return err
	}
	dir, err := runstate.Open(runtimeDir(cfg))
	if errors.Is(err, runstate.ErrLocked) {
		return control.Refuse("a daemon of this group runs on this host; stop or drain it instead")
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	left, err := dir.Load(id.boot, cfg.Node)
	if err != nil {
		return err
	}
	kernel, err := netif.Open(netif.Config{})
	if err != nil {
		return err
	}
	defer kernel.Close()
	return releaseAll(&kernelPort{kernel: kernel, cfg: cfg}, former(left.Addresses, cfg), out)
}

func releaseAll(k *kernelPort, addresses []plan.Address, out io.Writer) error {
	places, err := k.Places()
	if err != nil {
		return err
	}
	for _, p := range places {
		addresses = append(addresses, p.Addresses...)
	}
	before, err := k.Present()
	if err != nil {
		return err
	}
	var up []plan.Address
	for _, a := range addresses {
		if before[a] {
			up = append(up, a)
		}
	}
	errs := k.Delete(up)
	for i, a := range up {
		if errs[i] == nil {
			fmt.Fprintf(out, "released %s dev %s\n", a.Prefix, a.Link)
		}
	}
	if len(up) == 0 {
		fmt.Fprintln(out, "no address of ours was up")
	}
	return errors.Join(errs...)
}

// direct is what the commands use when no daemon answers: etcd itself.
func direct(_ context.Context, path string) (control.Daemon, func(), error) {
	cfg, err := load(path)
	if err != nil {
		return nil, nil, err
	}
	store, err := openStore(cfg, nil)
	if err != nil {
		return nil, nil, err
	}
	e, pc := etcdPort{store}, planConfig(cfg, identity{})
	read := func() (plan.SnapshotRead, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return e.Read(ctx)
	}
	show := func() coordinator.Snapshot {
		snap, err := read()
		if err != nil {
			return coordinator.Unreachable(pc, err)
		}
		return coordinator.Observe(pc, snap, now())
	}
	look := func(_ context.Context, f func(*plan.View, plan.Now)) error {
		snap, err := read()
		if err != nil {
			return fmt.Errorf("read etcd: %w", err)
		}
		f(coordinator.ObserveView(pc, snap, now()), now())
		return nil
	}
	return operator(cfg, coordinator.Operator{Intents: e, Show: show, Look: look}), func() { store.Close() }, nil
}

// operator completes what the commands are carried out with.
func operator(cfg config.Config, o coordinator.Operator) coordinator.Operator {
	o.Node, o.By, o.Now = cfg.Node, asker, now
	return o
}

// asker is who asks for something: whoever sent the request, else the user of this process.
func asker(ctx context.Context) string {
	uid, ok := control.Caller(ctx)
	if !ok {
		uid = uint32(os.Getuid())
	}
	by := fmt.Sprintf("uid %d", uid)
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		by = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		by += "@" + host
	}
	return by
}

var _ control.Daemon = coordinator.Operator{}

var _ coordinator.Intents = etcdPort{(*leases.Store)(nil)}
