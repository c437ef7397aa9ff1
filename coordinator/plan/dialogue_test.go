package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A dialogue is one node's view of a story: facts in, actions out, at fake times. Everything that the node does not ask for stays as it was.
type dialogue struct {
	t    *testing.T
	v    *View
	ms   int // now, milliseconds since boot
	rev  int64
	acts []Action

	changes []Change
}

const ms = time.Millisecond

func testConfig(node string, vips ...string) Config {
	cfg := Config{
		Group: "g", Node: node, Machine: "m-" + node, Boot: "b-" + node, Seed: node,
		TTL: 3 * time.Second, Hold: 3 * time.Second, CheckInterval: 300 * ms, CheckTimeout: 300 * ms, Wait: 4610 * ms, Mature: 5 * time.Second,
		Failback: true, MovesPerRound: -1, Weight: 1, MaxWrites: 50,
	}
	for i, vip := range vips {
		cfg.VIPs = append(cfg.VIPs, VIP{Name: vip, Prefixes: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", 100+i))}})
	}
	return cfg
}

// start begins at 10 s since boot, with every VIP's interface known and no address up.
func start(t *testing.T, cfg Config) *dialogue {
	t.Helper()
	d := &dialogue{t: t, ms: 10_000, rev: 10}
	d.v = New(cfg, d.now())
	d.tell(placesOf(cfg), AddressesObserved{})
	return d
}

func placesOf(cfg Config) PlacesObserved {
	places := map[string]Place{}
	for _, vip := range cfg.VIPs {
		places[vip.Name] = Place{Addresses: []Address{{"net1", vip.Prefixes[0]}}}
	}
	return PlacesObserved{places}
}

func (d *dialogue) now() Now {
	return Now{Boot: time.Duration(d.ms) * ms, Wall: time.Unix(1_700_000_000, 0).Add(time.Duration(d.ms) * ms)}
}

// tell applies facts and lets the node decide.
func (d *dialogue) tell(facts ...Fact) {
	d.t.Helper()
	for _, f := range facts {
		d.v.Apply(f, d.now())
	}
	actions, wake := Decide(d.v, d.now())
	again, _ := Decide(d.v, d.now())
	if fmt.Sprint(actions) != fmt.Sprint(again) {
		d.t.Fatalf("deciding twice gave %v and then %v", actions, again)
	}
	d.v.Dispatched(actions, d.now())
	d.acts = append(d.acts, actions...)
	d.changes = append(d.changes, d.v.Changes(d.now())...)
	if rest, _ := Decide(d.v, d.now()); len(rest) > 0 {
		d.t.Fatalf("after %v, which is under way, it wants %v at once", actions, rest)
	}
	if wake < d.now().Boot {
		d.t.Fatalf("wake-up at %v is in the past of %v", wake, d.now().Boot)
	}
}

// wait lets time pass in steps of 10 ms, in which the node may decide, answering its checks and renewals as a healthy etcd would when healthy is set.
func (d *dialogue) wait(dur time.Duration, healthy bool) {
	d.t.Helper()
	for end := d.ms + int(dur/ms); d.ms < end; {
		d.ms += 10
		d.tell()
		if healthy {
			d.answer()
		}
	}
}

// answer answers what is routine: checks, renewals, state, layout, and address operations, all successfully.
func (d *dialogue) answer() {
	d.t.Helper()
	var kept []Action
	acts := d.acts
	d.acts = nil
	for _, a := range acts {
		switch a := a.(type) {
		case Check:
			d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: d.rev, MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Changed: d.changed(a.Since), Count: a.Keys + d.born(a.Since)})
		case Renew:
			d.tell(Renewed{d.v.self.reg.Lease, 3 * time.Second})
		case WriteState:
			d.tell(StateWritten{a.State})
		case WriteLayout:
			d.tell(LayoutWritten{})
		case ReadAddresses:
			present := map[Address]bool{}
			for _, l := range d.v.local {
				if l.up {
					for _, addr := range l.place.Addresses {
						present[addr] = true
					}
				}
			}
			d.tell(AddressesObserved{Present: present})
		case RaiseAddresses:
			for _, it := range a.Items {
				d.tell(AddressesRaised{VIP: it.VIP, T0: a.T0})
				if it.Fresh {
					kept = append(kept, a)
				}
			}
		case ProbeAddresses:
			for _, it := range a.Items {
				d.tell(AddressesProbed{VIP: it.VIP, Quick: a.Quick, Ahead: a.Ahead})
			}
		case DelAddresses:
			kept = append(kept, a)
			for _, it := range a.Items {
				d.tell(AddressesDeleted{VIP: it.VIP})
			}
		default:
			kept = append(kept, a)
		}
	}
	for _, a := range d.acts {
		switch a.(type) {
		case Check, Renew:
		default:
			kept = append(kept, a)
		}
	}
	d.acts = kept
}

