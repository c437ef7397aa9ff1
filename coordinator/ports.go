package coordinator

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// Ports are the ways out of this package. main connects them to the drivers, tests to fakes.
type Ports struct {
	Now       func() plan.Now // both clocks, read together
	Registry  Registry
	Claims    Claims
	Feed      Feed
	Kernel    Kernel
	Events    Events
	Lans      Lans // called only if plan.Config.ARPCache is set
	Announcer Announcer
	Ears      Ears
	Memory    Memory

	Connections Connections // nil: they are left alone
	Health      Health      // nil: there are no health checks
	Hooks       Hooks       // nil: there are no programs to run
	Observer    Observer    // nil: nobody counts
	Sentry      Sentry      // used only if Plan.Fast is set
}

// What an error of Registry or Claims may be; any other means: try again.
var (
	ErrGone       = errors.New("the lease or the registration is gone")
	ErrNotApplied = errors.New("certainly not applied") // of a write; any other error of a write leaves it in doubt
	ErrLate       = errors.New("too late")              // of Kernel.Raise: authority had passed
	ErrForeign    = errors.New("set by somebody else")  // of Kernel.Raise: and left as it is
	ErrLeft       = errors.New("some may be left")      // of Kernel.Raise: the kernel did not confirm that nothing is up
)

// TakenError says that the node's name is in use, and by which member record, or that a key that is written once holds something else.
type TakenError struct{ Value []byte }

func (*TakenError) Error() string { return "the node name is in use" }

// Registry keeps this node's membership. Every method makes one call to etcd and ends by its own timeout.
type Registry interface {
	Grant(ctx context.Context, ttl time.Duration) (lease int64, granted time.Duration, err error)
	// Register creates the member key. Called again with the same values after an error in doubt, it adopts what stands.
	Register(ctx context.Context, node string, lease int64, member, state []byte) (memberRev, revision int64, err error)
	Renew(ctx context.Context, lease int64) (ttl time.Duration, err error)
	Revoke(ctx context.Context, lease int64) error
}

// Claims reads authority and writes claims.
type Claims interface {
	Check(ctx context.Context, node string, since int64) (plan.CheckAnswered, error)
	Commit(ctx context.Context, node string, c plan.Commit) (plan.ClaimsCommitted, error)
	PutState(ctx context.Context, node string, r plan.Registration, value []byte) error
	PutOnce(ctx context.Context, key string, value []byte) error
	// Contest tells whether it was applied; it was not, or nobody knows, if there is an error.
	Contest(ctx context.Context, node string, c plan.Contest) (applied bool, err error)
}

// Feed is how this node learns what stands in etcd.
type Feed interface {
	Read(ctx context.Context) (plan.SnapshotRead, error)
	// Watch delivers what happens from a revision on. It blocks until ctx ends (nil) or the watch is broken.
	Watch(ctx context.Context, from int64, deliver func(plan.BatchSeen)) error
}

// Kernel is the addresses of this host. It is called from one goroutine at a time.
type Kernel interface {
	// Places says where each VIP of the configuration goes here, by the links of the moment.
	Places() (map[string]plan.Place, error)
	// Raise adds or refreshes in one burst, each item all or nothing, and nothing after until (boot time). One error per item.
	Raise(items []plan.Item, lifetime, until time.Duration) []error
	// Delete returns nil for each address that the kernel has confirmed to be gone.
	Delete(addresses []plan.Address) []error
	// Present is what the kernel has, exactly.
	Present() (map[plan.Address]bool, error)
}

// Connections are those of the addresses of this host.
type Connections interface {
	// Reset resets the TCP connections of addresses that are about to be deleted. It asks inTime again and again, and does nothing more once that says no.
	Reset(addresses []plan.Address, inTime func() bool) error
}

// Hooks are the programs of the operator.
type Hooks interface {
	// Fire has the program for a change run. It never blocks.
	Fire(plan.Change)
}

// unhooked is Hooks when there are no programs.
type unhooked struct{}

func (unhooked) Fire(plan.Change) {}

// Health runs the health checks of the configuration.
type Health interface {
	// Run delivers the first verdict of each check and every other after it, until ctx ends (nil) or it cannot go on.
	Run(ctx context.Context, deliver func(plan.HealthJudged)) error
}

// Sentry asks single hosts on the LAN whether they are there, and hears who is. All but Run is called from one goroutine, and never waits.
type Sentry interface {
	// Run keeps up to date what Witnesses returns. It ends with ctx (nil).
	Run(ctx context.Context) error
	// Listen says on which links, instead of all earlier ones.
	Listen(links []string)
	// Ask asks once.
	Ask(p sentinel.Probe) error
	// Hear delivers what has arrived since it was last called, with when, in order.
	Hear(deliver func(f sentinel.Fact, at time.Duration))
	// Witnesses are the hosts, no members, that can tell this node whether it is cut off, as of now.
	Witnesses() []sentinel.Host
	// Close ends listening.
	Close()
}

// Events tells what changes on this host.
type Events interface {
	// Watch blocks until ctx ends (nil) or it cannot go on.
	Watch(ctx context.Context, deliver func(KernelEvent)) error
}

// KernelEvent is one change. Neither Links nor an Address: events were lost, read everything.
type KernelEvent struct {
	Links   bool // a link came, went, or changed its state or name
	Address plan.Address
	Present bool
}

// Lans knows what is around this host. It may be called beside Kernel.
type Lans interface {
	// Lans returns the host's links with their neighbours in the kernel's tables.
	Lans() ([]plan.Lan, error)
}

// Announcer tells the LAN where an address is.
type Announcer interface {
	Run(ctx context.Context) error
	// Announce announces now and on schedule until Stop, each time only if allowed says so; the schedule begins anew if it was running.
	// kept: only the slow refresh.
	Announce(link string, addr netip.Addr, kept bool, allowed func() bool) error
	// Stop: nothing is sent after it has returned.
	Stop(link string, addr netip.Addr)
	// SetAudience says who is told directly on a link, besides all, of what is announced there.
	SetAudience(plan.Audience)
}

// Ears hear who else uses an address.
type Ears interface {
	// Run delivers each machine that is not this one and uses a wanted address; the prefix of the address says nothing. It ends with ctx (nil).
	Run(ctx context.Context, deliver func(a plan.Address, hardware string)) error
	// Set says which addresses to listen for, by link, instead of all earlier ones.
	Set(want map[string][]netip.Addr)
	// Probe asks for addresses that are not up here, and returns who answered. It takes some 0.15 s; quick, some 15 ms.
	Probe(ctx context.Context, addresses []plan.Address, quick bool) (map[plan.Address]string, error)
}

// Memory is what the next process of this boot must know.
type Memory interface {
	Save(plan.Remembered) error
}
