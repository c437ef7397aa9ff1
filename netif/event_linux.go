package netif

import "fmt"

// EventKind says what an [Event] tells.
type EventKind int

const (
	// Resync: Watch has just subscribed, or has lost events. Read links and addresses now.
	Resync EventKind = iota
	// AddressAdded: Address is up, or has become ours or somebody else's.
	AddressAdded
	// AddressDeleted: Address is gone, deleted or lapsed.
	AddressDeleted
	// LinkChanged: Link is there, and it or its name, alternative names, state or hardware address are new.
	LinkChanged
	// LinkDeleted: Link is gone. Its addresses were deleted before.
	LinkDeleted
)

// Event is one change that [Kernel.Watch] delivers.
type Event struct {
	Kind    EventKind
	Address Present // of AddressAdded and AddressDeleted
	Link    Link    // of LinkChanged and LinkDeleted, without its Prefixes
}

// String describes the event for logs and tests.
func (e Event) String() string {
	switch e.Kind {
	case Resync:
		return "resync"
	case AddressAdded:
		return fmt.Sprintf("address %s added", e.Address.Address)
	case AddressDeleted:
		return fmt.Sprintf("address %s deleted", e.Address.Address)
	case LinkChanged:
		return fmt.Sprintf("link %s changed", e.Link.Name)
	case LinkDeleted:
		return fmt.Sprintf("link %s deleted", e.Link.Name)
	}
	panic(fmt.Sprintf("netif: event kind %d", e.Kind))
}
