package plan

import (
	"strings"
	"testing"
)

// TestEventDuringAReadingAsksForAnother: what the kernel said of may have happened after the part of the reading that it is about.
func TestEventDuringAReadingAsksForAnother(t *testing.T) {
	d := holding(t)
	d.v.reading = false
	d.tell(AddressChanged{}) // a link has changed: it is read
	reading := func() bool {
		for _, a := range d.acts {
			if _, ok := a.(ReadAddresses); ok {
				return true
			}
		}
		return false
	}
	if !reading() {
		t.Fatalf("it wants %v", d.acts)
	}
	d.tell(AddressChanged{}) // and once more, before the answer
	d.answer()
	if !reading() {
		t.Errorf("it wants %v, and has missed the second change", d.acts)
	}
}

// An address that somebody deletes while its lifetime is set again is there before anybody has looked, and announced all the same.
func TestAddressDeletedDuringItsRefreshIsAnnounced(t *testing.T) {
	d := holding(t)
	l := d.v.local["web"]
	gone := AddressChanged{Address: l.set[0]}
	l.op = raising // a refresh
	d.tell(gone)
	d.tell(AddressesRaised{VIP: "web", T0: d.v.self.good.t0})
	d.acts = nil
	d.tell(AddressesObserved{Present: map[Address]bool{l.set[0]: true}})
	if got := d.said2(); !strings.Contains(got, "announce web") || strings.Contains(got, "kept") {
		t.Errorf("it wants %q", got)
	}
	if len(l.fights) != 1 {
		t.Errorf("it counts %d removals by others", len(l.fights))
	}
}
