package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"viplease/coordinator/plan"
)

// fakeEtcd is one etcd with one node, without faults of its own; hook runs before every call and may fail or hang it.
type fakeEtcd struct {
	mu      sync.Mutex
	rev     int64
	entries map[string]plan.Entry
	lease   int64
	changed chan struct{} // closed and replaced at every revision
	log     []plan.BatchSeen
	hook    func(ctx context.Context, call string) error
}

func newFakeEtcd() *fakeEtcd {
	return &fakeEtcd{rev: 1, entries: map[string]plan.Entry{}, changed: make(chan struct{})}
}

func (e *fakeEtcd) call(ctx context.Context, name string) error {
	e.mu.Lock()
	hook := e.hook
	e.mu.Unlock()
	if hook != nil {
		return hook(ctx, name)
	}
	return nil
}

func (e *fakeEtcd) setHook(hook func(context.Context, string) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hook = hook
}

// write puts keys, or deletes them (nil), at one revision.
func (e *fakeEtcd) write(keys map[string][]byte) {
	e.rev++
	b := plan.BatchSeen{Revision: e.rev}
	for key, value := range keys {
		old, there := e.entries[key]
		if value == nil {
			delete(e.entries, key)
			b.Deleted = append(b.Deleted, plan.Deleted{Key: key, Mod: e.rev})
			continue
		}
		n := plan.Entry{Key: key, Value: value, Create: e.rev, Mod: e.rev, Version: 1}
		if there {
			n.Create, n.Version = old.Create, old.Version+1
		}
		e.entries[key] = n
		b.Changed = append(b.Changed, n)
	}
	e.log = append(e.log, b)
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *fakeEtcd) get(key string) (plan.Entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.entries[key]
	return n, ok
}

func (e *fakeEtcd) Grant(ctx context.Context, ttl time.Duration) (int64, time.Duration, error) {
	e.lease++
	return e.lease, ttl, e.call(ctx, "grant")
}

