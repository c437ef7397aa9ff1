package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile is etcd, the kernel and the clock around one view.
type hostile struct {
	t       *testing.T
	v       *View
	boot    time.Duration
	rev     int64
	keys    map[string]Entry
	up      map[Address]bool
	allowed []Address
	names   []string // of its own VIPs
	lease   int64
	guard   *guard // nil: strict mode
}

func newHostile(t *testing.T) *hostile { return hostileTo(t, testConfig("a", "dns", "web"), nil) }

// hostileTo is the world around a node with this configuration and this guard.
func hostileTo(t *testing.T, cfg Config, g *guard) *hostile {
	w := &hostile{t: t, boot: 10 * time.Second, rev: 10, keys: map[string]Entry{}, up: map[Address]bool{}, guard: g}
	w.v = New(cfg, w.now())
	places := placesOf(cfg)
	for vip, p := range places.Places {
		w.allowed, w.names = append(w.allowed, p.Addresses...), append(w.names, vip)
	}
	w.v.Apply(places, w.now())
	w.v.Apply(AddressesObserved{}, w.now())
	w.reread()
	w.pass(12 * time.Second)
	if len(w.up) != 2 {
		t.Fatalf("before anything hostile, %v is up", w.up)
	}
	return w
}

func (w *hostile) now() Now { return Now{Boot: w.boot, Wall: time.Unix(1_700_000_000, 0).Add(w.boot)} }

// step carries out one choice.
func (w *hostile) step(p *program) {
	switch p.next() % 8 {
	case 0:
		w.put(w.key(p), w.fill(p, p.of(hostileValues)))
	case 1:
		n := min(p.next(), len(*p))
		raw := string((*p)[:n])
		*p = (*p)[n:]
		w.put(w.key(p), raw)
	case 2:
		w.delete(w.key(p))
	case 3:
		w.pass(time.Duration(p.next()) * 40 * time.Millisecond)
	case 4: // copied from one key to another
		from, to := w.key(p), w.key(p)
		w.put(to, string(w.keys[from].Value))
	case 5: // one byte of it changed
		key := w.key(p)
		if value := slices.Clone(w.keys[key].Value); len(value) > 0 {
			value[p.next()%len(value)] = byte(p.next())
			w.put(key, string(value))
		}
	case 6: // the lease is revoked, as a stale leader may
		w.delete("members/a")
	case 7:
		w.reread()
	}
	w.act()
}

func (w *hostile) key(p *program) string {
	if vip := p.next(); vip%3 == 0 { // what the node has most to do with
		return "claims/" + []string{"web", "dns"}[vip/3%2]
	}
	kind := p.of(hostileKinds)
	if kind == "balance" || kind == "frozen" || kind == "round" {
		return kind
	}
	return w.real(kind+"/"+p.of(hostileNames), "")
}

// fill replaces the words in capitals.
func (w *hostile) fill(p *program, value string) string {
	for _, word := range []struct {
		text string
		list []string
	}{{"NAME", hostileNames}, {"NUMBER", hostileNumbers}, {"ADDRESS", hostileAddresses}} {
		for strings.Contains(value, word.text) {
			value = strings.Replace(value, word.text, p.of(word.list), 1)
		}
	}
	return value
}

// real replaces what only the running world knows, for a value that is to stand at key.
func (w *hostile) real(value, key string) string {
	_, vip, _ := strings.Cut(key, "/")
	return strings.NewReplacer("VIP", vip, "REG", w.v.self.reg.ID, "CREATE", fmt.Sprint(w.v.self.reg.MemberRev), "DIGEST", w.v.digest, "NEXT", fmt.Sprint(w.keys[key].Version+1)).Replace(value)
}

func (w *hostile) entry(key string, value []byte) Entry {
	e := Entry{Key: key, Value: value, Create: w.rev, Mod: w.rev, Version: 1}
	if old, ok := w.keys[key]; ok {
		e.Create, e.Version = old.Create, old.Version+1
	}
	w.keys[key] = e
	return e
}

func (w *hostile) put(key, value string) {
	w.rev++
	w.v.Apply(BatchSeen{Revision: w.rev, Changed: []Entry{w.entry(key, []byte(w.real(value, key)))}}, w.now())
}

