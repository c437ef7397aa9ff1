package plan

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// exodus is node a, which holds all VIPs and is drained, beside others that accept what they are offered. It counts what a client would notice, and what etcd
// is asked to write.
type exodus struct {
	*dialogue
	others  map[string]int64 // create revisions
	refuses string           // this one never answers
	stuck   string           // a VIP that cannot be deleted
	down    int              // VIPs that are deleted and not handed over
	most    int              // at once
	commits map[Kind][]int   // how many claims each transaction wrote
	mixed   int              // transactions that offer to several targets
}

func newExodus(t *testing.T, vips int, others ...string) *exodus {
	t.Helper()
	cfg := testConfig("a")
	cfg.Mature = 10 * ms
	for i := range vips {
		cfg.VIPs = append(cfg.VIPs, VIP{Name: fmt.Sprintf("v%03d", i), Prefixes: []netip.Prefix{pfx(fmt.Sprintf("10.77.%d.%d/32", i/250, 1+i%250))}})
	}
	e := &exodus{dialogue: start(t, cfg), others: map[string]int64{}, commits: map[Kind][]int{}}
	var free []Entry
	for _, vip := range cfg.VIPs {
		c := claimWith(vip.Name, "", 0, 2, vip.Prefixes[0].String())
		c.Reg = ""
		free = append(free, e.put("claims/"+vip.Name, c, 2))
	}
	e.register(free...)
	e.run(5*time.Second, func() bool { return e.held() < vips })
	if n := e.held(); n != vips {
		t.Fatalf("it holds %d of %d VIPs", n, vips)
	}
	var said []Entry
	for _, node := range others {
		m := e.member(node)
		e.others[node] = m[0].Create
		said = append(said, m...)
	}
	e.tell(e.batch(append(said, e.put("drains/a", Intent{V: 1}, 1))...))
	return e
}

func (e *exodus) held() (n int) {
	for _, c := range e.v.etcd.claims {
		if c.Node == "a" {
			n++
		}
	}
	return n
}

func (e *exodus) holds() bool { return e.held() > 0 }

// run carries out what the node wants, in 10 ms steps, for as long as more says and not longer than dur.
func (e *exodus) run(dur time.Duration, more func() bool) {
	e.t.Helper()
	for end := e.ms + int(dur/ms); e.ms < end && more(); e.ms += 10 {
		for e.tell(); len(e.acts) > 0; {
			a := e.acts[0]
			e.acts = e.acts[1:]
			if c, ok := a.(Commit); ok {
				e.write(c)
			} else {
				e.tell(e.effect(a)...)
			}
		}
	}
}

// effect carries an action out that is no transaction.
func (e *exodus) effect(a Action) (facts []Fact) {
	switch a := a.(type) {
	case Check:
		facts = append(facts, CheckAnswered{T0: e.now().Boot, Cluster: 1, Since: a.Since, Keys: a.Keys, Revision: e.rev, MemberRev: e.v.self.reg.MemberRev, Member: e.memberValue(), Changed: e.changed(a.Since), Count: a.Keys + e.born(a.Since)})
	case Renew:
		facts = append(facts, Renewed{e.v.self.reg.Lease, 3 * time.Second})
	case WriteState:
		facts = append(facts, StateWritten{a.State})
	case WriteLayout:
		facts = append(facts, LayoutWritten{})
	case ReadAddresses:
		present := map[Address]bool{}
		for _, l := range e.v.local {
			if l.up {
				present[l.set[0]] = true
			}
		}
		facts = append(facts, AddressesObserved{Present: present})
	case RaiseAddresses:
		for _, it := range a.Items {
			facts = append(facts, AddressesRaised{VIP: it.VIP, T0: a.T0})
		}
	case DelAddresses:
		e.down += len(a.Items)
		e.most = max(e.most, e.down)
		for _, it := range a.Items {
			f := AddressesDeleted{VIP: it.VIP}
			if it.VIP == e.stuck {
				f.Err = errForeign
			}
			facts = append(facts, f)
		}
	}
	return facts
}

// write carries a transaction out; targets accept at once what it offers.
func (e *exodus) write(a Commit) {
	e.t.Helper()
	kind := a.Writes[0].Kind
	e.commits[kind] = append(e.commits[kind], len(a.Writes))
	if kind == Transfer {
		e.down -= len(a.Writes)
	}
	rest := e.acts
	e.acts = []Action{a}
	e.commit()
	e.acts = append(rest, e.acts...)
	accepted := map[string][]Entry{}
	for _, w := range a.Writes {
		if c := e.v.etcd.claims[w.VIP]; kind == Offer {
			n := c.Claim
			n.Accept, n.Writes = e.others[c.To], c.version+1
			x := Entry{Key: "claims/" + w.VIP, Value: Encode(n), Create: c.create, Version: n.Writes}
			accepted[c.To] = append(accepted[c.To], x)
		}
	}
	if len(accepted) > 1 {
		e.mixed++
	}
	delete(accepted, e.refuses)
	for _, target := range sortedKeys(accepted) {
		e.rev++
		for i := range accepted[target] {
			accepted[target][i].Mod = e.rev
		}
		e.tell(e.batch(accepted[target]...))
	}
	e.tell(BatchSeen{Revision: e.rev})
}