// said returns what the node wanted since the last call, routine left out.
func (d *dialogue) said() string {
	var lines []string
	for _, a := range d.acts {
		switch a.(type) {
		case Check, Renew, WriteState, WriteLayout, ReadAddresses:
			continue
		}
		lines = append(lines, a.String())
	}
	d.acts = nil
	return strings.Join(lines, "\n")
}

// said2 is said without forgetting it.
func (d *dialogue) said2() string {
	acts := d.acts
	text := d.said()
	d.acts = acts
	return text
}

func (d *dialogue) want(text string) {
	d.t.Helper()
	if got := d.said(); got != strings.TrimSpace(text) {
		d.t.Fatalf("at %d ms it wants\n%s\nnot\n%s", d.ms, got, strings.TrimSpace(text))
	}
}

// changed are the claims that etcd has at a later revision than since: those that the node knows of, for in a dialogue it knows all.
func (d *dialogue) changed(since int64) (out []Entry) {
	for vip, c := range d.v.etcd.claims {
		if c.valid() && c.mod > since {
			out = append(out, Entry{Key: "claims/" + vip, Value: Encode(c.Claim), Create: c.create, Mod: c.mod, Version: c.version})
		}
	}
	return out
}

func (d *dialogue) born(since int64) (n int64) {
	for _, c := range d.v.etcd.claims {
		if !c.absent && c.create > since {
			n++
		}
	}
	return n
}

// memberValue is the node's member key as etcd has it.
func (d *dialogue) memberValue() []byte { return Encode(Member{V: 1, Reg: d.v.self.reg.ID}) }

// put makes an entry as etcd would have it after the next revision.
func (d *dialogue) put(key string, record any, version int64) Entry {
	d.rev++
	return Entry{Key: key, Value: Encode(record), Create: d.rev - version + 1, Mod: d.rev, Version: version}
}

func (d *dialogue) batch(changed ...Entry) BatchSeen {
	return BatchSeen{Revision: d.rev, Changed: changed}
}

// registered brings the node to a ready member that has seen an etcd with these entries, claims missing for no longer than now.
func (d *dialogue) register(entries ...Entry) {
	d.t.Helper()
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: entries})
	d.want("register " + d.v.cfg.Seed + "-1 joining")
	d.rev++
	d.tell(Registered{Registration: Registration{d.v.cfg.Seed + "-1", d.rev, 77, 3 * time.Second}, Revision: d.rev, State: State{V: 1, State: StateJoining, Digest: d.v.digest}})
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok && c.Writes[0].Kind == Empty {
			d.commit()
			break
		}
	}
	d.answer()
	d.acts = nil
}

// member is another node's registration, ready, with the same configuration.
func (d *dialogue) member(node string) []Entry {
	m := d.put("members/"+node, Member{V: 1, Reg: node + "-1", Machine: "m-" + node, Boot: "b-" + node}, 1)
	st := d.put("states/"+node, State{V: 1, State: StateReady, Weight: 1, Digest: d.v.digest, Planner: Planner}, 1)
	return []Entry{m, st}
}

func claimOf(node string, memberRev, writes int64) Claim {
	return Claim{V: 1, VIP: "web", Node: node, Reg: node + "-1", MemberRev: memberRev, WaitMS: 4610, Addresses: []string{"192.0.2.100/32"}, Writes: writes, Try: "x"}
}

func claimWith(vip, node string, memberRev, writes int64, addrs ...string) Claim {
	c := claimOf(node, memberRev, writes)
	c.VIP, c.Addresses = vip, addrs
	return c
}

// commit answers the one transaction that the node wants now: won, and folded by the watch as well.
func (d *dialogue) commit() {
	d.t.Helper()
	for i, a := range d.acts {
		if c, ok := a.(Commit); ok {
			d.acts = append(d.acts[:i:i], d.acts[i+1:]...)
			d.rev++
			f := ClaimsCommitted{MemberRev: d.v.self.reg.MemberRev, Writes: c.Writes, Highest: c.Highest, Revision: d.rev, Member: true}
			for range c.Writes {
				f.Results = append(f.Results, WriteResult{Won: true})
			}
			d.tell(f)
			return
		}
	}
	d.t.Fatalf("no transaction among %v", d.acts)
}

