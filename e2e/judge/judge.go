package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a verdict wraps.
var (
	ErrTwoHolders = errors.New("two machines had one address up")
	ErrBlind      = errors.New("the judge missed something")
)

// Config says whom to judge, and how. The zero value judges nobody, in fast mode.
type Config struct {
	// Machines to follow from the start, all of them connected.
	Machines []Machine
	// VIPs to follow. Empty: every /32 and /128 that is no loopback and no link-local address.
	VIPs []netip.Addr
	// Strict makes every overlap a fault. Otherwise one that began across a cut is none.
	Strict bool
	// HealLimit, in fast mode, is how long an overlap that began across a cut may go on once both machines are connected. 0: such a one is
	// reported and never a fault.
	HealLimit time.Duration
	// Log, if set, gets a line for each change, overlap, cut and heal. It is written under the judge's lock: a slow one delays the judge.
	Log io.Writer
	// Now is the time since boot on CLOCK_BOOTTIME. Nil: the kernel's.
	Now func() time.Duration

	receiveBuffer int // bytes, for the test that overflows it; 0: the largest to be had
}

// Judge follows the addresses of machines. Its methods may be called from any goroutine.
type Judge struct {
	cfg    Config
	only   map[netip.Addr]bool // nil: host addresses
	ears   *listener
	stop   int // an eventfd that ends the reading goroutine
	done   chan struct{}
	failed chan struct{}

	mu       sync.Mutex
	ledger   *ledger
	machines map[int32]*machine // by namespace id
	changed  chan struct{}      // closed and replaced when something changed
	blind    error
	closed   bool
}

// Start returns a judge that knows what is up on all its machines and hears every change from then on. Its socket is opened in the
// namespace of the calling thread. Close it.
func Start(cfg Config) (*Judge, error) {
	if cfg.Now == nil {
		cfg.Now = sinceBoot
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	ears, err := openListener(cfg.receiveBuffer)
	if err != nil {
		return nil, fmt.Errorf("start judge: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		ears.close()
		return nil, fmt.Errorf("start judge: %w", err)
	}
	j := &Judge{
		cfg: cfg, ears: ears, stop: stop, done: make(chan struct{}), failed: make(chan struct{}), changed: make(chan struct{}),
		ledger: newLedger(cfg.Strict, cfg.HealLimit), machines: map[int32]*machine{},
	}
	if len(cfg.VIPs) > 0 {
		j.only = map[netip.Addr]bool{}
		for _, v := range cfg.VIPs {
			j.only[v.Unmap()] = true
		}
	}
	go j.listen()
	for _, m := range cfg.Machines {
		if err := j.AddMachine(m); err != nil {
			j.Close()
			return nil, fmt.Errorf("start judge: %w", err)
		}
	}
	return j, nil
}

// AddMachine begins to follow a machine, as connected. It proves that changes there are heard by adding and deleting an address of
// 127.0.0.0/8 on its loopback interface. A machine whose namespace was made anew is removed first and then added.
func (j *Judge) AddMachine(m Machine) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.add(m); err != nil {
		return fmt.Errorf("add machine %s: %w", m.Name, err)
	}
	return nil
}

func (j *Judge) add(m Machine) error {
	if j.closed {
		return errors.New("the judge is closed")
	}
	if j.named(m.Name) != nil {
		return errors.New("there is one of this name")
	}
	id, err := j.ears.idOf(m.NS)
	if err != nil {
		return err
	}
	if twin := j.machines[id]; twin != nil {
		return fmt.Errorf("it is the namespace of %s", twin.name)
	}
	n, err := openMachine(m, id)
	if err != nil {
		return err
	}
	j.machines[n.nsid] = n
	up, err := j.meet(n)
	if err != nil {
		delete(j.machines, n.nsid)
		n.close()
		return err
	}
	n.known = true
	j.logf("machine %s has %d addresses", n.name, len(up))
	for _, i := range up {
		j.note(j.cfg.Now(), n, i, true)
	}
	j.tell()
	return nil
}

// RemoveMachine ends following a machine and lets its namespace go. What it had up counts as deleted now.
func (j *Judge) RemoveMachine(name string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	m := j.named(name)
	if m == nil {
		return fmt.Errorf("remove machine %s: there is none", name)
	}
	for _, i := range j.ledger.instances(name) {
		j.note(j.cfg.Now(), m, i, false)
	}
	j.ledger.forget(name)
	delete(j.machines, m.nsid)
	m.close()
	j.logf("machine %s removed", name)
	j.tell()
	return nil
}

// SetConnected says whether a machine's LAN port is connected. To be never too lenient, say false after cutting and true before healing.
// It panics on a machine that is not there.
func (j *Judge) SetConnected(name string, connected bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	if j.named(name) == nil {
		panic("judge: no machine " + name)
	}
	j.ledger.setConnected(j.cfg.Now(), name, connected)
	j.logf("machine %s connected %t", name, connected)
	j.check()
}

// Holders returns the machines, sorted, that have each address up. An address that is up nowhere is not in it.
func (j *Judge) Holders() map[netip.Addr][]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	h := maps.Clone(j.ledger.holders)
	for vip, nodes := range h {
		h[vip] = slices.Clone(nodes)
	}
	return h
}

