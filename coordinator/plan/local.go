package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

type op int

const (
	idle op = iota
	raising
	deleting
)

// local is this node's side of one VIP: its addresses in the kernel and what is under way. There is one address operation and one write at a time.
type local struct {
	here  bool // it is in the configuration
	place Place
	rest  rest

	op   op
	opAt time.Duration // since when
	set  []Address     // what was last raised, or found; to be deleted even when the place has changed
	some bool          // an address of it is in the kernel, or may be
	up   bool          // all are
	t0   time.Duration // of the check that the last lifetime rests on

	probe, probing bool  // the LAN has to be asked before it is raised; is being asked
	asked          int64 // mod revision of the claim when that began
	contested      bool  // and somebody answered
	quick          quick
	ahead          ahead
	defend         time.Duration // rivals are answered quickly until then [F6]
	rival          rival

	judged *decision // that found out what cannot says
	cannot string

	able    time.Duration // since when its place is good again; 0: it always was
	raiseAt time.Duration // back-off after a failed raise
	delAt   time.Duration // and after a failed removal
	fails   int
	why     string // of the last failure

	announce, kept bool            // an announcement is due; kept: it was up all along
	stray          bool            // what is up was set by somebody else
	strays         int             // how often in a row that was so
	vanished       bool            // something else removed an address
	removed        bool            // the kernel says so, and whether it is back nobody has looked yet
	downAt         time.Duration   // when this node took it down last: the kernel may say so a moment later
	withdrawn      string          // why it was taken down, if its claim was not given away
	fights         []time.Duration // when that happened in the last minute

	gained  bool   // its gain was told, and its loss not yet
	faulty  bool   // that it cannot be held was told
	giver   string // another node that held it last; "": none that this process knows of
	whyDown string // why its addresses were taken down last; "": they were not, or are up

	write    bool          // a claim write is under way
	writeAt  time.Duration // and not before
	giving   bool          // and it gives the claim away: until it is answered that counts as done and as not done
	doubt    bool          // rule 4, and at the start of a process [S3]
	lostAt   time.Duration // when its claim went missing
	lost     bool          // the claim was ours then
	lostWait time.Duration // what the claim that went missing asked for

	offered   string        // target of the offer that this process made
	stays     bool          // an operator asked for that move
	whyHere   string        // why this node holds it: what an offer that is taken back restores
	offeredAt time.Duration // when
	shunned   map[string]time.Duration
}

// rival is another machine that was heard to use an address that is up here.
type rival struct {
	hardware string
	heard    int
	at       time.Duration // when last; 0: there is nothing to verify
	defended time.Duration
}

// writing notes that a claim write is under way.
func (l *local) writing(w ClaimWrite, before Claim, now time.Duration) {
	l.write = true
	l.giving = w.Kind == Transfer || w.Kind == Release
	switch w.Kind {
	case Offer:
		l.offered, l.offeredAt = w.Claim.To, now
		l.stays, l.whyHere = w.Claim.Moved > before.Moved, before.Why
	case Cancel:
		if l.shunned == nil {
			l.shunned = map[string]time.Duration{}
		}
		l.shunned[l.offered] = now + offerBackoff
		l.offered = ""
	case Restamp, Transfer, Release, Take:
		l.offered = ""
	}
	switch w.Kind {
	case Transfer, Release:
		l.vanished, l.withdrawn = false, ""
	case Take:
		l.probe, l.withdrawn = w.Probe, ""
	case Accept:
		l.probe = false // its holder hands it over
	}
}

// whyUnknown is what holds a VIP back before this process has looked at the links.
const whyUnknown = "its interface is not known yet"

func (v *View) foldPlaces(f PlacesObserved, now time.Duration) {
	for vip := range v.vips {
		p, ok := f.Places[vip]
		if !ok {
			p.Why = "it has no place on this node"
		}
		l := v.local[vip]
		if p.Why != "" && l.place.Why != p.Why {
			v.alarm(vip, "unfit", p.Why)
		}
		if l.place.Why != p.Why || !slices.Equal(l.place.Addresses, p.Addresses) {
			if l.place.Why != "" && l.place.Why != whyUnknown && p.Why == "" {
				l.able = now
			}
			l.place, l.fails, l.raiseAt = p, 0, 0
			v.replan()
			v.readAt, v.neighbors.readAt = 0, 0
			v.remember++
		}
	}
}

