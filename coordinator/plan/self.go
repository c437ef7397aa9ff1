package plan

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

type phase int

const (
	unregistered phase = iota
	registering
	registered
)

// knownMost bounds the registrations that a node remembers of this boot.
const knownMost = 64

// self is this node's own standing: registration, lease, authority, readiness.
type self struct {
	phase         phase
	reg           Registration
	pending       string   // id of the registration under way; kept while in doubt, so that a late success is adopted [A5]
	known         []string // ids of this boot's registrations: claims stamped with them are this machine's own
	count         int      // registrations begun
	registers     bool     // a registration is being made, whatever has become of it meanwhile: one at a time
	at            time.Duration
	adopted       bool // the registration was found in the state file and waits for its first check
	trouble       string
	name          string // why the node's name cannot be had, or what it cannot stand beside; "" when it can
	reading       string // why etcd could not be read; "" when it could
	writing       string // why the last write of any kind failed; "" when it did not
	written       []byte // the member key's value, once a check has shown that it is what this registration wrote
	mend, mending bool   // the member key, or this configuration's, does not hold what was written; it is being put right
	revoke        int64  // lease of a registration that was forgotten

	good   good          // the last good check
	silent bool          // etcd has not answered for a while, and that was noted
	said   string        // what was last noted of this node's state
	verify time.Duration // a check sent before this counts for nothing that is set: the process was paused
	// checks, renewals, state
	checkBusy         bool
	checkAt           time.Duration
	urgentAt          time.Duration // not even an urgent one before: the last came to nothing
	checkErr          error
	reread            bool // a check found claims that the view does not explain
	renewBusy         bool
	renewAt           time.Duration
	stateBusy         bool
	stateMod          int64 // revision of the state when it was written anew
	stateAt, layoutAt time.Duration

	started time.Duration
	since   time.Duration // when this registration was made
	mature  time.Duration // since when registered and healthy

	leaving, deregistering, done bool
	deadline                     time.Duration
}

// good is an authority check that was answered well.
type good struct {
	have      bool
	t0        time.Duration // boot time before it was sent
	memberRev int64         // the registration that it confirmed
	revision  int64         // that it was answered at
}

func newSelf(_ Config, now Now) self { return self{started: now.Boot, mature: now.Boot} }

// remember adopts what an earlier process of this boot was. Whether it still stands, the first check tells.
func (s *self) remember(f Remembered, now time.Duration) {
	s.known = slices.Clone(f.Known)
	if f.Last.MemberRev > 0 && f.Last.Lease != 0 {
		s.phase, s.reg, s.adopted = registered, f.Last, true
		s.renewAt, s.checkAt = now, now
	}
}

// freshCheck tells whether the last good check confirmed the registration that stands.
func (s *self) freshCheck() bool {
	return s.phase == registered && s.good.have && s.good.memberRev == s.reg.MemberRev && s.good.t0 >= s.verify
}

func (s *self) registering(a Register) {
	s.phase, s.registers = registering, true
	if s.pending != a.Member.Reg {
		s.pending = a.Member.Reg
		s.count++
		s.known = append(s.known, a.Member.Reg)
		if len(s.known) > knownMost {
			s.known = slices.Delete(s.known, 0, len(s.known)-knownMost)
		}
	}
}

// lapse: the registration is no more. Addresses stay for the rest of their lifetime; a new registration follows at once, jittered.
func (v *View) lapse(why string, now time.Duration) {
	s := &v.self
	if s.phase != registered || s.deregistering {
		return
	}
	s.phase, s.pending, s.adopted = unregistered, "", false
	s.at = now + jitter(v.cfg.Node, s.count)
	s.revoke = s.reg.Lease // whoever said that it is gone may have been a stale leader; the name must be free
	s.stateBusy, s.renewBusy = false, false
	v.replan()
	v.alarm("", "lapsed", why)
}

func jitter(node string, n int) time.Duration {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", node, n)
	return time.Duration(h.Sum32()%1000) * jitterMost / 1000
}

