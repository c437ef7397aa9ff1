package netif

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Delete takes addresses off, whoever put them there, and returns one error for each: nil when the kernel has confirmed that it
// is gone. An address that is not there is success, and so is one whose link is not there. It is idempotent, and asks no clock:
// taking off is always right.
//
// An address that this Kernel raised is found also when its link has been renamed since.
func (k *Kernel) Delete(addrs []Address) []error {
	var (
		errs     = make([]error, len(addrs))
		targets  []int // the address that each request is for
		requests []request
		lookUp   = k.lookUp()
	)
	for i, a := range addrs {
		if errs[i] = check(a); errs[i] != nil {
			continue
		}
		var indexes []int
		if known, ok := k.raised[a]; ok {
			indexes = append(indexes, known.index)
		}
		link, err := lookUp(a.Link)
		switch {
		case err == nil && !slices.Contains(indexes, link.index):
			indexes = append(indexes, link.index)
		case err != nil && !errors.Is(err, ErrNoLink):
			errs[i] = fmt.Errorf("delete %s: %w", a, err)
		}
		for _, index := range indexes {
			targets = append(targets, i)
			requests = append(requests, request{kind: unix.RTM_DELADDR, key: key{index, a.Prefix}})
		}
	}
	for n, answer := range k.lane.exchange(requests, always) {
		if i := targets[n]; answer.err != nil && !isAbsent(answer.err) {
			errs[i] = errors.Join(errs[i], fmt.Errorf("delete %s: %w", addrs[i], explain(answer.err)))
		}
	}
	for i, a := range addrs {
		if errs[i] == nil {
			delete(k.raised, a)
		}
	}
	return errs
}

// always is the gate of requests that may be sent at any time.
func always() bool { return true }

// isAbsent says whether the kernel refused to delete an address because there is none: it is not on the link, the link is not
// there, the link has no IPv6, or the kernel has none.
func isAbsent(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) ||
		errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}
