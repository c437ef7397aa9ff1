package netif

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Delete takes addresses off, whoever put them there, and returns one error for each: nil when the kernel has confirmed that it
// is gone. An address that is not there is success, and so is one whose link is not there. It is idempotent, and asks no clock:
// taking off is always right.
//
// An address that this Kernel raised is found also when its link has been renamed since; one that an earlier process raised is
// looked for by its mark on every link, when no link has the name.
func (k *Kernel) Delete(addrs []Address) []error {
	var (
		errs     = make([]error, len(addrs))
		targets  []int // the address that each request is for
		requests []request
		lookUp   = k.lookUp()
		renamed  = k.marked()
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
		case err != nil:
			found, err := renamed(a.Prefix)
			if err != nil {
				errs[i] = fmt.Errorf("delete %s: %w", a, err)
			}
			for _, name := range found {
				if link, err := lookUp(name); err == nil && !slices.Contains(indexes, link.index) {
					indexes = append(indexes, link.index)
				}
			}
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

// marked returns a function that finds the links which have an address of ours. It reads the kernel's addresses once, when it is first asked.
func (k *Kernel) marked() func(netip.Prefix) ([]string, error) {
	var list []Present
	var err error
	read := false
	return func(p netip.Prefix) (links []string, _ error) {
		if !read {
			list, err = k.Addresses()
			read = true
		}
		for _, a := range list {
			if a.Ours && a.Prefix == p {
				links = append(links, a.Link)
			}
		}
		return links, err
	}
}

// always is the gate of requests that may be sent at any time.
func always() bool { return true }

// isAbsent says whether the kernel refused to delete an address because there is none: it is not on the link, the link is not
// there, the link has no IPv6, or the kernel has none.
func isAbsent(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) ||
		errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}
