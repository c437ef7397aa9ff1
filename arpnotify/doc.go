// Package arpnotify speaks ARP and IPv6 neighbour discovery: an [Announcer] tells the neighbours on a LAN which interface
// now answers for an address, a [Listener] hears who else does, and a [Prober] asks who does before an address is raised.
//
// # When is an address announced?
//
// At once, from the goroutine that calls [Announcer.Announce], and again 0.1, 0.3, 1, 2, 4, 8, 16 and 32 seconds later,
// when Config.Settle is over, and then every Config.Refresh. One frame would be enough for a Linux neighbour that hears
// it; the repeats are for the frame that is lost, for a LAN that is not forwarding yet, and for a former holder that
// still speaks. Each address has its own fixed place within the refresh period, so that a thousand of them do not speak
// together.
//
// The schedule begins anew for all addresses of a link when that link could not send and can again, when its hardware
// address has changed, and when the caller says so with [Announcer.Restart].
//
// # What is sent?
//
// For IPv4 two broadcast frames each time, because some switches and hosts listen to one kind alone: the ARP
// Announcement of RFC 5227 section 2.3 (a request), and the reply of RFC 5944 section 4.6. For IPv6 one neighbour
// advertisement to all nodes with the Override flag (RFC 4861 section 7.2.6), from the announced address itself.
// Frames are made here and leave by one AF_PACKET socket per link (CAP_NET_RAW), so the interface needs no other
// address, and the hardware address is the one it has at that moment. Only Ethernet links can announce.
//
// # Who is told besides?
//
// Hosts that [Announcer.SetAudience] names, each by frames of its own: hosts that were seen on the LAN, at their Ethernet
// addresses, so that those learn that ignore what is gratuitous or sent to all; and hosts known by their IP addresses
// alone. They are told when the first announcement has left, a second later and when Config.Settle is over. No frame to
// one host is sent while one to all waits.
//
// # How many at once?
//
// The first frame of an address at once, for 512 addresses of a link, and of more than that at ten times Config.Rate: until
// it has left, neighbours send to the former holder. Of the others 128 at once and then Config.Rate per second, first frames
// counted; neighbours have a pace of their own, a notice has the one that it asks for. What was sent least often goes first,
// so new addresses overtake repeats and refreshes.
//
// # What must never be sent?
//
// A frame for an address that this host no longer has the authority to hold: it would draw traffic away from the new
// holder. So the caller's own check is asked immediately before every frame, and [Announcer.Stop] is a barrier: once
// it has returned, no frame for that address is given to the kernel.
//
// # What if the link is missing, down or without carrier?
//
// Announce says so, the error matches unix.ENODEV, unix.ENETDOWN, unix.EPERM, [ErrNoCarrier] or [ErrNotEthernet], and
// the link is tried again, at first after 0.1 s and later every second, until it works. It is logged when it begins,
// changes and ends, not for each try. A carrier that comes and goes between two announcements is not noticed here:
// call Restart for it.
//
// # Who is a claimant?
//
// Whoever sends a frame with a wanted address as its own and a hardware address that no link of this network namespace
// has: an ARP packet of any kind from it (RFC 5227 section 2.4), a neighbour advertisement for it, a neighbour
// solicitation from it. A host that only asks whether the address is free (an ARP probe, duplicate address detection) is
// a claimant with Probing set. A question to this host alone, by which others see whether it is alive, is not one.
//
// So a former holder that still speaks is a claimant, and so is another member of the cluster that probes: what a
// claimant means is for the caller to judge. All addresses of this host's links are compared, because a bridge, a bond
// or a VLAN may carry another one's.
//
// The answer to one that uses an address which may be held here is [Announcer.Defend]; how often is the caller's
// decision as well (RFC 5227 section 2.4).
//
// # What is not heard?
//
// What does not reach this host: the interface is not made promiscuous, so the answers of a rival to others are not
// seen, only what it sends to everybody, to this host or to a group that the kernel has joined. That is the group of
// each IPv6 address that is up here; duplicate address detection for an address that is not may pass unheard. Frames
// with the tag of a VLAN that has no interface here are not heard on the interface beneath.
//
// # What does listening cost?
//
// Nothing per frame of other traffic but a filter in the kernel: there are two sockets per link, one for ARP and one for
// neighbour discovery. A frame about an address that is not wanted is dropped without allocating. Storms are bounded
// twice, by the receive buffer, which loses what it has no room for, and by ListenerConfig.Limit for each address.
//
// # How is a conflict found before it begins?
//
// [Prober.Probe] asks a few times and waits; the documentation there says how long. Silence means that nobody answered,
// not that nobody has the address: a host that is hung or cut off is silent too.
package arpnotify