// However many VIPs leave, few are down at once, and they take no more transactions than if all went together.
func TestVIPsLeaveInChunks(t *testing.T) {
	e := newExodus(t, 520, "b", "c")
	e.run(10*time.Second, e.holds)
	if n := e.held(); n > 0 {
		t.Fatalf("%d VIPs are still here", n)
	}
	if e.most == 0 || e.most > 50 {
		t.Errorf("%d VIPs were down at once, want one transaction's worth, 50, at the most", e.most)
	}
	if n := len(e.commits[Offer]); n > 11 {
		t.Errorf("%d transactions to offer 520 VIPs, 50 in each: %v", n, e.commits[Offer])
	}
	if n := len(e.commits[Transfer]); n > 12 { // the last one goes to both
		t.Errorf("%d transactions to transfer them: %v", n, e.commits[Transfer])
	}
	if e.mixed > 1 {
		t.Errorf("%d transactions offer to both targets: each of them costs two accepts and two transfers", e.mixed)
	}
}

// Targets that are given few VIPs each share a transaction.
func TestChunkForManyTargets(t *testing.T) {
	e := newExodus(t, 100, "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
	e.run(10*time.Second, e.holds)
	if n := e.held(); n > 0 || len(e.commits[Offer]) != 2 {
		t.Errorf("%d VIPs are still here, offered in %v", n, e.commits[Offer])
	}
}

// A target that does not answer holds up its own VIPs, and nobody else's for more than 50 ms.
func TestSilentTargetDoesNotHoldUpOthers(t *testing.T) {
	e := newExodus(t, 400, "b", "c")
	e.refuses = "b"
	e.run(acceptSoon+20*ms, e.holds)
	if n := e.held(); n != 200 {
		t.Fatalf("%d VIPs are still here after %v, want the 200 that are for b", n, acceptSoon)
	}
	e.refuses = ""
	e.run(offerBackoff+10*time.Second, e.holds)
	if n := e.held(); n > 0 {
		t.Fatalf("%d VIPs are still here", n)
	}
}

// Nor does a VIP whose address the kernel does not let go.
func TestStuckVIPDoesNotHoldUpOthers(t *testing.T) {
	e := newExodus(t, 300, "b", "c")
	e.stuck = "v000"
	e.run(offerTimeout+100*ms, func() bool { return e.held() > 1 })
	if n := e.held(); n != 1 {
		t.Errorf("%d VIPs are still here, want the one that is stuck", n)
	}
}

// While a chunk is handed over, the VIPs that wait for their turn keep their lifetimes.
func TestVIPsThatWaitForTheirTurnStayUp(t *testing.T) {
	e := newExodus(t, 300, "b", "c")
	e.refuses = "b"
	down := 0
	for range 20 { // seconds: nothing can go to b
		e.run(time.Second, e.holds)
		for _, l := range e.v.local {
			if l.up && e.now().Boot >= e.v.keepUntil(l) {
				down++
			}
		}
	}
	if n := e.held(); down > 0 || n != 150 {
		t.Errorf("%d addresses have ended, %d VIPs are here; want the 150 that are for b, all up", down, n)
	}
}

// An offer and an accept say nothing about who holds what, so nobody plans again: with hundreds of them, that is most of what a drain would cost.
func TestMovesUnderWayCostNoPlanning(t *testing.T) {
	e := newExodus(t, 50, "b")
	placed := e.v.placement()
	for e.commits[Transfer] == nil && e.v.placed == placed {
		a := e.acts[0]
		e.acts = e.acts[1:]
		if c, ok := a.(Commit); !ok {
			e.tell(e.effect(a)...)
		} else if c.Writes[0].Kind != Transfer {
			e.write(c)
		} else {
			return // all were offered, accepted and deleted
		}
	}
	t.Errorf("it has planned again after %v, before anything was transferred", e.commits)
}

// A VIP that comes needs a check, and the check allows new lifetimes for all that are up: they are not set for each of many VIPs that come, and never before
// the new one is added.
func TestWhatComesGoesBeforeWhatIsUp(t *testing.T) {
	d := start(t, testConfig("a", "dns", "web"))
	b := d.member("b")
	dns, web := claimWith("dns", "b", b[0].Create, 2, "192.0.2.100/32"), claimWith("web", "", 0, 2, "192.0.2.101/32")
	web.Reg = ""
	drain := d.put("drains/b", Intent{V: 1}, 1)
	d.register(append(b, drain, d.put("claims/dns", dns, 2), d.put("claims/web", web, 2))...)
	d.play(6 * time.Second)
	if !d.v.local["web"].up {
		t.Fatal("it does not hold web")
	}
	change := func(edit func(c *Claim)) {
		known := d.v.etcd.claims["dns"]
		c := known.Claim
		edit(&c)
		c.Writes = known.version + 1
		x := d.put("claims/dns", c, c.Writes)
		x.Create = known.create
		d.tell(d.batch(x))
	}
	change(func(c *Claim) { c.To = "a" })
	d.commit() // accept
	for d.v.self.checkBusy || d.now().Boot < d.v.self.good.t0+100*ms {
		d.ms += 10
		d.tell()
		d.answer()
	}
	d.acts = nil
	change(func(c *Claim) {
		c.Node, c.Reg, c.MemberRev, c.To, c.Accept = "a", d.v.self.reg.ID, d.v.self.reg.MemberRev, "", 0
	})
	d.answer() // the check
	d.want("raise +dns")
	d.play(time.Second)
	if l := d.v.local["web"]; d.now().Boot-l.t0 > 600*ms {
		t.Errorf("web was set last on a check %v ago", d.now().Boot-l.t0)
	}
}
