package control

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"viplease/coordinator"
)

// fakeDaemon is a cluster in a file. A drained node gives up one VIP each time that somebody looks.
type fakeDaemon struct {
	file string // of a Snapshot, read once

	mu    sync.Mutex
	snap  *coordinator.Snapshot
	asked int // Snapshots
}

func (d *fakeDaemon) load() *coordinator.Snapshot {
	if d.snap == nil {
		s, err := readSnapshot(d.file)
		if err != nil {
			s.Etcd.Trouble = err.Error()
		}
		d.snap = &s
	}
	return d.snap
}

func (d *fakeDaemon) Snapshot() coordinator.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	s := *d.load()
	s.Members = append([]coordinator.MemberStatus(nil), s.Members...)
	s.VIPs = append([]coordinator.VIPStatus(nil), s.VIPs...)
	for _, m := range d.snap.Members {
		if m.State == "drained" {
			d.moveOne(m.Node)
		}
	}
	return s
}

// moveOne moves the first VIP of a node to the first ready one.
func (d *fakeDaemon) moveOne(node string) {
	to := d.target(node)
	for i := range d.snap.VIPs {
		if v := &d.snap.VIPs[i]; v.Node == node && to != "" {
			v.Node = to
			return
		}
	}
}

func (d *fakeDaemon) target(without string) string {
	for _, m := range d.snap.Members {
		if m.State == "ready" && m.Node != without {
			return m.Node
		}
	}
	return ""
}

func (d *fakeDaemon) Drain(_ context.Context, node string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set(node, "drained")
}

func (d *fakeDaemon) Undrain(_ context.Context, node string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set(node, "ready")
}

func (d *fakeDaemon) set(node, state string) error {
	s := d.load()
	for i := range s.Members {
		if s.Members[i].Node == node {
			s.Members[i].State = state
			return nil
		}
	}
	return Refuse("no node is called " + node + "; there are: " + strings.Join(nodeNames(*s), ", "))
}

func (d *fakeDaemon) Move(_ context.Context, vip, node string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.load()
	for _, m := range s.Members {
		if m.Node == node && m.State != "ready" {
			return "", fmt.Errorf("move %s: %w", vip, Refuse(node+" is "+m.State+" since 2026-03-14T12:00:00Z by root@n1"))
		}
	}
	for i := range s.VIPs {
		if s.VIPs[i].Name == vip {
			from := s.VIPs[i].Node
			s.VIPs[i].Node = node
			return fmt.Sprintf("%s moved from %s to %s", vip, from, node), nil
		}
	}
	return "", Refuse("no VIP is called " + vip + "; there are: " + strings.Join(vipNames(*s), ", "))
}

func (d *fakeDaemon) Pin(_ context.Context, vip, node string) (string, error) {
	return fmt.Sprintf("%s is pinned to %s", vip, node), nil
}

func (d *fakeDaemon) Unpin(_ context.Context, vip string) (string, error) {
	return vip + " is no longer pinned", nil
}

func (d *fakeDaemon) Balance(context.Context) (string, error) { return "2 VIPs move", nil }

func (d *fakeDaemon) Freeze(context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.load().Frozen = "since 2026-03-14T12:10:00Z by root@n1"
	return "frozen", nil
}

func (d *fakeDaemon) Unfreeze(context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.load().Frozen = ""
	return "no longer frozen", nil
}

func (d *fakeDaemon) Forget(_ context.Context, name string) (string, error) {
	return "removed: drains/" + name, nil
}

func (d *fakeDaemon) Plan(_ context.Context, without []string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := planned{Assign: map[string]string{}, Moves: []plannedMove{}, Unplaced: []string{}}
	for _, v := range d.load().VIPs {
		p.Assign[v.Name] = v.Node
		for _, gone := range without {
			if v.Node != gone {
				continue
			}
			if to := d.target(gone); to != "" {
				p.Assign[v.Name] = to
				p.Moves = append(p.Moves, plannedMove{VIP: v.Name, From: gone, To: to, Why: gone + " is drained", Round: 1})
			} else {
				p.Unplaced = append(p.Unplaced, v.Name)
			}
		}
	}
	return json.Marshal(p)
}

func (d *fakeDaemon) timesAsked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}
