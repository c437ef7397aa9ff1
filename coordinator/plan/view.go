package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// View is all that this node knows and has under way. It is not for concurrent use.
type View struct {
	cfg    Config
	layout Layout
	digest string
	vips   map[string]VIP
	texts  map[string][]string // the addresses of each, as claims name them

	etcd      store
	evidence  evidence
	fast      fast
	self      self
	health    []health                  // of the checks of the configuration, in their order
	local     map[string]*local         // by VIP name; addresses that left the configuration stand under formerName
	named     map[netip.Prefix][]string // the names in it that an address goes by
	neighbors neighborhood
	names     []string // of local, sorted
	locals    []*local // in the same order
	era       uint64   // goes on whenever something has happened that may concern any VIP
	lists     lists    // as they were last found

	notBefore   time.Duration // nothing is taken or shown before: the store went back
	readAt      time.Duration // when the kernel's addresses are due to be read
	reading     bool
	observed    bool // the kernel has been read: until then an address may be up that this process does not know
	layoutBusy  bool
	slotting    bool // an offer that takes a slot of a round is under way
	emptying    bool // claims that were missing are being written
	tries       int  // attempt ids used
	placed      *placed
	eligibility *eligibility  // of the last placement
	plain       *bool         // the answer of uniform; nil: not known
	age         age           // of the placement
	plannedAt   time.Duration // when that was; 0: it is to be planned anew at once
	clock       time.Duration // the latest boot time that was told
	notes       []Note
	orders      orders
	remember    int // counts what changes the answer of Remember
}

// New returns the view of a node that knows nothing yet.
func New(cfg Config, now Now) *View {
	v := &View{
		cfg: cfg, vips: map[string]VIP{}, texts: map[string][]string{}, local: map[string]*local{}, named: map[netip.Prefix][]string{},
		evidence:  newEvidence(),
		fast:      newFast(),
		self:      newSelf(cfg, now),
		health:    newHealth(cfg, now),
		neighbors: neighborhood{heard: map[Neighbor]time.Duration{}, past: map[Neighbor]time.Duration{}},
	}
	v.layout, v.digest = layout(cfg)
	v.etcd = newStore(written{v.digest, v.layout, string(Encode(v.layout))})
	for _, vip := range cfg.VIPs {
		v.vips[vip.Name], v.texts[vip.Name] = vip, texts(vip.Prefixes)
		v.local[vip.Name] = &local{here: true, place: Place{Why: whyUnknown}, doubt: true}
		for _, p := range vip.Prefixes {
			v.named[p] = append(v.named[p], vip.Name)
		}
	}
	for _, a := range cfg.Former {
		v.local[formerName(a)] = &local{place: Place{Addresses: []Address{a}}}
		v.named[a.Prefix] = append(v.named[a.Prefix], formerName(a))
	}
	v.rename()
	return v
}

// formerName is the entry of an address that an earlier configuration set; no VIP can have this name.
func formerName(a Address) string { return "former " + a.Prefix.String() + " " + a.Link }

func (v *View) rename() {
	v.names = v.names[:0]
	for n := range v.local {
		v.names = append(v.names, n)
	}
	slices.Sort(v.names)
	v.era++
	v.locals = v.locals[:0]
	for _, n := range v.names {
		v.locals = append(v.locals, v.local[n])
	}
}

// of returns the local side of a VIP; one that is in no configuration has no place here.
func (v *View) of(vip string) *local {
	l := v.local[vip]
	if l == nil {
		l = &local{place: Place{Why: "it is not in this node's configuration"}}
		v.local[vip] = l
		v.rename()
	}
	return l
}

// Apply folds a fact that became known at now.
func (v *View) Apply(f Fact, now Now) {
	v.fast.wall, v.clock = now.Wall, now.Boot
	v.fast.changed(f)
	narrow, confirmed := v.narrow(f), v.self.freshCheck()
	switch f := f.(type) {
	case Remembered:
		v.self.remember(f, now.Boot)
		v.fast.inherit(f.Fast)
		for _, vip := range f.Gained {
			v.of(vip).gained = true
		}
		v.etcd.cluster, v.etcd.rev = f.Cluster, f.Revision // a first snapshot from before that is of a store that went back
	case PlacesObserved:
		v.foldPlaces(f, now.Boot)
	case SnapshotRead:
		v.foldSnapshot(f, now.Boot)
		v.self.reading = ""
	case ReadFailed:
		if v.self.reading == "" { // once; status has the latest
			v.alarm("", "fault", "cannot read etcd: "+f.Err.Error())
		}
		v.self.reading = f.Err.Error()
	case BatchSeen:
		v.foldBatch(f, now.Boot)
	case CheckAnswered:
		v.foldCheck(f, now.Boot)
	case CheckFailed:
		v.self.checkFailed(f, now.Boot, v.cfg.CheckInterval)
		v.noteSilence(f.Err, now.Boot)
	case Registered:
		v.foldRegistered(f, now)
	case RegisterFailed:
		v.foldRegisterFailed(f, now.Boot)
	case Renewed:
		v.self.renewed(f, now.Boot)
	case RenewFailed:
		v.foldRenewFailed(f, now.Boot)
	case StateWritten:
		v.wrote(nil)
		v.noteState(f.State)
		v.self.stateBusy = false
		if v.self.phase == registered && v.etcd.states[v.cfg.Node].mod == v.self.stateMod { // else the watch has shown something newer
			v.etcd.states[v.cfg.Node] = stated{State: f.State, mod: max(v.etcd.states[v.cfg.Node].mod, v.self.reg.MemberRev)}
			v.replan()
		}
	case StateFailed:
		v.wrote(f.Err)
		v.self.stateBusy, v.self.stateAt = false, now.Boot+writeRetry
	case LayoutWritten:
		v.layoutBusy = false
		v.self.mend = v.self.mend || f.Taken
		v.wrote(f.Err)
		if f.Err == nil {
			v.etcd.layouts[v.digest] = v.layout
			v.replan()
		}
		v.self.layoutAt = now.Boot + time.Second
	case ClaimsCommitted:
		v.foldCommitted(f, now.Boot)
	case ClaimsFailed:
		v.foldClaimsFailed(f, now.Boot)
	case AddressesRaised:
		v.foldRaised(f, now.Boot)
	case AddressesDeleted:
		v.foldDeleted(f, now.Boot)
	case AddressesObserved:
		v.foldAddresses(f, now.Boot)
	case AddressChanged:
		v.foldAddressEvent(f, now.Boot)
	case AddressesProbed:
		v.foldProbed(f, now.Boot)
	case RivalHeard:
		v.foldRival(f, now.Boot)
	case HealthJudged:
		v.foldHealth(f, now)
	case NeighborsRead:
		v.foldNeighborsRead(f, now.Boot)
	case Told:
		v.neighbors.telling = false
	case NeighborsWritten:
		v.foldNeighborsWritten(f, now.Boot)
	case SentinelDecided:
		v.foldSentinel(f.Action, now.Boot)
	case ContestAnswered:
		v.foldContest(f)
	case Paused:
		v.self.verify, v.self.checkAt = now.Boot, now.Boot
		v.alarm("", "paused", f.Why)
	case Leave:
		v.self.leaving, v.self.deadline = true, f.Deadline
		v.replan()
	case Deregistered:
		v.self.done, v.self.phase = true, unregistered
	default:
		panic(fmt.Sprintf("plan: unknown fact %T", f))
	}
	if !narrow || v.self.freshCheck() != confirmed {
		v.era++
	}
	v.refused()
}