// History returns all changes in their order, first those that brought the judge from nothing to what was up at the start.
func (j *Judge) History() []Change {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	return slices.Clone(j.ledger.history)
}

// Overlaps returns all overlaps, faults or not, by their beginning. Those that go on are measured until now.
func (j *Judge) Overlaps() []Overlap {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	return j.ledger.overlaps(j.cfg.Now())
}

// Wait blocks until cond is true of what is up where, and returns nil, or until ctx ends or the judge goes blind. It asks cond now and
// after changes, perhaps once for several, and never by polling. cond must not keep or change the map, nor call the judge.
func (j *Judge) Wait(ctx context.Context, cond func(holders map[netip.Addr][]string) bool) error {
	for {
		j.mu.Lock()
		j.drain()
		ok, blind, changed := cond(j.ledger.holders), j.blind, j.changed
		closed := j.closed
		j.mu.Unlock()
		switch {
		case blind != nil:
			return fmt.Errorf("wait for holders: %w", blind)
		case ok:
			return nil
		case closed:
			return errors.New("wait for holders: the judge is closed")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for holders: %w", ctx.Err())
		}
	}
}

// WaitHolders waits until exactly these machines, perhaps none, have the address up.
func (j *Judge) WaitHolders(ctx context.Context, vip netip.Addr, nodes ...string) error {
	want := slices.Sorted(slices.Values(nodes))
	err := j.Wait(ctx, func(h map[netip.Addr][]string) bool { return slices.Equal(h[vip], want) })
	if err != nil {
		return fmt.Errorf("%s on %v: %w; it is up on %v", vip, want, err, j.Holders()[vip])
	}
	return nil
}

// Faults returns the overlaps that break the promise of the mode.
func (j *Judge) Faults() []Overlap {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.faults()
}

func (j *Judge) faults() []Overlap {
	return slices.DeleteFunc(j.ledger.overlaps(j.cfg.Now()), func(o Overlap) bool { return !j.ledger.fault(o) })
}

// Failed is closed when the verdict has become an error by an overlap or by blindness that the judge noticed by itself.
func (j *Judge) Failed() <-chan struct{} { return j.failed }

// Verdict compares what the judge followed with what the kernel lists, and returns nil if nothing was missed and no overlap was a fault.
// The error wraps ErrTwoHolders, ErrBlind or both, and lists the faults. Once an error, it stays one.
func (j *Judge) Verdict() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.verdict()
}

func (j *Judge) verdict() error {
	if !j.closed {
		j.drain()
		for _, m := range j.machines {
			j.audit(m)
		}
	}
	var faults []string
	for _, o := range j.faults() {
		faults = append(faults, o.String())
	}
	err := j.blind
	if len(faults) > 0 {
		const show = 20
		n := len(faults)
		if n > show {
			faults = append(faults[:show], fmt.Sprintf("and %d more", n-show))
		}
		err = errors.Join(fmt.Errorf("%w, %d times:\n\t%s", ErrTwoHolders, n, strings.Join(faults, "\n\t")), err)
	}
	if err != nil {
		j.fail()
	}
	return err
}

// Close ends the judge and returns its last verdict. A second call returns it again.
func (j *Judge) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.verdict()
	if j.closed {
		return err
	}
	j.closed = true
	j.tell()
	one := [8]byte{7: 1} // any number but zero, in either byte order
	if _, err := unix.Write(j.stop, one[:]); err != nil {
		panic("judge: wake the reader: " + err.Error())
	}
	j.mu.Unlock()
	<-j.done
	j.mu.Lock()
	for _, m := range j.machines {
		m.close()
	}
	j.ears.close()
	unix.Close(j.stop)
	return err
}
