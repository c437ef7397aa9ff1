package sentinel

import (
	"fmt"
	"net/netip"
	"time"
)

// Config is what a Machine must know. Instants are time.Duration since boot on CLOCK_BOOTTIME everywhere.
type Config struct {
	Interval time.Duration // between two questions to a ward
	Misses   int           // unanswered questions that make it a suspect
	Grace    time.Duration // between the challenge and the eviction
}

// Terms are what this configuration asks of whoever would evict its node.
func (c Config) Terms() Terms {
	return Terms{Grace: c.Grace, Silence: time.Duration(c.Misses)*c.Interval + c.Grace}
}

// quarantine is how long a node may hear nobody [F4].
func (c Config) quarantine() time.Duration { return c.Terms().Silence * 7 / 10 }

// Unasked is how long a node that its guards ask no more has for a check until what it shows rests on that check alone ([Contact].Unasked).
func (c Config) Unasked() time.Duration { return c.quarantine() * 3 / 10 }

// Terms are what the owner of a claim asks of whoever would evict it, because it keeps its own part within it.
type Terms struct {
	Grace   time.Duration // from the challenge to the eviction: it adds nothing that rests on a check older than half of that
	Silence time.Duration // of its own: it takes its VIPs down when it has heard nobody for 0.7 of that
}

// Covers tells whether who kept to these terms kept to the others as well.
func (t Terms) Covers(o Terms) bool { return t.Grace >= o.Grace && t.Silence >= o.Silence }

// Ref names a registration by node and create revision of the member key.
type Ref struct {
	Node string
	Rev  int64
}

// MAC is an Ethernet address. The zero value is none known.
type MAC [6]byte

// Host is an address on an interface of this node.
type Host struct {
	Link string
	Addr netip.Addr
}

// Fact is something that happened.
type Fact interface{ fact() }

type (
	// Viewed: what etcd and this node say, as of one moment.
	Viewed struct {
		Me         Ref  // this node's registration; zero: none
		Ready      bool // it is ready, and so a guard
		Confirmed  time.Duration
		Members    []Member
		Claims     []Claim
		Challenges []Standing
		Evicted    []Ref  // registrations that an eviction names
		Witnesses  []Host // that are no members
		Own        []Own  // interfaces with VIPs of this node
		Accused    Accused
	}
	// Answered: somebody at MAC said that it has the address.
	Answered struct {
		Host
		MAC MAC
		// Unasked: it told everybody, so whatever was known of the address may have changed.
		Unasked bool
	}
	// Questioned: somebody asked this node alone whether it is there, as guards do.
	Questioned struct {
		Link string
		MAC  MAC  // of who asked, if it is known
		Sure bool // nobody but members asks so
	}
)

func (Viewed) fact()     {}
func (Answered) fact()   {}
func (Questioned) fact() {}

// Member is a node that is registered.
type Member struct {
	Ref
	Ready bool
	Fast  bool // it takes part in this
}

// Claim is a VIP on an interface of this node, and whose it is.
type Claim struct {
	VIP    string
	Owner  Ref
	Mod    int64 // revision of the claim
	Seen   time.Duration
	Moving bool
	Terms  Terms // zero: the owner does not take part
	Host
}

// Standing is a challenge in etcd.
type Standing struct {
	Ward     Ref
	Mod      int64
	By       Ref
	Seen     time.Duration // by this node, when it stood
	Read     bool          // etcd has been read quickly since
	Consents []string      // nodes that agree
}

// Own is an interface on which this node has VIPs.
type Own struct {
	Link  string
	Fast  bool          // and terms in the claim of one of them
	Since time.Duration // since when the oldest of those has been seen
	Held  bool          // a process before this one put addresses up there and promised to hold to terms; who else is a member is not known yet
}

// Accused is a challenge against this node; Mod is 0 when there is none.
type Accused struct {
	Mod  int64
	Link string // of the VIP that it is about
}

// Action is something to do now.
type Action interface{ fmt.Stringer }

type (
	// Probe asks one host; everybody if MAC is zero.
	Probe struct {
		Host
		MAC MAC
	}
	// Challenge the ward, if its claim still has that revision. Asked again until the view shows what came of it.
	Challenge struct {
		Ward Ref
		VIP  string
		Mod  int64
	}
	// Consent to the challenge with that revision.
	Consent struct {
		Ward Ref
		Mod  int64
	}
	// Dissent takes this node's consent to the challenge with that revision back.
	Dissent struct {
		Ward Ref
		Mod  int64
	}
	// Cancel takes this node's challenge back.
	Cancel struct {
		Ward Ref
		Mod  int64
		Why  string
	}
	// Evict the ward on the grounds of this node's challenge with that revision. Terms say what was kept.
	Evict struct {
		Ward  Ref
		Mod   int64
		Terms Terms
	}
	// Refute the challenge against this node with that revision.
	Refute struct{ Mod int64 }
	// Contact says how this node stands on an interface, when that has changed.
	Contact struct {
		Link  string
		Basis bool // there is a witness: being cut off can be told from the death of the others
		Lost  bool // nobody is heard: quarantine
		// Unasked: its guards asked it and do so no more, so they may not hear it either. From Config.Unasked later on, what is up may stay for a grace
		// after each check.
		Unasked bool
		At      time.Duration // since when
	}
)

func (a Probe) String() string { return fmt.Sprintf("probe %s on %s at %x", a.Addr, a.Link, a.MAC[:]) }
func (a Challenge) String() string {
	return fmt.Sprintf("challenge %s/%d for %s at %d", a.Ward.Node, a.Ward.Rev, a.VIP, a.Mod)
}
func (a Consent) String() string {
	return fmt.Sprintf("consent %s/%d to %d", a.Ward.Node, a.Ward.Rev, a.Mod)
}
func (a Dissent) String() string {
	return fmt.Sprintf("dissent %s/%d to %d", a.Ward.Node, a.Ward.Rev, a.Mod)
}
func (a Cancel) String() string {
	return fmt.Sprintf("cancel %s/%d: %s", a.Ward.Node, a.Ward.Rev, a.Why)
}
func (a Evict) String() string {
	return fmt.Sprintf("evict %s/%d by %d", a.Ward.Node, a.Ward.Rev, a.Mod)
}
func (a Refute) String() string { return fmt.Sprintf("refute %d", a.Mod) }
func (a Contact) String() string {
	s := fmt.Sprintf("contact %s basis %t lost %t", a.Link, a.Basis, a.Lost)
	if a.Unasked {
		s += " unasked"
	}
	return s
}
