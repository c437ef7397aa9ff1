package plan

import (
	"fmt"
	"strings"
	"time"
)

// Action is something to do now. Each is answered by a fact.
type Action interface {
	fmt.Stringer
	action()
}

type (
	// Register: grant a lease of TTL and create the member key, with the state beside it. Answered by Registered, which repeats Highest, or RegisterFailed.
	Register struct {
		Member  Member
		State   State
		TTL     time.Duration
		Highest int64
	}
	// Renew the lease once. Answered by Renewed or RenewFailed.
	Renew struct{ Lease int64 }
	// WriteState puts states/<node>. Answered by StateWritten or StateFailed.
	WriteState struct {
		Registration Registration
		State        State
	}
	// WriteLayout puts configs/<digest> unless it stands. Answered by LayoutWritten.
	WriteLayout struct {
		Digest string
		Layout Layout
	}
	// Check authority. Answered by CheckAnswered, which repeats all three, or CheckFailed.
	Check struct{ Since, Keys, Highest int64 }
	// Commit writes claims in one transaction. Answered by ClaimsCommitted, which repeats all but Puts, or ClaimsFailed.
	Commit struct {
		MemberRev int64
		Highest   int64
		Writes    []ClaimWrite
		Puts      []Put
	}
	// RaiseAddresses adds or refreshes addresses in one burst, with the kernel lifetime Config.Hold, not after Until. Answered by one AddressesRaised per item.
	RaiseAddresses struct {
		Items []Item
		T0    time.Duration // of the check that gives the authority
		Until time.Duration // boot time; what was done later is undone at once
	}
	// DelAddresses stops announcing and then deletes. Answered by one AddressesDeleted per item.
	DelAddresses struct{ Items []Item }
	// ReadAddresses reads back what the kernel has. Answered by AddressesObserved.
	ReadAddresses struct{}
	// Reread the store: the view and a check do not agree. Answered by SnapshotRead.
	Reread struct{}
	// ProbeAddresses asks the LAN whether somebody uses the addresses. Answered by one AddressesProbed per item.
	ProbeAddresses struct {
		Items []Item
		Quick bool // twice within a few milliseconds: before a fast takeover [F5]
		Ahead bool // before their claims may be taken; see ahead.go
	}
	// Contest writes a challenge, or what follows from one, in one transaction: all or nothing. Answered by ContestAnswered.
	Contest struct {
		Kind      ContestKind
		Ward      string
		MemberRev int64 // this node's registration, which must stand
		Guards    []Guard
		Puts      []Put
		Deletes   []string
	}
	// Announce the addresses of a VIP, now and on schedule until they are deleted. Kept: they were up all along, so only the slow refresh is due.
	// Not answered.
	Announce struct {
		Item   Item
		Kept   bool
		Defend bool // a rival was heard: begin the schedule anew
	}
	// ReadNeighbors reads the kernel's tables of neighbours. Answered by NeighborsRead.
	ReadNeighbors struct{}
	// Tell the announcer who is to be told directly. Answered by Told.
	Tell struct{ Audiences []Audience }
	// WriteNeighbors puts neighbors/<node>. Answered by NeighborsWritten.
	WriteNeighbors struct {
		Registration Registration
		Neighbors    Neighbors
	}
	// Revoke a lease that is not needed any more. Not answered.
	Revoke struct{ Lease int64 }
	// Deregister revokes the lease: the end of Leave. Answered by Deregistered.
	Deregister struct{ Lease int64 }
)

// Put writes one of this node's own keys, if its registration stands.
type Put struct {
	Key   string
	Value []byte
	Lease int64
}

// Item is one VIP's addresses.
type Item struct {
	VIP       string
	Addresses []Address
	Fresh     bool // add, not a refresh of addresses that are up
	Held      bool // del: they are up and the claim is still this node's, so that it may speak for them until they are gone
}

// Kind is what a ClaimWrite does.
type Kind string

// The kinds of claim write. All are the same operation, a guarded compare-and-swap.
const (
	Empty    Kind = "empty"    // say that nobody is known to hold it, where the claim is missing or foreign
	Take     Kind = "take"     // from an owner that is gone, a release, or an empty claim
	Restamp  Kind = "re-stamp" // own claim, new registration, or to end a doubt
	Offer    Kind = "offer"    // name the target of a move
	Cancel   Kind = "cancel"   // take an offer back
	Accept   Kind = "accept"   // the target is ready to raise it
	Transfer Kind = "transfer" // to the target; the addresses are down
	Release  Kind = "release"  // to nobody; the addresses are down
)