func (w *hostile) delete(key string) {
	if _, ok := w.keys[key]; !ok {
		return
	}
	w.rev++
	delete(w.keys, key)
	w.v.Apply(BatchSeen{Revision: w.rev, Deleted: []Deleted{{key, w.rev}}}, w.now())
}

func (w *hostile) reread() {
	s := SnapshotRead{Cluster: 1, Revision: w.rev}
	for _, key := range sortedKeys(w.keys) {
		s.Entries = append(s.Entries, w.keys[key])
	}
	w.v.Apply(s, w.now())
}

func (w *hostile) pass(d time.Duration) {
	for end := w.boot + d; w.boot < end; {
		w.boot += w.guard.step()
		w.act()
		w.guard.look(w)
	}
}

// act carries everything out that the node wants, at once and without a fault, until it wants nothing more.
func (w *hostile) act() {
	const most = 50 // turns at one moment; a dozen is what an upheaval takes
	for range most {
		actions, wake := Decide(w.v, w.now())
		if wake < w.boot {
			w.t.Fatalf("wake-up at %v is in the past of %v", wake, w.boot)
		}
		w.v.Dispatched(actions, w.now())
		if len(actions) == 0 {
			return
		}
		for _, a := range actions {
			w.hold(a)
			for _, f := range w.do(a) {
				w.v.Apply(f, w.now())
			}
		}
	}
	actions, _ := Decide(w.v, w.now())
	w.t.Fatalf("it never comes to rest: %v", actions)
}

// hold is the promise: no address but its own, and none without a claim.
func (w *hostile) hold(a Action) {
	var list []Item
	switch a := a.(type) {
	case RaiseAddresses:
		list = a.Items
		for _, it := range a.Items {
			e := w.keys["claims/"+it.VIP]
			c, err := decodeClaim(it.VIP, e.Value, e.Version)
			if err != nil || c.Node != "a" || c.Reg != w.v.self.reg.ID || c.MemberRev != w.keys["members/a"].Create {
				w.t.Fatalf("it raises %s, whose claim is %q", it.VIP, e.Value)
			}
		}
	case DelAddresses:
		list = a.Items
	case ProbeAddresses:
		list = a.Items
	case Announce:
		list = []Item{a.Item}
	case Commit:
		for _, write := range a.Writes {
			if !slices.Contains(w.names, write.VIP) && write.Claim.Node == "a" && write.Kind == Take {
				w.t.Fatalf("it takes %q", write.VIP)
			}
		}
		for _, p := range a.Puts {
			if p.Key != "members/a" && p.Key != "configs/"+w.v.digest {
				w.t.Fatalf("it writes %q", p.Key)
			}
		}
	}
	for _, it := range list {
		for _, addr := range it.Addresses {
			if !slices.Contains(w.allowed, addr) {
				w.t.Fatalf("%v has %v, which is not in its configuration", a, addr)
			}
		}
	}
}

// do is what the world answers.
func (w *hostile) do(action Action) []Fact {
	switch a := action.(type) {
	case Register:
		if old, ok := w.keys["members/a"]; ok {
			return []Fact{RegisterFailed{Taken: old.Value, Err: errors.New("taken")}}
		}
		w.rev++
		w.lease++
		m, s := w.entry("members/a", Encode(a.Member)), w.entry("states/a", Encode(a.State))
		r := Registration{ID: a.Member.Reg, MemberRev: w.rev, Lease: w.lease, TTL: a.TTL}
		return []Fact{Registered{Registration: r, Highest: a.Highest, Revision: w.rev, State: a.State}, BatchSeen{Revision: w.rev, Changed: []Entry{m, s}}}
	case Renew:
		return []Fact{Renewed{a.Lease, 3 * time.Second}}
	case Revoke:
		return w.revoke(a)
	case WriteState:
		if w.keys["members/a"].Create != a.Registration.MemberRev {
			return []Fact{StateFailed{errors.New("not a member")}}
		}
		w.rev++
		e := w.entry("states/a", Encode(a.State))
		return []Fact{StateWritten{a.State}, BatchSeen{Revision: w.rev, Changed: []Entry{e}}}
	case WriteLayout:
		key := "configs/" + a.Digest
		if _, ok := w.keys[key]; ok {
			return []Fact{LayoutWritten{}}
		}
		w.rev++
		e := w.entry(key, Encode(a.Layout))
		return []Fact{LayoutWritten{}, BatchSeen{Revision: w.rev, Changed: []Entry{e}}}
	case Check:
		return []Fact{w.check(a)}
	case Commit:
		return w.commit(a)
	case Contest:
		return w.contest(a)
	case RaiseAddresses:
		return each(a.Items, func(it Item) Fact { w.set(it, true); return AddressesRaised{VIP: it.VIP, T0: a.T0} })
	case DelAddresses:
		return each(a.Items, func(it Item) Fact { w.set(it, false); return AddressesDeleted{VIP: it.VIP} })
	case ProbeAddresses:
		return each(a.Items, func(it Item) Fact { return AddressesProbed{VIP: it.VIP} })
	case ReadAddresses:
		present := map[Address]bool{}
		for addr := range w.up {
			present[addr] = true
		}
		return []Fact{AddressesObserved{Present: present}}
	case Reread:
		w.reread()
	}
	return nil
}

