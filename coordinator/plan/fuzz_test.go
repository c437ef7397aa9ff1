package plan

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Everything read from etcd is untrusted: whoever may write there, or a program gone wrong, may have put anything under any key. It must not crash a daemon,
// nor make it hang, nor make it raise an address that is not in its own configuration, nor one that its claim does not give it.

// FuzzDecoders: every decoder of a value, on its own.
func FuzzDecoders(f *testing.F) {
	for _, seed := range hostileValues {
		f.Add([]byte(seed), int64(1))
	}
	f.Add([]byte(`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:00:01","fe80::1%x 02:00:00:00:00:01"]}`), int64(-1))
	f.Fuzz(func(t *testing.T, value []byte, version int64) {
		again := func(record any, err error, decode func([]byte) error) {
			if err == nil {
				if err := decode(Encode(record)); err != nil {
					t.Errorf("%q decodes to %+v, and that written does not: %v", value, record, err)
				}
			}
		}
		m, err := decodeMember(value)
		again(m, err, func(b []byte) error { _, err := decodeMember(b); return err })
		s, err := decodeState(value)
		again(s, err, func(b []byte) error { _, err := decodeState(b); return err })
		if err == nil && (s.Weight < 1 || s.Weight > 1000 || waitOf(s.WaitMS) < 0 || waitOf(s.WaitMS) > maxWait) {
			t.Errorf("%q has weight %d and wait %v", value, s.Weight, waitOf(s.WaitMS))
		}
		c, err := decodeClaim("web", value, version)
		again(c, err, func(b []byte) error { _, err := decodeClaim("web", b, version); return err })
		if err == nil && (c.VIP != "web" || c.Writes != version || c.wait() < 0 || c.wait() > maxWait || c.Node != "" && c.MemberRev <= 0) {
			t.Errorf("%q is the claim %+v", value, c)
		}
		l, err := decodeLayout(value)
		again(l, err, func(b []byte) error { _, err := decodeLayout(b); return err })
		i, err := decodeIntent(value)
		again(i, err, func(b []byte) error { _, err := decodeIntent(b); return err })
		if list, err := decodeNeighbors(value); err == nil {
			for _, n := range list {
				if !n.single() {
					t.Errorf("%q names the neighbour %v", value, n)
				}
			}
		}
	})
}

// hostileValues are what is put under hostileKeys, and what fuzzing begins with. NAME, NUMBER and ADDRESS stand for
// something of the lists below, the other words in capitals for what the running world knows.
var hostileValues = []string{
	``, `null`, `{}`, `[]`, `{"v":2}`, `{"v":-1}`, `{"v":1}`, `{"v":1e400}`, "\xff\xfe", `{"v":1,"node":{}}`, strings.Repeat(`[`, 20_000),
	`{"v":1,"vip":"NAME","node":"NAME","reg":"NAME","member_rev":NUMBER,"wait_ms":NUMBER,"addresses":["ADDRESS"],"since":"2020-01-01T00:00:00Z","why":"NAME","try":"x","writes":NUMBER}`,
	`{"v":1,"vip":"VIP","node":"a","reg":"REG","member_rev":CREATE,"wait_ms":9000,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"a","reg":"REG","member_rev":CREATE,"wait_ms":NUMBER,"to":"NAME","accept":NUMBER,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"b","reg":"B","member_rev":NUMBER,"wait_ms":NUMBER,"to":"a","addresses":["ADDRESS"],"moved":NUMBER,"stay":true,"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"","empty":true,"wait_ms":NUMBER,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"","contested":true,"wait_ms":NUMBER,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"reg":"NAME","machine":"NAME","boot":"NAME"}`, `{"v":1,"reg":"REG","machine":"m-a","boot":"b-a"}`,
	`{"v":1,"state":"NAME","why":"NAME","weight":NUMBER,"digest":"NAME","planner":NUMBER,"wait_ms":NUMBER,"cannot":["NAME","NAME"]}`,
	`{"v":1,"state":"ready","weight":NUMBER,"digest":"DIGEST","planner":1,"wait_ms":NUMBER}`,
	`{"v":1,"vips":[{"name":"NAME","addresses":["ADDRESS"],"prefer":["NAME"],"spread":"NAME"},{"name":"NAME","addresses":["ADDRESS"]}],"failback":true,"moves_per_round":NUMBER}`,
	`{"v":1,"node":"NAME","member_rev":NUMBER,"by":"NAME","at":"9999-12-31T23:59:59Z"}`,
	`{"v":1,"member_rev":NUMBER,"vip":"NAME","claim_mod":NUMBER,"by":"NAME","by_rev":NUMBER}`,
	`{"v":1,"member_rev":NUMBER,"kept":{"grace_ms":NUMBER,"silence_ms":NUMBER},"by":"NAME","at":"2020-01-01T00:00:00Z","count":NUMBER}`,
	`{"v":1,"number":NUMBER,"slots":["NAME","NAME"],"missed":["NAME"],"by":"NAME"}`,
	`{"v":1,"neighbors":["10.6.6.6 02:00:00:00:00:01"]}`,
}

