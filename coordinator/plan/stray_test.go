package plan

import "testing"

func TestAddressSetByHandIsReplacedNotSharedAway(t *testing.T) {
	d := holding(t)
	d.acts = nil
	d.tell(AddressesRaised{VIP: "web", Foreign: true})
	d.want("del web") // and no release, while it is up
	d.tell(AddressesDeleted{VIP: "web"})
	d.wait(310*ms, true)
	d.want("raise +web\nannounce web")
}
