package netif

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Raise adds or refreshes addresses, so that the kernel ends them lifetime from now (whole seconds, at least one). It returns one
// error for each group: nil when the kernel has confirmed all its addresses. Each group is all or nothing: when one of its
// addresses cannot be had, those of ours that are up are deleted, and an error that is not [ErrLeft] promises that none is.
//
// Nothing is added or refreshed past the instant until, on the clock of [Config.Now]. A group that it overtook on the way is
// deleted at once, also when it was up before. A group that it was too late to send is left as it was, on the lifetime it had:
// there the promise does not hold. Both get [ErrLate].
//
// A link that is not there is [ErrNoLink], an address that somebody else has put there is [ErrForeign]. A lifetime that is not
// whole seconds is refused before anything is done. Raise is idempotent.
func (k *Kernel) Raise(groups [][]Address, lifetime, until time.Duration) []error {
	r := raise{
		Kernel:   k,
		lifetime: lifetime,
		until:    until,
		errs:     make([]error, len(groups)),
		changed:  make([]bool, len(groups)),
	}
	if seconds := lifetime / time.Second; seconds < 1 || seconds >= forever || lifetime%time.Second != 0 {
		for g := range r.errs {
			r.errs[g] = fmt.Errorf("raise: a lifetime of %v is not a whole number of seconds", lifetime)
		}
		return r.errs
	}
	now := k.now()
	k.forget(now)
	lookUp := k.lookUp()
	for g, group := range groups {
		for _, a := range group {
			r.items = append(r.items, r.item(g, a, now, lookUp))
		}
	}
	r.fail() // a group with an impossible address is not tried
	r.burst(func(it *item) bool { return r.errs[it.group] == nil })
	if r.settle() {
		r.burst(func(it *item) bool { return it.again })
	}
	r.fail()
	r.rollBack()
	return r.errs
}

// raise is one call of Raise.
type raise struct {
	*Kernel
	lifetime, until time.Duration
	items           []item
	errs            []error // of each group
	changed         []bool  // whether anything of the group was, or may have been, added or refreshed
}

// item is one address of a call of Raise.
type item struct {
	Address
	group int
	key   key
	err   error
	// up says that the address is ours and, as far as is known, up: it is refreshed, and goes when its group fails. What is not up
	// is added such that the kernel refuses if it has the address already.
	up bool
	// again says that the message must be sent again, now that it is known what the kernel has.
	again bool
}

// item prepares one address.
func (r *raise) item(group int, a Address, now time.Duration, lookUp func(string) (resolved, error)) item {
	it := item{Address: a, group: group}
	known, ok := r.raised[a]
	it.up = ok && now < known.lapse
	it.key = key{known.index, a.Prefix}
	if it.err = check(a); it.err != nil {
		return it
	}
	link, err := lookUp(a.Link)
	if err == nil && ok && known.index != link.index {
		// The name has moved to another link; take the address off the former one if that still exists.
		err = r.Delete([]Address{a})[0]
		it.up = err != nil
	}
	if err == nil && sharesSubnet(a) {
		err = r.promote(link, a)
	}
	if it.err = err; err == nil {
		it.key.index = link.index
	}
	return it
}

// check refuses what cannot be an address on a link.
func check(a Address) error {
	if !a.Prefix.IsValid() || a.Prefix.Addr().Is4In6() {
		return fmt.Errorf("%v is not an address with a prefix length", a.Prefix)
	}
	return nil
}

// inTime says whether addresses may still be added.
func (r *raise) inTime() bool { return r.now() < r.until }

