package plan

import (
	"time"

	"viplease/sentinel"
)

// Fact is something that happened. Facts may be lost, repeated or reordered: the next observation heals it.
type Fact interface{ fact() }

type (
	// Remembered: this boot has run a daemon of this node before. Told once, before anything else.
	Remembered struct {
		Last      Registration // may still live in etcd; zero: none
		Cluster   uint64       // of the etcd that it lived in; 0: unknown
		Revision  int64        // the highest that was seen there
		Known     []string     // ids of all registrations of this boot: claims stamped with them are this machine's own
		Addresses []Address    // what may have been set
		Fast      []string     // interfaces on which its claims said that it holds to the terms of fast takeover
		Gained    []string     // VIPs whose gain was told, and their loss not yet; see View.Changes
	}
	// PlacesObserved: where every VIP of the configuration goes on this node, by VIP name.
	PlacesObserved struct{ Places map[string]Place }

	// SnapshotRead: everything below the prefix, at one revision.
	SnapshotRead struct {
		Cluster  uint64
		Revision int64
		Entries  []Entry
	}
	// ReadFailed: etcd could not be read.
	ReadFailed struct{ Err error }
	// BatchSeen: the watch that continues the snapshot went on to Revision.
	BatchSeen struct {
		Revision int64
		Changed  []Entry
		Deleted  []Deleted
	}

	// CheckAnswered: the authority check was answered in time. T0 is the boot time before the request was sent.
	CheckAnswered struct {
		T0        time.Duration
		Cluster   uint64
		Since     int64 // the view's revision when it was sent
		Highest   int64 // the highest revision that the node knew of then
		Keys      int64 // how many claims the view had then that were not created after Since
		Revision  int64
		MemberRev int64   // create revision of this node's member key, 0: absent
		Member    []byte  // and its value
		Changed   []Entry // claims changed after Since
		Count     int64   // how many claims there are
		Challenge *Entry  // challenges/<node>; nil: there is none
		Eviction  *Entry  // evictions/<node>; nil: there is none
	}
	// CheckFailed: no usable answer.
	CheckFailed struct{ Err error }

	// Registered: the member key stands, with this registration.
	Registered struct {
		Registration Registration
		Highest      int64 // the highest revision that the node knew of when it asked
		Revision     int64
		State        State // as written beside it
	}
	// RegisterFailed: it does not, or nobody knows. Taken holds the value that stands there, if one does.
	RegisterFailed struct {
		Taken []byte
		Err   error
	}
	// Renewed: the lease lives. TTL as granted.
	Renewed struct {
		Lease int64
		TTL   time.Duration
	}
	// RenewFailed: no answer; Gone: etcd says the lease is no more.
	RenewFailed struct {
		Lease int64
		Gone  bool
		Err   error
	}
	// StateWritten: states/<node> holds State.
	StateWritten struct{ State State }
	// StateFailed: it may not.
	StateFailed struct{ Err error }
	// LayoutWritten: configs/<digest> was written, or stood there. Taken: something else stands there.
	LayoutWritten struct {
		Taken bool
		Err   error
	}

	// ClaimsCommitted: etcd answered a transaction. Member: this node's registration stood; without it nothing was written.
	ClaimsCommitted struct {
		MemberRev int64 // the registration that wrote
		Writes    []ClaimWrite
		Highest   int64 // the highest revision that the node knew of when it asked
		Revision  int64
		Member    bool
		Results   []WriteResult
	}
	// ClaimsFailed: no answer, or an error. InDoubt: the writes may have been applied or may be later.
	ClaimsFailed struct {
		Writes  []ClaimWrite
		InDoubt bool
		Err     error
	}

	// AddressesRaised: the addresses of a VIP are up (or have their lifetime again) if Err is nil; else none is.
	AddressesRaised struct {
		VIP  string
		T0   time.Duration // of the check that gave the authority
		Late bool          // authority had passed by then: what had been set was deleted again, what had not stays on its old lifetime
		Left bool          // the kernel did not confirm that nothing is up
		// Foreign: an address is up that this daemon did not set, for instance by hand, and has no end. It goes first.
		Foreign bool
		Err     error
	}
	// AddressesDeleted: the kernel has confirmed that the addresses are gone, if Err is nil.
	AddressesDeleted struct {
		VIP string
		Err error
	}
	// AddressesObserved: what of ours the kernel has, exactly.
	AddressesObserved struct {
		Present map[Address]bool
		Err     error
	}
	// AddressChanged: an event, to be confirmed by reading. An empty Address: events were lost.
	AddressChanged struct {
		Address Address
		Present bool
	}

	// SentinelDecided: what the sentinel wants done. It has looked at the LAN alone.
	SentinelDecided struct{ Action sentinel.Action }
	// ContestAnswered: what came of a Contest. Applied is false, too, when nobody knows: the watch will tell.
	ContestAnswered struct {
		Contest Contest
		Applied bool
		Err     error
	}

	// AddressesProbed: what answered for a VIP before it is raised. Err: nothing can be said.
	AddressesProbed struct {
		VIP   string
		Quick bool
		Ahead bool
		Rival string // hardware address; "": silence
		Err   error
	}
	// RivalHeard: a machine that is not this one uses an address.
	RivalHeard struct {
		Address  Address
		Hardware string
	}
	// HealthJudged: the first verdict of a health check, or another than before. Why: it fails, in words.
	HealthJudged struct {
		Check  string
		Passes bool
		Why    string
	}
	// NeighborsRead: the links of this host, and the hosts that its kernel knows on them.
	NeighborsRead struct {
		Lans []Lan
		Err  error
	}
	// Told: the announcer knows its audience.
	Told struct{}
	// NeighborsWritten: neighbors/<node> holds what was written, if Err is nil.
	NeighborsWritten struct {
		MemberRev int64 // the registration that wrote
		Revision  int64
		Neighbors Neighbors
		Err       error
	}
	// Paused: this process, or the machine, did not run for a while, or the real-time clock jumped. What was known before counts again after a check.
	Paused struct{ Why string }
	// Leave: hand everything over and deregister, by Deadline at the latest.
	Leave struct{ Deadline time.Duration }
	// Deregistered: the lease was revoked, or it was tried.
	Deregistered struct{ Err error }
)