func (v *View) foldRaised(f AddressesRaised, now time.Duration) {
	l := v.of(f.VIP)
	fresh := !l.up
	l.op = idle
	if l.removed { // an observation meanwhile did not look at it
		v.readAt = now
	}
	switch {
	case f.Late:
		l.some, v.readAt = true, now // one of the two; the kernel tells
	case f.Foreign:
		l.some, l.up, l.stray = true, false, true
		if l.strays++; l.strays > 1 { // it was deleted, the kernel said, and is there again
			l.delAt = now + min(raiseBackoff<<min(l.strays-2, 10), backoffMost)
		}
		v.note(f.VIP, "address replaced", "somebody else had set it on this node, without an end")
	case f.Err != nil:
		l.some, l.up = f.Left, false
		l.why = f.Err.Error()
		l.raiseAt = now + min(raiseBackoff<<min(l.fails, 10), backoffMost)
		l.fails++
		v.replan()
		v.alarm(f.VIP, "fault", l.why)
	default:
		l.some, l.up, l.t0 = true, true, f.T0
		l.fails, l.why, l.contested, l.strays, l.whyDown = 0, "", false, 0, ""
		switch {
		case fresh && l.vanished:
			l.announce, l.kept = true, false
			v.note(f.VIP, "restored", "its address was gone")
		case fresh:
			l.announce, l.kept = true, false
			why := v.etcd.claims[f.VIP].Why
			if l.withdrawn != "" {
				why = "again, after it was withdrawn: " + l.withdrawn
			}
			v.note(f.VIP, "acquired", why)
		}
		l.vanished, l.withdrawn = false, ""
	}
}

func (v *View) foldDeleted(f AddressesDeleted, now time.Duration) {
	l := v.of(f.VIP)
	l.op = idle
	if f.Err != nil {
		l.some, l.up = true, false // until the kernel says otherwise
		l.delAt = now + writeRetry
		v.alarm(f.VIP, "fault", f.Err.Error())
		return
	}
	l.whyDown = v.whyDown(f.VIP, now)
	if c := v.etcd.claims[f.VIP]; l.up && !(v.mine(c) && c.Accept > 0) { // of a transfer its commit tells
		grade := Alarm
		if v.self.leaving || !v.vipHere(f.VIP) {
			grade = News // as it was told
		}
		l.withdrawn = l.whyDown
		v.graded(grade, f.VIP, "withdrawn", l.withdrawn)
	}
	l.removed, l.downAt = false, now
	l.some, l.up, l.announce, l.vanished, l.stray, l.t0, l.rival.at = false, false, false, false, false, 0, 0
}

// whyDown says in words why the addresses of a VIP came down.
func (v *View) whyDown(vip string, now time.Duration) string {
	c, l := v.etcd.claims[vip], v.of(vip)
	switch {
	case !v.etcd.synced || now < v.notBefore:
		return "etcd went back"
	case !v.vipHere(vip):
		return "it is not in the configuration"
	case c.valid() && c.Node != v.cfg.Node && c.Node != "":
		return "the claim names " + c.Node
	case now >= v.keepUntil(l):
		if _, unasked := v.unasked(l); unasked {
			return fmt.Sprintf("its guards ask this node no more, and there was no good answer from etcd for %v", v.cfg.Fast.Grace)
		}
		return fmt.Sprintf("no good answer from etcd for %v", v.cfg.Hold)
	case v.self.leaving:
		return "stopping"
	case l.place.Why != "":
		return l.place.Why
	case v.cutOff(l) != "":
		return "nobody is heard on " + v.cutOff(l)
	}
	if why, _ := v.forbids(vip); why != "" {
		return why
	}
	return "this node does not hold it"
}

func (v *View) vipHere(vip string) bool { _, ok := v.vips[vip]; return ok }

// foldAddresses takes an exact read-back in. What is under way will report for itself.
func (v *View) foldAddresses(f AddressesObserved, now time.Duration) {
	v.reading = false
	if f.Err != nil {
		v.readAt = min(v.readAt, now+time.Second)
		return
	}
	v.observed = true
	for vip, l := range v.local {
		if l.op != idle {
			continue
		}
		elsewhere := v.elsewhere(vip, f.Present)
		n := 0
		for _, a := range l.place.Addresses {
			if f.Present[a] {
				n++
			}
		}
		all := n > 0 && n == len(l.place.Addresses)
		switch {
		case all && l.up && l.removed: // a refresh set it again before anybody looked
			l.announce, l.kept = true, false
			v.alarm(vip, "address gone", "something else removed it, and it was set again")
			v.fought(vip, l, now)
		case all && !l.up:
			l.some, l.up, l.set, l.t0 = true, true, slices.Clone(l.place.Addresses), 0
			l.announce, l.kept = true, true
		case !all && l.up:
			if l.place.Why != "" {
				v.alarm(vip, "address gone", l.place.Why)
			} else {
				v.alarm(vip, "address gone", fmt.Sprintf("%d of %d addresses are there; something else removed them", n, len(l.place.Addresses)))
				v.fought(vip, l, now)
			}
			fallthrough
		default:
			l.some = n > 0 || l.some && present(f.Present, l.set)
			l.up = all
		}
		l.removed = false
		for _, a := range elsewhere {
			if l.some = true; !slices.Contains(l.set, a) {
				l.set = append(slices.Clone(l.set), a)
			}
		}
	}
}