// ClaimWrite is one compare-and-swap on a claim.
type ClaimWrite struct {
	VIP        string
	Kind       Kind
	Claim      Claim
	Cause      string     // of a take or a transfer, for those who count
	Probe      bool       // a take: ask the LAN before raising; its last holder may not be what answers
	Quick      bool       // a take after an eviction: rivals are answered quickly for W [F6]
	IfMod      int64      // the claim's mod revision; 0: the key must not exist
	OwnerGone  *MemberRef // the old owner's registration must not stand
	TargetHere *MemberRef // the target's registration must stand
	Slot       *Slot      // an offer that waits for rounds: its place in one, taken together with it or not at all
}

// MemberRef names a registration by node and create revision of the member key.
type MemberRef struct {
	Node      string
	MemberRev int64
}

func (Register) action()       {}
func (Renew) action()          {}
func (WriteState) action()     {}
func (WriteLayout) action()    {}
func (Check) action()          {}
func (Commit) action()         {}
func (RaiseAddresses) action() {}
func (DelAddresses) action()   {}
func (ReadAddresses) action()  {}
func (Announce) action()       {}
func (Reread) action()         {}
func (ProbeAddresses) action() {}
func (ReadNeighbors) action()  {}
func (Tell) action()           {}
func (WriteNeighbors) action() {}
func (Contest) action()        {}
func (Revoke) action()         {}
func (Deregister) action()     {}

func (a Register) String() string { return "register " + a.Member.Reg + " " + a.State.State }
func (a Renew) String() string    { return fmt.Sprintf("renew %x", a.Lease) }
func (a WriteState) String() string {
	return strings.TrimSpace("state " + a.State.State + " " + a.State.Why)
}
func (a WriteLayout) String() string { return "layout " + a.Digest }
func (a Check) String() string       { return fmt.Sprintf("check since %d, %d keys", a.Since, a.Keys) }
func (a Commit) String() string {
	parts := make([]string, len(a.Writes))
	for i, w := range a.Writes {
		parts[i] = w.String()
	}
	for _, p := range a.Puts {
		parts = append(parts, "put "+p.Key)
	}
	return "commit " + strings.Join(parts, ", ")
}
func (a RaiseAddresses) String() string { return fmt.Sprintf("raise %s", items(a.Items)) }
func (a DelAddresses) String() string   { return fmt.Sprintf("del %s", items(a.Items)) }
func (a ReadAddresses) String() string  { return "read addresses" }
func (a Revoke) String() string         { return "revoke" }
func (a Contest) String() string        { return string(a.Kind) + " " + a.Ward }
func (a ProbeAddresses) String() string { return "probe " + items(a.Items) }
func (a Reread) String() string         { return "reread" }
func (a ReadNeighbors) String() string  { return "read neighbours" }
func (a Tell) String() string {
	n := 0
	for _, t := range a.Audiences {
		n += len(t.Neighbors)
	}
	return fmt.Sprintf("tell %d neighbours", n)
}
func (a WriteNeighbors) String() string {
	return fmt.Sprintf("write %d neighbours", len(a.Neighbors.Neighbors))
}
func (a Announce) String() string {
	if a.Kept {
		return "announce " + a.Item.VIP + " (kept)"
	}
	return "announce " + a.Item.VIP
}
func (a Deregister) String() string { return "deregister" }

func (w ClaimWrite) String() string {
	s := fmt.Sprintf("%s %s if %d", w.Kind, w.VIP, w.IfMod)
	if w.OwnerGone != nil {
		s += fmt.Sprintf(", %s/%d gone", w.OwnerGone.Node, w.OwnerGone.MemberRev)
	}
	if w.TargetHere != nil {
		s += fmt.Sprintf(", %s/%d here", w.TargetHere.Node, w.TargetHere.MemberRev)
	}
	if w.Slot != nil {
		s += fmt.Sprintf(", slot %d of round %d if %d", len(w.Slot.Round.Slots), w.Slot.Round.Number, w.Slot.IfMod)
	}
	return s
}

func items(list []Item) string {
	parts := make([]string, len(list))
	for i, it := range list {
		parts[i] = it.VIP
		if it.Fresh {
			parts[i] = "+" + it.VIP
		}
	}
	return strings.Join(parts, " ")
}
