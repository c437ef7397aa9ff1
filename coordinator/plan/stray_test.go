package plan

import (
	"strings"
	"testing"
)

func TestAddressSetByHandIsReplacedNotSharedAway(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(AddressesRaised{VIP: "web", Foreign: true})
	d.want("del web") // and no release, while it is up
	d.tell(AddressesDeleted{VIP: "web"})
	d.wait(400*ms, true)
	if got := d.said(); !strings.HasPrefix(got, "raise +web\nannounce web") {
		t.Fatalf("it does not set the address again: %q", got)
	}
}