func (v *View) foldRegistered(f Registered, now Now) {
	s := &v.self
	s.registers = false
	if f.Registration.ID != s.pending {
		return // of a registration that was given up
	}
	s.phase, s.reg, s.pending, s.trouble, s.written, s.since = registered, f.Registration, "", "", nil, now.Boot
	if f.Revision < f.Highest { // what stands is a registration in another store than the view's
		v.wentBack(fmt.Sprintf("a registration was answered at revision %d after revision %d", f.Revision, f.Highest), now.Boot)
		return
	}
	s.renewAt, s.checkAt = now.Boot+f.Registration.TTL/3, now.Boot
	if !s.good.have || now.Boot-s.good.t0 > v.cfg.Hold {
		s.mature = now.Boot // out for too long to count as never away
	}
	v.remember++
	v.etcd.highest = max(v.etcd.highest, f.Revision)
	v.replan()
	v.note("", "registered", "registration "+f.Registration.ID)
	s.said = f.State.State
	if v.etcd.rev < f.Registration.MemberRev {
		v.etcd.members[v.cfg.Node] = member{Member{Reg: f.Registration.ID}, f.Registration.MemberRev}
		v.etcd.states[v.cfg.Node] = stated{State: f.State, mod: f.Revision}
	}
	v.judge(now.Boot)
	v.neighbors.writeAt = now.Boot + share(v.cfg.Node, min(recordSpread, v.cfg.ARPCache))
	v.neighbors.writing = false
	v.review(now.Boot)
	v.standing(now.Boot) // the watch may have seen its end already
}

func (v *View) foldRegisterFailed(f RegisterFailed, now time.Duration) {
	s := &v.self
	s.registers = false
	if s.phase != registering {
		return
	}
	s.phase, s.at = unregistered, now+2*writeRetry
	if f.Taken == nil {
		v.wrote(f.Err)
		return
	}
	s.pending = ""
	s.trouble = v.taken(f.Taken)
}

// taken says who has this node's name.
func (v *View) taken(value []byte) string {
	m, err := decodeMember(value)
	here := fmt.Sprintf("machine %s (%s)", v.cfg.Machine, v.cfg.Address)
	there := fmt.Sprintf("machine %s (%s)", m.Machine, m.Address)
	switch {
	case err != nil:
		return fmt.Sprintf("the node name %s is in use: members/%s is %v", v.cfg.Node, v.cfg.Node, err)
	case m.Machine != v.cfg.Machine:
		return fmt.Sprintf("the node name %s is in use by %s; this is %s: give one of them another name", v.cfg.Node, there, here)
	case m.Boot == v.cfg.Boot:
		return fmt.Sprintf("%s is registered by another daemon of this boot, or by a clone: %s; this is %s; waiting for it to go", v.cfg.Node, there, here)
	}
	return fmt.Sprintf("waiting for the lease of %s from before the reboot, or of a clone, to end: %s; this is %s", v.cfg.Node, there, here)
}

// refused notes, for the operator, why this node cannot register: its name is in use, and by whom, or it does not fit in; as long as that is so.
func (v *View) refused() {
	text := ""
	m, ok := v.etcd.members[v.cfg.Node]
	switch {
	case v.self.phase != unregistered || v.self.pending != "":
	case ok && !slices.Contains(v.self.known, m.Reg):
		text = v.taken(Encode(m.Member))
	default:
		text = v.apart()
	}
	if text != "" && text != v.self.name {
		v.alarm("", "refused", text)
	}
	v.self.name = text
}

func (s *self) renewed(f Renewed, now time.Duration) {
	if f.Lease != s.reg.Lease {
		return
	}
	s.renewBusy = false
	s.reg.TTL = f.TTL
	s.renewAt = now + f.TTL/3
}

func (v *View) foldRenewFailed(f RenewFailed, now time.Duration) {
	if f.Lease != v.self.reg.Lease {
		return // of an earlier registration
	}
	v.self.renewBusy = false
	v.self.renewAt = now + writeRetry
	if f.Gone {
		v.lapse("etcd has ended the lease", now)
	}
}

func (s *self) checkFailed(f CheckFailed, now, interval time.Duration) {
	s.checkBusy, s.checkErr = false, f.Err
	s.checkAt, s.urgentAt = now+interval/3, now+interval/3
}