// elsewhere are addresses of the VIP that are up, but not where it goes now: its file, or the name of an interface, has changed.
func (v *View) elsewhere(vip string, have map[Address]bool) (out []Address) {
	for _, p := range v.vips[vip].Prefixes {
		for a := range have {
			if a.Prefix == p && !slices.Contains(v.local[vip].place.Addresses, a) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b Address) int { return strings.Compare(a.Link, b.Link) })
	return out
}

// fought notes that something else removed an address. After a few times in a minute this node gives the VIP up: another may have more luck.
func (v *View) fought(vip string, l *local, now time.Duration) {
	l.vanished = true
	l.fights = slices.DeleteFunc(append(l.fights, now), func(t time.Duration) bool { return now-t > time.Minute })
	if len(l.fights) > fightsMost {
		l.fights = nil
		l.why = fmt.Sprintf("something on this node removed its address %d times in a minute", fightsMost+1)
		l.fails, l.raiseAt = max(l.fails, 1), now+backoffMost
		v.replan()
		v.alarm(vip, "fault", l.why)
	}
}

func (v *View) foldProbed(f AddressesProbed, now time.Duration) {
	l, c := v.of(f.VIP), v.etcd.claims[f.VIP]
	if f.Ahead {
		l.ahead.answered(f, now)
		return
	}
	if f.Quick {
		l.quick.busy, l.quick.at, l.quick.rival = false, now, f.Rival != "" || f.Err != nil
		return
	}
	l.probing = false
	if !v.mine(c) || c.mod != l.asked {
		return // it may have been given away meanwhile, and its holder answered
	}
	if f.Rival == "" { // silence, or no answer to be had: raising it will tell
		l.probe = false
		return
	}
	l.contested = true
	l.why = fmt.Sprintf("machine %s, which is not of this cluster, answers for its address", f.Rival)
	l.fails++
	l.raiseAt = now + min(10*raiseBackoff<<min(l.fails-1, 10), backoffMost)
	v.replan()
	v.alarm(f.VIP, "conflict", l.why)
}

// foldRival: whatever we believe about an address that somebody else uses, we verify at once.
func (v *View) foldRival(f RivalHeard, now time.Duration) {
	for vip, l := range v.local {
		if !l.up || !slices.ContainsFunc(l.set, func(a Address) bool {
			return a.Link == f.Address.Link && a.Prefix.Addr() == f.Address.Prefix.Addr()
		}) {
			continue
		}
		if l.rival.heard == 0 || l.rival.hardware != f.Hardware {
			v.alarm(vip, "conflict", fmt.Sprintf("machine %s uses its address %s as well", f.Hardware, f.Address.Prefix.Addr()))
		}
		l.rival.hardware, l.rival.heard = f.Hardware, l.rival.heard+1
		if l.rival.at == 0 {
			l.rival.at = now
		}
		v.self.checkAt = min(v.self.checkAt, now)
	}
}

func present(have map[Address]bool, list []Address) bool {
	return slices.ContainsFunc(list, func(a Address) bool { return have[a] })
}

// foldAddressEvent asks for a read-back when an event does not fit the view.
func (v *View) foldAddressEvent(f AddressChanged, now time.Duration) {
	if f.Address == (Address{}) {
		v.readAt = now
		return
	}
	ours := false
	for _, name := range v.named[f.Address.Prefix] {
		l := v.local[name]
		if !slices.Contains(l.place.Addresses, f.Address) && !slices.Contains(l.set, f.Address) {
			continue
		}
		ours = true
		if !f.Present && l.up && l.op != deleting && (l.downAt == 0 || now-l.downAt > time.Second) {
			l.removed = true
		}
		if l.op == idle && f.Present != l.up || l.removed {
			v.readAt = now
		}
	}
	if !ours { // one of the host's own: it may change where VIPs go
		v.readAt = now
	}
}