func each(items []Item, f func(Item) Fact) (facts []Fact) {
	for _, it := range items {
		facts = append(facts, f(it))
	}
	return facts
}

func (w *hostile) set(it Item, up bool) {
	for _, addr := range it.Addresses {
		if delete(w.up, addr); up {
			w.up[addr] = true
		}
	}
}

func (w *hostile) check(a Check) Fact {
	me := w.keys["members/a"]
	f := CheckAnswered{
		T0: w.boot, Cluster: 1, Since: a.Since, Highest: a.Highest, Keys: a.Keys, Revision: w.rev, MemberRev: me.Create, Member: me.Value,
		Challenge: w.found("challenges/a"), Eviction: w.found("evictions/a"),
	}
	for _, key := range sortedKeys(w.keys) {
		if e := w.keys[key]; strings.HasPrefix(key, "claims/") {
			f.Count++
			if e.Mod > a.Since {
				f.Changed = append(f.Changed, e)
			}
		}
	}
	return f
}

func (w *hostile) commit(a Commit) []Fact {
	f := ClaimsCommitted{MemberRev: a.MemberRev, Writes: a.Writes, Highest: a.Highest, Revision: w.rev, Member: w.keys["members/a"].Create == a.MemberRev}
	if !f.Member {
		return []Fact{f}
	}
	here := func(r *MemberRef) bool { e, ok := w.keys["members/"+r.Node]; return ok && e.Create == r.MemberRev }
	var won []int
	for i, write := range a.Writes {
		e, ok := w.keys["claims/"+write.VIP]
		r := WriteResult{Won: e.Mod == write.IfMod && (write.OwnerGone == nil || !here(write.OwnerGone)) && (write.TargetHere == nil || here(write.TargetHere)) &&
			(write.Slot == nil || w.keys["round"].Mod == write.Slot.IfMod)}
		switch {
		case r.Won:
			won = append(won, i)
		case ok:
			r.Current = &e
		}
		f.Results = append(f.Results, r)
	}
	if len(won) == 0 && len(a.Puts) == 0 {
		return []Fact{f}
	}
	w.rev++
	f.Revision = w.rev
	b := BatchSeen{Revision: w.rev}
	for _, i := range won {
		write := a.Writes[i]
		b.Changed = append(b.Changed, w.entry("claims/"+write.VIP, Encode(write.Claim)))
		if write.Slot != nil {
			b.Changed = append(b.Changed, w.entry("round", Encode(write.Slot.Round)))
		}
	}
	for _, p := range a.Puts {
		b.Changed = append(b.Changed, w.entry(p.Key, p.Value))
	}
	return []Fact{f, b}
}

// look is what an operator sees meanwhile.
func (w *hostile) look() {
	if _, err := json.Marshal([]any{w.v.Members(), w.v.VIPs(w.now()), w.v.Standing(), w.v.PlacementInput()}); err != nil {
		w.t.Fatalf("status cannot be written: %v", err)
	}
	w.v.Notes()
}