// burst sends the chosen items and notes what became of each.
func (r *raise) burst(chosen func(*item) bool) {
	var (
		items    []*item
		requests []request
	)
	for i := range r.items {
		it := &r.items[i]
		if !chosen(it) {
			continue
		}
		flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_EXCL)
		if it.up {
			flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
		}
		items = append(items, it)
		requests = append(requests, request{unix.RTM_NEWADDR, flags, it.key, uint32(r.lifetime / time.Second)})
	}
	lapse := r.now() + r.lifetime // at the earliest
	for i, a := range r.lane.exchange(requests, r.inTime) {
		it := items[i]
		it.err, it.again = a.err, false
		switch {
		case a.err == nil:
			it.up = true
			r.raised[it.Address] = record{it.key.index, lapse}
			r.changed[it.group] = true
		case errors.Is(a.err, errUnanswered):
			r.changed[it.group] = true
		case errors.Is(a.err, errUnsent):
			it.err = ErrLate
		}
		if a.overtaken {
			it.err = ErrLate
		}
	}
}

// settle looks at what the kernel has where it refused to add an address because it has it already: ours, from before this
// process, are sent again as a refresh. It says whether there is something to send.
func (r *raise) settle() (again bool) {
	var has map[key]observed
	for i := range r.items {
		it := &r.items[i]
		if !errors.Is(it.err, unix.EEXIST) {
			continue
		}
		if has == nil {
			var err error
			if has, err = r.read(); err != nil {
				it.err = fmt.Errorf("%w; whose it is: %w", it.err, err)
				continue
			}
		}
		found, ok := has[it.key]
		switch {
		case ok && !found.ours:
			it.err = ErrForeign
		case !ok && it.Prefix.Addr().Is6(): // for IPv6, an address exists whatever its prefix length
			it.err = fmt.Errorf("%w, or is there with another prefix length", ErrForeign)
		default: // ours, or gone meanwhile
			it.up, it.again, again = ok, true, true
		}
	}
	return again
}

// read returns the kernel's addresses by what identifies them.
func (k *Kernel) read() (map[key]observed, error) {
	addresses, err := readAddresses(k.lane.sockets(), k.marks)
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	has := make(map[key]observed, len(addresses))
	for _, a := range addresses {
		has[a.key] = a
	}
	return has, nil
}

// fail gives each group the error of its address that failed first.
func (r *raise) fail() {
	for _, it := range r.items {
		if it.err != nil && r.errs[it.group] == nil {
			r.errs[it.group] = fmt.Errorf("raise %s: %w", it.Address, explain(it.err))
		}
	}
}

// explain adds what the operator can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w (%w)", ErrNoLink, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it takes CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: see the sysctl net.ipv6.conf.<link>.disable_ipv6", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: this kernel runs without IPv6", err)
	}
	return err
}

// rollBack deletes what is up of the groups that failed, except those that it was too late to send: first what is known to be
// up, then what a look at the kernel finds.
func (r *raise) rollBack() {
	var known, unknown []*item
	for i := range r.items {
		it := &r.items[i]
		err := r.errs[it.group]
		switch {
		case err == nil, errors.Is(err, ErrLate) && !r.changed[it.group]:
		case it.up:
			known = append(known, it)
		default:
			unknown = append(unknown, it)
		}
	}
	r.remove(known)
	if len(unknown) == 0 {
		return
	}
	has, err := r.read()
	var found []*item
	for _, it := range unknown {
		switch {
		case err != nil:
			r.errs[it.group] = fmt.Errorf("%w; %w (%w)", r.errs[it.group], err, ErrLeft)
		case has[it.key].ours:
			found = append(found, it)
		}
	}
	r.remove(found)
}

// remove deletes addresses of groups that failed.
func (r *raise) remove(items []*item) {
	requests := make([]request, len(items))
	for i, it := range items {
		requests[i] = request{kind: unix.RTM_DELADDR, key: it.key}
	}
	for i, a := range r.lane.exchange(requests, always) {
		it := items[i]
		if a.err == nil || isAbsent(a.err) {
			delete(r.raised, it.Address)
			continue
		}
		r.errs[it.group] = fmt.Errorf("%w; delete %s: %w (%w)", r.errs[it.group], it.Address, a.err, ErrLeft)
	}
}