func (e *fakeEtcd) Register(ctx context.Context, node string, _ int64, member, state []byte) (int64, int64, error) {
	if err := e.call(ctx, "register"); err != nil {
		return 0, 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if old, ok := e.entries["members/"+node]; ok {
		return 0, 0, &TakenError{old.Value}
	}
	e.write(map[string][]byte{"members/" + node: member, "states/" + node: state})
	return e.rev, e.rev, nil
}

func (e *fakeEtcd) Renew(ctx context.Context, _ int64) (time.Duration, error) {
	return 3 * time.Second, e.call(ctx, "renew")
}

func (e *fakeEtcd) Revoke(ctx context.Context, _ int64) error {
	if err := e.call(ctx, "revoke"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.write(map[string][]byte{"members/a": nil, "states/a": nil})
	return nil
}

func (e *fakeEtcd) Check(ctx context.Context, node string, since int64) (plan.CheckAnswered, error) {
	t0 := boot()
	if err := e.call(ctx, "check"); err != nil {
		return plan.CheckAnswered{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	a := plan.CheckAnswered{T0: t0, Cluster: 1, Revision: e.rev, MemberRev: e.entries["members/"+node].Create, Member: e.entries["members/"+node].Value}
	for key, n := range e.entries {
		if key[:min(7, len(key))] == "claims/" {
			a.Count++
			if n.Mod > since {
				a.Changed = append(a.Changed, n)
			}
		}
	}
	return a, nil
}

func (e *fakeEtcd) Commit(ctx context.Context, node string, c plan.Commit) (plan.ClaimsCommitted, error) {
	if err := e.call(ctx, "commit"); err != nil {
		return plan.ClaimsCommitted{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	f := plan.ClaimsCommitted{Revision: e.rev, Member: e.entries["members/"+node].Create == c.MemberRev}
	if !f.Member {
		return f, nil
	}
	keys := map[string][]byte{}
	for _, w := range c.Writes {
		old := e.entries["claims/"+w.VIP]
		won := old.Mod == w.IfMod && (w.Slot == nil || e.entries["round"].Mod == w.Slot.IfMod)
		f.Results = append(f.Results, plan.WriteResult{Won: won})
		if won {
			keys["claims/"+w.VIP] = plan.Encode(w.Claim)
			if w.Slot != nil {
				keys["round"] = plan.Encode(w.Slot.Round)
			}
		}
	}
	for _, p := range c.Puts {
		keys[p.Key] = p.Value
	}
	e.write(keys)
	f.Revision = e.rev
	return f, nil
}

func (e *fakeEtcd) PutState(ctx context.Context, node string, _ plan.Registration, value []byte) error {
	return e.put(ctx, "states/"+node, value)
}

func (e *fakeEtcd) Contest(context.Context, string, plan.Contest) (bool, error) { return false, nil }

func (e *fakeEtcd) PutOnce(ctx context.Context, key string, value []byte) error {
	return e.put(ctx, key, value)
}

func (e *fakeEtcd) put(ctx context.Context, key string, value []byte) error {
	if err := e.call(ctx, "put"); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.write(map[string][]byte{key: value})
	return nil
}

func (e *fakeEtcd) Read(ctx context.Context) (plan.SnapshotRead, error) {
	if err := e.call(ctx, "read"); err != nil {
		return plan.SnapshotRead{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := plan.SnapshotRead{Cluster: 1, Revision: e.rev}
	for _, n := range e.entries {
		s.Entries = append(s.Entries, n)
	}
	return s, nil
}

func (e *fakeEtcd) Watch(ctx context.Context, from int64, deliver func(plan.BatchSeen)) error {
	for {
		e.mu.Lock()
		var news []plan.BatchSeen
		for _, b := range e.log {
			if b.Revision >= from {
				news = append(news, b)
			}
		}
		changed := e.changed
		e.mu.Unlock()
		for _, b := range news {
			from = b.Revision + 1
			deliver(b)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// fakeKernel is a host with one link.
type fakeKernel struct {
	mu    sync.Mutex
	vips  []plan.VIP
	up    map[plan.Address]bool
	hook  func(call string) // may panic
	steps []string          // what was done, announcements included

	refuse map[string]error // VIPs that cannot be raised, and why
}

func newFakeKernel(vips []plan.VIP) *fakeKernel {
	return &fakeKernel{vips: vips, up: map[plan.Address]bool{}}
}

func (k *fakeKernel) step(s string) {
	if k.hook != nil {
		k.hook(s)
	}
	k.steps = append(k.steps, s)
}

func (k *fakeKernel) Places() (map[string]plan.Place, error) {
	places := map[string]plan.Place{}
	for _, v := range k.vips {
		places[v.Name] = plan.Place{Addresses: []plan.Address{{Link: "net1", Prefix: v.Prefixes[0]}}}
	}
	return places, nil
}

func (k *fakeKernel) Raise(items []plan.Item, _, until time.Duration) []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	errs := make([]error, len(items))
	for i, it := range items {
		if boot() > until {
			errs[i] = ErrLate
			continue
		}
		if err := k.refuse[it.VIP]; err != nil {
			errs[i] = err
			for _, a := range it.Addresses {
				delete(k.up, a)
			}
			continue
		}
		if it.Fresh {
			k.step("add " + it.VIP)
		}
		for _, a := range it.Addresses {
			k.up[a] = true
		}
	}
	return errs
}

func (k *fakeKernel) Delete(list []plan.Address) []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range list {
		if k.up[a] {
			k.step("del " + a.Prefix.Addr().String())
		}
		delete(k.up, a)
	}
	return make([]error, len(list))
}

func (k *fakeKernel) Present() (map[plan.Address]bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.up), nil
}

func (k *fakeKernel) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.up)
}

// Watch is the Events port: nothing happens.
func (k *fakeKernel) Watch(ctx context.Context, deliver func(KernelEvent)) error {
	deliver(KernelEvent{})
	<-ctx.Done()
	return nil
}

// fakeAnnouncer writes into the kernel's steps.
type fakeAnnouncer struct {
	kernel *fakeKernel
	run    func(context.Context) error // nil: until the context ends
}

func (a *fakeAnnouncer) Run(ctx context.Context) error {
	if a.run != nil {
		return a.run(ctx)
	}
	<-ctx.Done()
	return nil
}

func (a *fakeAnnouncer) Announce(_ string, addr netip.Addr, _ bool, allowed func() bool) error {
	a.kernel.mu.Lock()
	defer a.kernel.mu.Unlock()
	if !allowed() {
		return errors.New("not allowed")
	}
	a.kernel.step("announce " + addr.String())
	return nil
}

func (a *fakeAnnouncer) Stop(_ string, addr netip.Addr) {
	a.kernel.mu.Lock()
	defer a.kernel.mu.Unlock()
	a.kernel.step("stop " + addr.String())
}

func (a *fakeAnnouncer) SetAudience(to plan.Audience) {
	a.kernel.mu.Lock()
	defer a.kernel.mu.Unlock()
	a.kernel.step(fmt.Sprintf("tell %v", to.Neighbors))
}

// fakeMemory keeps the last thing remembered.
type fakeMemory struct {
	mu   sync.Mutex
	last plan.Remembered
	err  error
}

func (m *fakeMemory) Save(r plan.Remembered) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = r
	return m.err
}

// fakeEars hear nothing.
type fakeEars struct{}

func (fakeEars) Run(ctx context.Context, _ func(plan.Address, string)) error {
	<-ctx.Done()
	return nil
}

func (fakeEars) Set(map[string][]netip.Addr) {}

func (fakeEars) Probe(context.Context, []plan.Address, bool) (map[plan.Address]string, error) {
	return nil, nil
}
