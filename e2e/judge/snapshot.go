package judge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// meet proves that the judge hears the machine, then returns what is up there.
func (j *Judge) meet(m *machine) ([]instance, error) {
	if err := m.plant(); err != nil {
		return nil, err
	}
	if j.drain(); m.echo != 2 {
		return nil, errors.Join(j.blind, fmt.Errorf("its changes are not heard: %d messages for an address added and deleted", m.echo))
	}
	up, quiet, err := j.snapshot(m)
	if err == nil && !quiet {
		err = errors.New("its addresses never stood still")
	}
	return up, err
}

// snapshot lists what is up on a machine at an instant between the events that the judge has read and those that it has not. A listing is
// good if no message came from the machine between a moment before it and one after all that it may have shown was also announced. Else
// it is made again; quiet is false if that did not help.
func (j *Judge) snapshot(m *machine) (up []instance, quiet bool, err error) {
	const tries = 100
	for range tries {
		j.drain()
		heard := m.heard
		all, err := m.dump()
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if err := m.barrier(); err != nil {
			return nil, false, err
		}
		if j.drain(); m.heard == heard {
			return slices.DeleteFunc(all, func(i instance) bool { return !j.follows(i) }), true, nil
		}
	}
	return nil, false, nil
}

// audit goes blind if what the machine has up is not what the ledger has. A machine whose addresses never stand still is heard well enough.
//
// The kernel lists a nodad IPv6 address as soon as it is added, and announces it when a work item has given it a route. So for such an address
// the audit waits, and long, since a busy machine runs work items late.
func (j *Judge) audit(m *machine) {
	const patience = 5 * time.Second
	for until := sinceBoot() + patience; ; {
		listed, quiet, err := j.snapshot(m)
		if err != nil {
			j.goBlind(err)
			return
		}
		if !quiet {
			return
		}
		err = j.compare(m.name, listed)
		if err == nil {
			return
		}
		left := until - sinceBoot()
		if !errors.Is(err, errNotYet) || left <= 0 {
			j.goBlind(err)
			return
		}
		if err := j.ears.await(left); err != nil {
			j.goBlind(err)
			return
		}
	}
}

// errNotYet says that addresses are listed whose message may be under way.
var errNotYet = errors.New("unheard so far")

// compare tells how what a machine lists differs from the ledger.
func (j *Judge) compare(name string, listed []instance) error {
	var late error
	up := map[netip.Addr]bool{}
	for _, i := range listed {
		up[i.vip] = true
		switch heard := len(j.ledger.up[name][i.vip]) > 0; {
		case !heard && i.vip.Is6():
			late = fmt.Errorf("%s has %s up, %w", name, i.vip, errNotYet)
		case !heard:
			return fmt.Errorf("%s has %s up, unheard", name, i.vip)
		}
	}
	for vip := range j.ledger.up[name] {
		if !up[vip] {
			return fmt.Errorf("%s has lost %s, unheard", name, vip)
		}
	}
	return late
}
