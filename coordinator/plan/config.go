package plan

import (
	"net/netip"
	"time"

	"viplease/sentinel"
)

// Config is what the core must know of its node. It does not change while a View lives.
type Config struct {
	Group, Node   string
	Machine, Boot string
	Address       string // of this host, for people who look for it
	Version       string
	Seed          string // random, new for each process: makes registration and attempt ids unique

	TTL           time.Duration // of the lease
	Hold          time.Duration // kernel lifetime of an address
	CheckInterval time.Duration
	CheckTimeout  time.Duration
	Wait          time.Duration // W, the takeover wait
	Mature        time.Duration
	Fast          sentinel.Config // of fast takeover; zero: strict mode, this node takes no part in it

	ARPCache time.Duration // how often the kernel's tables of neighbours are read; 0: nobody is told directly
	Notices  []Notice

	VIPs          []VIP
	Checks        []HealthCheck
	Former        []Address // set by an earlier configuration on this boot, in none now: to be swept
	Failback      bool
	MovesPerRound int           // -1: all
	Interval      time.Duration // between two rounds
	Weight        int
	MaxWrites     int // claims in one transaction
}

// VIP is one unit of the configuration: its addresses move together.
type VIP struct {
	Name     string
	Prefixes []netip.Prefix
	Prefer   []string
	Spread   string
}

// Address is one address on one interface of this node.
type Address struct {
	Link   string
	Prefix netip.Prefix
}

// Place is where a VIP goes on this node: its addresses with their interfaces, or why it cannot be held here now.
type Place struct {
	Addresses []Address
	Why       string
}

// Now is one moment: boot time for every decision, wall time only for what people read.
type Now struct {
	Boot time.Duration // CLOCK_BOOTTIME
	Wall time.Time
}

// Registration is one life of a node in etcd.
type Registration struct {
	ID        string
	MemberRev int64 // create revision of the member key
	Lease     int64
	TTL       time.Duration // as granted
}

// Entry is one key below the group's prefix, as etcd has it.
type Entry struct {
	Key                  string // "claims/web"
	Value                []byte
	Create, Mod, Version int64
}

// Deleted is a key that went.
type Deleted struct {
	Key string
	Mod int64 // the revision that deleted it
}

const (
	never   = time.Duration(1<<63 - 1)
	never64 = 1<<63 - 1

	offerTimeout = 300 * time.Millisecond // no answer from the target of a move by then: no move
	offerBackoff = 5 * time.Second        // before the same target is asked again
	raiseMargin  = 30 * time.Millisecond  // an address is added only while the check is at least this far from too old
	emptyFirst   = 3                      // so many nodes write the missing claim of a VIP at once,
	emptyLater   = 250 * time.Millisecond // the others when it is still missing then
	writeRetry   = 100 * time.Millisecond // after a write that was certainly not applied
	jitterMost   = 500 * time.Millisecond // spreads re-registrations, so that a mass lapse is not answered by a stampede
	rereadEvery  = 30 * time.Second       // the kernel's addresses are read back now and then, whatever events said
	raiseBackoff = time.Second            // first back-off after an address could not be raised; doubles
	backoffMost  = time.Minute
	rivalTimeout = 100 * time.Millisecond // a rival was heard: authority is confirmed by then, or the VIP is withdrawn
	defendEvery  = 10 * time.Second       // between two defences of an address (RFC 5227 section 1.1, DEFEND_INTERVAL)
	defendFast   = 100 * time.Millisecond // within W of a fast takeover [F6]
	quickMost    = time.Second            // how long a quick probe before a fast takeover counts [F5]
	calmAfter    = 10 * time.Minute       // without an eviction, mature is what the configuration says again [F12]
	matureMost   = 5 * time.Minute        // as far as it doubles
	fightsMost   = 5                      // how often in a minute an address that something else removed is put back
)