// pending is the one transaction that the node wants now.
func (d *dialogue) pending() Commit {
	d.t.Helper()
	for _, a := range d.acts {
		if c, ok := a.(Commit); ok {
			return c
		}
	}
	d.t.Fatalf("no transaction among %v", d.acts)
	return Commit{}
}

// wantAfterW holds that nothing is wanted for W, which is 4.61 s here, and this then.
func (d *dialogue) wantAfterW(what string) {
	d.t.Helper()
	d.wait(4600*ms, true)
	d.want("")
	d.wait(20*ms, true)
	d.want(what)
}

// holding brings node a to hold web.
func holding(t *testing.T) *dialogue {
	t.Helper()
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	d.wait(30*ms, true)
	d.want("raise +web\nannounce web")
	return d
}

func (d *dialogue) inFlight(k Kind, to string) []ClaimWrite {
	c := d.v.etcd.claims["web"]
	n := c.Claim
	n.To, n.Writes = to, c.version+1
	return []ClaimWrite{{VIP: "web", Kind: k, Claim: n, IfMod: c.mod}}
}

// reborn is a new process of node a, which adopts registration a-1 (create revision 11) and finds these entries and addresses.
func reborn(t *testing.T, cfg Config, places map[string]Place, present map[Address]bool, entries ...Entry) *dialogue {
	t.Helper()
	d := &dialogue{t: t, ms: 10_000, rev: 100}
	d.v = New(cfg, d.now())
	d.tell(Remembered{Last: Registration{"a-1", 11, 77, 3 * time.Second}, Known: []string{"a-1"}}, PlacesObserved{places}, AddressesObserved{Present: present})
	all := append([]Entry{
		{Key: "members/a", Value: Encode(Member{V: 1, Reg: "a-1"}), Create: 11, Mod: 11, Version: 1},
		{Key: "states/a", Value: Encode(State{V: 1, State: StateReady, Weight: 1, Digest: "old", Planner: Planner, WaitMS: 4610}), Create: 11, Mod: 11, Version: 1},
	}, entries...)
	d.tell(SnapshotRead{Cluster: 1, Revision: 100, Entries: all})
	return d
}

// play answers everything at once and successfully, and returns what was done, routine left out.
func (d *dialogue) play(dur time.Duration) (said []string) {
	for end := d.ms + int(dur/ms); d.ms < end; d.ms += 10 {
		d.tell()
		for len(d.acts) > 0 {
			a := d.acts[0]
			d.acts = d.acts[1:]
			switch a := a.(type) {
			case Check:
				d.tell(CheckAnswered{T0: d.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: max(d.rev, a.Since), MemberRev: d.v.self.reg.MemberRev, Member: d.memberValue(), Changed: d.changed(a.Since), Count: a.Keys + d.born(a.Since)})
				continue
			case Renew:
				d.tell(Renewed{d.v.self.reg.Lease, 3 * time.Second})
				continue
			case WriteState:
				d.tell(StateWritten{a.State})
			case WriteLayout:
				d.tell(LayoutWritten{})
				continue
			case ReadAddresses:
				present := map[Address]bool{}
				for _, l := range d.v.local {
					if l.up {
						for _, addr := range l.set {
							present[addr] = true
						}
					}
				}
				d.tell(AddressesObserved{Present: present})
				continue
			case ProbeAddresses:
				for _, it := range a.Items {
					d.tell(AddressesProbed{VIP: it.VIP, Quick: a.Quick, Ahead: a.Ahead})
				}
			case RaiseAddresses:
				for _, it := range a.Items {
					d.tell(AddressesRaised{VIP: it.VIP, T0: a.T0})
				}
				if !a.Items[0].Fresh {
					continue
				}
			case DelAddresses:
				for _, it := range a.Items {
					d.tell(AddressesDeleted{VIP: it.VIP})
				}
			case Commit:
				rest := d.acts
				d.acts = []Action{a}
				d.commit()
				d.acts = append(rest, d.acts...)
				d.tell(BatchSeen{Revision: d.rev}) // the view is up to date
			}
			said = append(said, fmt.Sprint(d.ms, ": ", a))
		}
	}
	return said
}

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
