package config

import (
	"math"
	"time"
)

// All is the value of Balance.MovesPerRound for "all".
const All = -1

// Constants of the protocol that the timers of the file must agree with
// (design, section 2).
const (
	// etcdOutage is how long etcd answers no linearizable read when its leader
	// hangs: 1.16 to 1.55 s measured. A healthy node must get over it.
	etcdOutage = 1600 * time.Millisecond
	// lateness is how late the kernel may remove an address, and how far apart
	// the addresses of one burst may have been set: its sweep runs about once
	// a second (addrconf_verify_work, check_lifetime).
	lateness = 1250 * time.Millisecond
	// margin of hold over two checks and the outage: scheduling, netlink.
	margin = 100 * time.Millisecond
	// waitMargin covers reading the clocks on both sides.
	waitMargin = 50 * time.Millisecond
	// driftDivisor: 0.1 % for each of the two clocks, 1/500 together.
	driftDivisor = 500
	// RegistrationJitter is the most that a node waits before it registers
	// again after losing its lease.
	RegistrationJitter = 500 * time.Millisecond
	// handOver is the time of one planned move, generously: 1.4 ms measured,
	// and no move at all after 300 ms without an answer.
	handOver = 300 * time.Millisecond

	minHold  = 3 * time.Second
	minTTL   = 2 * time.Second
	maxCheck = 500 * time.Millisecond
	// minCheck keeps a slip of the pen from flooding etcd.
	minCheck = 50 * time.Millisecond
	// maxTimer bounds what has no other bound, so that no sum overflows.
	maxTimer = time.Hour
)

// Authority must outlast an outage of etcd and the jittered registration
// after it. Both sides are constants, so the compiler checks the relation
// jitter < hold - 1.6 s: a negative number is no uint64.
const _ = uint64(minHold - etcdOutage - RegistrationJitter - 1)

// Lease is how the life of a daemon and of its addresses is judged.
type Lease struct {
	TTL           time.Duration // of the lease in etcd, whole seconds
	Hold          time.Duration // kernel lifetime of an address, whole seconds
	CheckInterval time.Duration // between two checks of authority
	CheckTimeout  time.Duration // an answer older than this is not used
}

// Wait is W, how long a node waits from the moment when it saw that a claim's
// owner is gone until it may take the claim: 4.6091 s by default. A writer of
// wait_ms rounds up.
//
// The owner's last good check was answered while its key existed. It may have
// taken the whole check timeout to come back; then the addresses were set for
// hold more, counted from before the check was sent at the earliest; the
// kernel removes them at most 1.25 s late. The two clocks may differ by 0.1 %
// each, in opposite directions: times 1.002. Reading the clocks takes some
// time too: 0.05 s. Every other figure in this sum is rounded up.
func (l Lease) Wait() time.Duration {
	longest := l.CheckTimeout + l.Hold + lateness
	return longest + (longest+driftDivisor-1)/driftDivisor + waitMargin
}

// holdNeeded is the least hold that keeps the addresses of a healthy node up
// while etcd's leader hangs: the outage, the check that ran into it and the
// one after it. The kernel counts whole seconds, and with less than 3 of them
// its lateness would be of the same size as the lifetime.
func holdNeeded(checkTimeout time.Duration) time.Duration {
	return max(minHold, roundUp(etcdOutage+2*checkTimeout+margin, time.Second))
}

func readLease(t table) Lease {
	l := Lease{
		TTL:           t.seconds("ttl", 3*time.Second, minTTL, maxTimer),
		CheckInterval: t.duration("check_interval", 300*time.Millisecond, minCheck, maxCheck),
	}
	l.CheckTimeout = t.duration("check_timeout", l.CheckInterval, minCheck, maxCheck)
	if l.CheckTimeout < l.CheckInterval {
		t.problem("check_timeout", "%s is under check_interval, %s; write at least %q, or a shorter check_interval",
			t.written("check_timeout"), Short(l.CheckInterval), Short(l.CheckInterval))
	}
	l.Hold = t.seconds("hold", minHold, holdNeeded(l.CheckTimeout), maxTimer)
	return l
}

// Balance is how VIPs move between nodes that are alive.
type Balance struct {
	MovesPerRound int           // All, or how many at most; 0: none
	Interval      time.Duration // between two rounds
	Failback      bool          // a VIP returns to the node that it prefers
}

func readBalance(t table, l Lease) Balance {
	const absent = 4 * time.Second
	b := Balance{
		MovesPerRound: All,
		Interval:      t.duration("interval", absent, 0, maxTimer),
	}
	if least := 2 * (l.CheckTimeout + handOver); b.Interval < least {
		t.problem("interval", "%s is under 2 x (check_timeout %s + %s for a hand-over) = %s; write at least %q",
			t.written("interval"), Short(l.CheckTimeout), Short(handOver), Short(least), Short(least))
	}
	t.want("moves_per_round", `"all" or a whole number`, "0", "")
	moves, _ := t.value("moves_per_round")
	if _, ok := moves.(int64); ok {
		b.MovesPerRound = t.number("moves_per_round", All, 0, math.MaxInt32)
	} else if moves != nil && moves != "all" {
		t.wrongChoice("moves_per_round", moves, `"all" or a number`)
	}
	t.want("failback", `"always" or "never"`, "", "")
	switch v, _ := t.value("failback"); v {
	case nil, "always":
		b.Failback = true
	case "never":
	default:
		t.wrongChoice("failback", v, `"always" or "never"`)
	}
	return b
}

// readTakeover bounds the timers of fast takeover: a probe every 10 ms costs
// a LAN nothing, a faster one measures the scheduler; the grace must hold one
// quick read of etcd, and a ward refutes within half of it.
func readTakeover(t table) Takeover {
	return Takeover{
		Fast:          t.flag("fast", true),
		ProbeInterval: t.duration("probe_interval", 50*time.Millisecond, 10*time.Millisecond, time.Second),
		Misses:        t.number("misses", 4, 1, 100),
		Grace:         t.duration("grace", 150*time.Millisecond, 30*time.Millisecond, 5*time.Second),
		Witnesses:     t.witnesses("witnesses"),
	}
}

// Suspicion is how long a ward must be silent before fast takeover evicts it.
func (t Takeover) Suspicion() time.Duration {
	return time.Duration(t.Misses)*t.ProbeInterval + t.Grace
}