// foldCheck takes an authority check in. Only an answer that confirms the registration and leaves no claim unaccounted for extends authority [S1, S9].
func (v *View) foldCheck(f CheckAnswered, now time.Duration) {
	s := &v.self
	s.checkBusy, s.checkErr = false, nil
	switch {
	case !v.etcd.synced || f.Since > v.etcd.rev:
		return // sent by a view that has been forgotten
	case v.etcd.cluster != 0 && f.Cluster != v.etcd.cluster || f.Revision < max(f.Since, f.Highest) || v.contradicts(f):
		v.wentBack(fmt.Sprintf("a check answered revision %d of cluster %x after revision %d of cluster %x", f.Revision, f.Cluster, f.Highest, v.etcd.cluster), now)
		return
	case s.phase != registered || f.Revision < s.reg.MemberRev:
		return // sent before this registration
	case now-f.T0 > v.cfg.CheckTimeout:
		s.checkErr = errors.New("answered too late")
		return
	case f.MemberRev != s.reg.MemberRev:
		v.foldCheckKeys(f, now)
		v.lapse("the member key of this registration is gone", now)
		return
	}
	if !bytes.Equal(f.Member, s.written) {
		if m, err := decodeMember(f.Member); err != nil || m.Reg != s.reg.ID || m.V != Format || m.Version != v.cfg.Version {
			s.mend = true // overwritten by hand, and off its lease; or this process is another version than the one that registered
		} else {
			s.written = f.Member
		}
	}
	v.foldCheckKeys(f, now)
	v.fold(f.Changed, nil, now)
	created := createdIn(f)
	if f.Keys+created != f.Count {
		s.checkErr = fmt.Errorf("%d claims where %d were expected; reading all again", f.Count, f.Keys+created)
		s.urgentAt = now + v.cfg.CheckInterval/3
		s.reread = true
		return
	}
	if s.adopted {
		s.adopted = false
		v.adopt(now)
	}
	if _, accused := v.accused(); accused {
		s.urgentAt = now + v.cfg.CheckInterval/10
		return // [F1]
	}
	v.noteAnswer(s.good.t0, now)
	s.good = good{true, max(s.good.t0, f.T0), f.MemberRev, max(s.good.revision, f.Revision)}
}

// contradicts tells whether the answer lacks a change that this node knows of, and that is not older than what it asked for: then the store went back.
func (v *View) contradicts(f CheckAnswered) bool {
	for vip, c := range v.etcd.claims {
		if c.absent || c.mod <= f.Since || c.mod > f.Revision {
			continue
		}
		if !slices.ContainsFunc(f.Changed, func(e Entry) bool { return e.Key == "claims/"+vip && e.Mod >= c.mod }) && f.Keys+createdIn(f) == f.Count {
			return true
		}
	}
	return false
}

// createdIn counts the claims that the answer reports as made since the view's revision.
func createdIn(f CheckAnswered) int64 {
	n := int64(0)
	for _, e := range f.Changed {
		if e.Create > f.Since {
			n++
		}
	}
	return n
}

// adopt: the registration of the process before this one still stands; a node that was ready then is ready now.
func (v *View) adopt(now time.Duration) {
	if v.etcd.states[v.cfg.Node].State.State == StateReady {
		v.self.mature = now - v.cfg.Mature
	}
	said := v.etcd.states[v.cfg.Node].State
	l, _ := v.layoutOf(said)
	for _, vip := range slices.Concat(said.unable(l), said.Recovers) {
		if l := v.local[vip]; l != nil {
			l.able = now
		}
	}
	v.replan()
	up := 0
	for _, l := range v.local {
		up += boolInt(l.up)
	}
	v.note("", "adopted", fmt.Sprintf("registration %s of the process before, %d VIPs up", v.self.reg.ID, up))
}

// wentBack: etcd is not what it was, for it gave an answer at a lower revision than this node knew of when it asked, which a linearizable store cannot. (An
// answer that the watch has overtaken may be older than the view: that is nothing.) Nothing that was known counts any more.
func (v *View) wentBack(why string, now time.Duration) {
	v.alarm("", "store went back", why+": everything is withdrawn and forgotten")
	v.etcd = newStore(v.etcd.own)
	v.evidence = newEvidence()
	v.fast.queue, v.fast.read, v.fast.checked = nil, 0, 0
	clear(v.fast.busy)
	v.notBefore = now + v.cfg.Wait
	v.self.revoke = v.self.reg.Lease // it may stand again, and keep the name from the next registration
	v.self.phase, v.self.pending, v.self.known, v.self.adopted = unregistered, "", nil, false
	v.self.good = good{}
	v.self.at, v.self.mature = now, now
	v.self.reread = true // a watch may go on unbroken
	v.self.stateBusy, v.self.renewBusy = false, false
	v.replan()
	v.remember++
	for _, l := range v.local {
		l.doubt = true
	}
}

// wrote notes whether a write of any kind succeeded, for the operator.
func (v *View) wrote(err error) {
	why := ""
	if err != nil {
		why = fmt.Sprintf("cannot write to etcd: %v", err)
	}
	if why != "" && v.self.writing == "" {
		v.alarm("", "fault", why)
	}
	v.self.writing = why
}

// readiness is what this node says of itself now.
func (v *View) readiness(now time.Duration) (state, why string, until time.Duration) {
	since, mature := v.maturing(now)
	switch due := since + mature; {
	case v.self.leaving:
		return StateLeaving, "stopping", never
	case now < due:
		return StateJoining, fmt.Sprintf("ready once registered and healthy for %v", mature), due
	}
	return StateReady, "", never
}
