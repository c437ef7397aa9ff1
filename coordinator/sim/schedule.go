package sim

import (
	"fmt"
	"strings"
	"time"
)

// Schedule says what a run consists of. The same schedule always gives the same run.
type Schedule struct {
	Seed        uint64 // of all that is not said here: delays, clock rates, how late kernels are
	Nodes, VIPs int
	Pace        pace          // the timers
	Skew        bool          // half of the nodes run a longer hold
	Change      change        // of the configuration, which reaches node by node
	LAN         bool          // the nodes can hear each other
	Fast        bool          // fast takeover, with a gateway on the LAN
	Warm        bool          // there was a cluster before, which has released its claims: they need not be waited out at first
	Checks      checking      // whether the nodes have a health check
	Noise       int           // how often single calls and events go wrong, 0 to 3
	Still       time.Duration // if not 0: from here on nothing happens that may take an address down
	Again       time.Duration // if not 0: by then every VIP is up on a node that is on the LAN
	Policy      Policy
	Faults      []Fault
}

// Fault is one thing that goes wrong, or that somebody does.
type Fault struct {
	At, For time.Duration // when, in true time, and for how long, if it lasts
	Kind    Kind
	Node    int
	VIP     int
	Calls   calls // for what strikes calls to etcd
	On      moment
	Actor   bool // it strikes the node that brings the moment about, not Node
}

// moment makes a fault wait, from its time on, until some node does this; never for longer than Schedule.span.
type moment int

const (
	atOnce moment = iota
	onTake
	onRestamp
	onOffer
	onAccept
	onTransfer
	onRelease
	onRegister
	onRaise // of addresses that are not up
	onDel
	moments
)

func (m moment) GoString() string { return momentConsts[m] }

func (c change) GoString() string { return c.String() }

var momentConsts = [moments]string{"atOnce", "onTake", "onRestamp", "onOffer", "onAccept", "onTransfer", "onRelease", "onRegister", "onRaise", "onDel"}

var momentNames = [moments]string{"", "take", "re-stamp", "offer", "accept", "transfer", "release", "register", "raise", "del"}

// checking says what the health check of the configuration is.
type checking int

const (
	unchecked checking = iota
	optional
	required
)

func (c checking) GoString() string { return [...]string{"unchecked", "optional", "required"}[c] }

// Kind is what a Fault does.
type Kind int

// The kinds of faults.
const (
	Lose        Kind = iota // requests of Node do not arrive
	Mute                    // answers do not
	Hold                    // requests arrive when the fault ends
	Slow                    // both are slow
	Refuse                  // requests are refused
	Lie                     // lease renewals are acknowledged by a leader that is none any more
	Revoke                  // etcd ends the node's lease, live or not
	NoQuorum                // nothing of anybody arrives, no lease ends
	Compact                 // lagging watches break
	Break                   // the node's watch breaks
	Kill                    // the daemon is killed and, For later, started
	Pause                   // the daemon is stopped and goes on
	Hang                    // its loop alone
	Leave                   // SIGTERM; For later it is started again
	Reboot                  // the machine goes down and, For later, comes back
	Stall                   // address operations take long
	KernelFails             // and fail
	DelAddress              // somebody deletes an address of the node
	AddForeign              // somebody adds one, without an end
	LinkDown                // the node's link is down
	DelClaim                // an operator deletes a claim
	PutClaim                // or writes it by hand
	CopyClaim               // or deletes it and writes back what it once was
	DelMember               // or deletes a member key
	Drain                   // and undrains it when the fault ends
	Freeze                  // and unfreezes
	Upgrade                 // the daemon is killed and, For later, started with the changed configuration
	Restore                 // etcd is down for as long as the fault lasts, but at least W, and comes back as it once was
	Pin                     // an operator pins a VIP to the node, and unpins it when the fault ends
	Balance                 // and asks for the next round at once
	Sick                    // the node's health check fails
	Move                    // an operator moves a VIP to the node
	CutLAN                  // the node's LAN port passes nothing
	Split                   // the LAN falls in two: the node is on the far side, with the next one if VIP is odd, and the gateway if VIP is 2 or 3
	Drag                    // answers from etcd are late, some by more than half of the grace, some by more than all of it
	kinds
)

var kindNames = [kinds]string{"Lose", "Mute", "Hold", "Slow", "Refuse", "Lie", "Revoke", "NoQuorum", "Compact", "Break", "Kill", "Pause", "Hang", "Leave", "Reboot",
	"Stall", "KernelFails", "DelAddress", "AddForeign", "LinkDown", "DelClaim", "PutClaim", "CopyClaim", "DelMember", "Drain", "Freeze", "Upgrade", "Restore", "Pin",
	"Balance", "Sick", "Move", "CutLAN", "Split", "Drag"}

func (k Kind) strikesCalls() bool { return k <= Lie || k == Drag }

func (k Kind) String() string   { return kindNames[k] }
func (k Kind) GoString() string { return kindNames[k] }

func (c calls) String() string {
	names := [callKinds]string{"checks", "writes", "leaseCalls", "reads", "watching"}
	var have []string
	for i, name := range names {
		if c>>i&1 != 0 {
			have = append(have, name)
		}
	}
	return strings.Join(have, "+")
}

func (c calls) GoString() string { return strings.ReplaceAll(c.String(), "+", "|") }

// GoString is the fault as one writes it in a test.
func (f Fault) GoString() string {
	s := fmt.Sprintf("{At: %d * ms, For: %d * ms, Kind: %s, Node: %d, VIP: %d", f.At.Milliseconds(), f.For.Milliseconds(), f.Kind, f.Node, f.VIP)
	if f.Kind.strikesCalls() {
		s += fmt.Sprintf(", Calls: %#v", f.Calls)
	}
	if f.On != atOnce {
		s += fmt.Sprintf(", On: %#v, Actor: %t", f.On, f.Actor)
	}
	return s + "}"
}

func (f Fault) String() string {
	s := fmt.Sprintf("%s n%d v%d at %v for %v", f.Kind, f.Node, f.VIP, f.At, f.For)
	if f.Kind.strikesCalls() {
		s += " of " + f.Calls.String()
	}
	if f.On != atOnce {
		s += ", when somebody begins to " + momentNames[f.On]
		if f.Actor {
			s += ", to that node"
		}
	}
	return s
}

// GoString is the schedule as one writes it in a test.
func (s Schedule) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{Seed: %d, Nodes: %d, VIPs: %d, Pace: %s, Skew: %t, LAN: %t, Fast: %t, Warm: %t, Change: %s, Checks: %#v, Noise: %d, Again: %d * ms, Policy: %#v, Faults: []Fault{",
		s.Seed, s.Nodes, s.VIPs, s.Pace, s.Skew, s.LAN, s.Fast, s.Warm, s.Change, s.Checks, s.Noise, s.Again.Milliseconds(), s.Policy)
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "\n\t%#v,", f)
	}
	return b.String() + "\n}},"
}

func (s Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d nodes, %d VIPs, %s, skew %t, LAN %t, warm %t, change %s, checks %#v, noise %d, %+v",
		s.Seed, s.Nodes, s.VIPs, s.Pace, s.Skew, s.LAN, s.Warm, s.Change, s.Checks, s.Noise, s.Policy)
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "\n  %s", f)
	}
	return b.String()
}