// WriteResult is what came of one ClaimWrite.
type WriteResult struct {
	Won     bool
	Current *Entry // lost: what stands there; nil: nothing
	Round   *Entry // lost, and it had a Slot: the key round; nil: it is absent
}

func (Remembered) fact()        {}
func (PlacesObserved) fact()    {}
func (SnapshotRead) fact()      {}
func (ReadFailed) fact()        {}
func (BatchSeen) fact()         {}
func (CheckAnswered) fact()     {}
func (CheckFailed) fact()       {}
func (Registered) fact()        {}
func (RegisterFailed) fact()    {}
func (Renewed) fact()           {}
func (RenewFailed) fact()       {}
func (StateWritten) fact()      {}
func (StateFailed) fact()       {}
func (LayoutWritten) fact()     {}
func (ClaimsCommitted) fact()   {}
func (ClaimsFailed) fact()      {}
func (AddressesRaised) fact()   {}
func (AddressesDeleted) fact()  {}
func (AddressesObserved) fact() {}
func (AddressChanged) fact()    {}
func (AddressesProbed) fact()   {}
func (SentinelDecided) fact()   {}
func (ContestAnswered) fact()   {}
func (RivalHeard) fact()        {}
func (HealthJudged) fact()      {}
func (NeighborsRead) fact()     {}
func (Told) fact()              {}
func (NeighborsWritten) fact()  {}
func (Paused) fact()            {}
func (Leave) fact()             {}
func (Deregistered) fact()      {}