var (
	hostileKinds     = []string{"claims", "members", "states", "configs", "drains", "pins", "moves", "neighbors", "challenges", "evictions", "balance", "frozen", "round", "nonsense"}
	hostileNames     = []string{"web", "dns", "evil", "a", "b", "ready", "joining", "", "../web", "web/x", "a\x1b[2J", strings.Repeat("n", 300), "DIGEST"}
	hostileNumbers   = []string{"0", "1", "-1", "4610", "9000", "9223372036854775807", "-9223372036854775808", "1.5", "CREATE", "NEXT"}
	hostileAddresses = []string{"192.0.2.100/32", "192.0.2.101/32", "10.6.6.6/32", "0.0.0.0/0", "192.0.2.100/24", "::ffff:192.0.2.100/128", "", "no address"}
)

// program is fuzzing's choice of what happens.
type program []byte

func (p *program) next() int {
	if len(*p) == 0 {
		return 0
	}
	b := (*p)[0]
	*p = (*p)[1:]
	return int(b)
}

func (p *program) of(list []string) string { return list[p.next()%len(list)] }

// FuzzView: one node with two VIPs at an etcd that is honest about revisions, as etcd is, and in which somebody writes what he likes.
func FuzzView(f *testing.F) {
	f.Add([]byte{})
	for kind := range hostileKinds {
		for value := range hostileValues {
			f.Add([]byte{3, 200, 0, byte(kind), byte(value % 13), byte(value), 0, 0, 0, 3, 100, 0, byte(kind), 1, byte(value), 1, 8, 2, 3, 3, 40, 5, byte(kind), 1, 3, 255})
		}
	}
	f.Add([]byte{3, 200, 4, 0, 0, 0, 1, 3, 100, 6, 3, 50, 2, 0, 0, 3, 200, 7, 3, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return // what takes longer than this is found in shorter ones
		}
		w := newHostile(t)
		for p := program(data); len(p) > 0; {
			w.step(&p)
			w.look()
		}
	})
}

var programs = flag.Int("plan.hostile", 150, "how many random programs TestHostileView runs")

// TestHostileView: FuzzView with programs at random, for fuzzing is slow to learn what a program is made of.
func TestHostileView(t *testing.T) {
	for seed := range *programs {
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		data := make([]byte, 40+random.IntN(200))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newHostile(t)
			for p := program(data); len(p) > 0; {
				w.step(&p)
				w.look()
			}
		})
		if !ok {
			return
		}
	}
}

// TestHostileConfiguration: as many VIPs as a record can name, in the configuration of as many members as somebody cares to invent, do not hold the loop up.
// It took 20 s when each VIP was looked for in the configuration of each member.
func TestHostileConfiguration(t *testing.T) {
	w := newHostile(t)
	l := Layout{V: Format, Moves: -1}
	for i := range maxLayout {
		l.VIPs = append(l.VIPs, LayoutVIP{Name: fmt.Sprintf("v%d", i), Addresses: []string{"10.6.6.6/32"}})
	}
	digest := digestOf(l)
	w.put("configs/"+digest, string(Encode(l)))
	for i := range 200 {
		w.put(fmt.Sprintf("members/h%d", i), `{"v":1,"reg":"x"}`)
		w.put(fmt.Sprintf("states/h%d", i), string(Encode(State{V: Format, State: StateReady, Weight: 1, Digest: digest, Planner: Planner})))
	}
	began := time.Now()
	w.act()
	w.look()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	l.VIPs = append(l.VIPs, LayoutVIP{Name: "one-more"})
	if _, err := decodeLayout(Encode(l)); !errors.Is(err, errForeign) {
		t.Errorf("one VIP more than a configuration may have is %v", err)
	}
}

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
}

func newHostile(t *testing.T) *hostile {
	cfg := testConfig("a", "dns", "web")
	w := &hostile{t: t, boot: 10 * time.Second, rev: 10, keys: map[string]Entry{}, up: map[Address]bool{}}
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
		w.boot += 100 * time.Millisecond
		w.act()
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
