package plan

import "testing"

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