// Dispatched tells the view that the actions are under way.
func (v *View) Dispatched(actions []Action, now Now) {
	for _, a := range actions {
		if !harmless(a) {
			v.era++
		}
		switch a := a.(type) {
		case Register:
			v.self.registering(a)
			v.remember++
		case Renew:
			v.self.renewBusy = true
		case WriteState:
			v.self.stateBusy, v.self.stateMod = true, v.etcd.states[v.cfg.Node].mod
		case WriteLayout:
			v.layoutBusy = true
		case Check:
			v.self.checkBusy, v.self.checkAt = true, now.Boot+v.cfg.CheckInterval
		case Commit:
			v.self.mending = v.self.mending || len(a.Puts) > 0
			for _, w := range a.Writes {
				v.of(w.VIP).writing(w, v.etcd.claims[w.VIP].Claim, now.Boot)
				v.slotting = v.slotting || w.Slot != nil
				v.emptying = v.emptying || w.Kind == Empty
			}
			v.tries += len(a.Writes)
		case RaiseAddresses:
			for _, it := range a.Items {
				l := v.of(it.VIP)
				l.op, l.opAt, l.set = raising, now.Boot, it.Addresses
			}
		case DelAddresses:
			for _, it := range a.Items {
				l := v.of(it.VIP)
				l.op, l.opAt = deleting, now.Boot
			}
		case ReadAddresses:
			v.reading, v.readAt = true, now.Boot+rereadEvery // what happens from here on may ask for it earlier
		case ProbeAddresses:
			for _, it := range a.Items {
				l := v.of(it.VIP)
				if a.Ahead {
					l.ahead = ahead{mod: v.etcd.claims[it.VIP].mod, busy: true}
					continue
				}
				if a.Quick {
					l.quick = quick{ref: v.etcd.claims[it.VIP].owner(), busy: true}
					continue
				}
				l.probing, l.asked = true, v.etcd.claims[it.VIP].mod
			}
		case Announce:
			l := v.of(a.Item.VIP)
			l.announce, l.kept = false, false
			if l.rival.at > 0 {
				l.rival.at, l.rival.defended = 0, now.Boot
			}
		case ReadNeighbors:
			v.neighbors.reading = true
		case Tell:
			v.neighbors.untold, v.neighbors.telling = false, true
		case WriteNeighbors:
			v.neighbors.writing = true
		case Contest:
			v.fast.under(a, now.Boot)
		case Revoke:
			v.self.revoke = 0
		case Reread:
			v.self.reread = false
		case Deregister:
			v.self.deregistering = true
		default:
			panic(fmt.Sprintf("plan: unknown action %T", a))
		}
	}
}

// Done tells that the node has left: nothing is held and the lease was given back.
func (v *View) Done() bool { return v.self.done }

// Authority is the boot time until which this node may show its addresses: its last good check + hold. 0: it never had any.
func (v *View) Authority() time.Duration {
	if !v.self.good.have {
		return 0
	}
	return v.self.good.t0 + v.cfg.Hold
}

// MayAnnounce is the boot time until which this node's VIPs may be announced: its authority, unless it was paused and has not checked since.
func (v *View) MayAnnounce() time.Duration {
	if v.self.good.t0 < v.self.verify {
		return 0
	}
	return v.Authority()
}

// RememberVersion changes whenever the answer of Remember does.
func (v *View) RememberVersion() int { return v.remember }

// Remember is what the next process of this boot must know.
func (v *View) Remember() Remembered {
	r := Remembered{Cluster: v.etcd.cluster, Revision: v.etcd.rev, Gained: v.gained()}
	r.Known = slices.Clone(v.self.known)
	r.Fast = sortedKeys(v.fast.promised)
	if v.self.phase == registered {
		r.Last = v.self.reg
	}
	for _, l := range v.local {
		r.Addresses = append(r.Addresses, l.both()...)
	}
	return r
}
