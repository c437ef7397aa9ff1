// Package arpnotify tells the neighbours on a LAN which interface now answers for an address: gratuitous ARP for
// IPv4, unsolicited neighbour advertisements for IPv6.
//
// # When is an address announced?
//
// At once, from the goroutine that calls [Announcer.Announce], and again 0.1, 0.3, 1, 2 and 4 seconds later, when
// Config.Settle is over, and then every Config.Refresh. One frame would be enough for a Linux neighbour that hears it; the
// repeats are for the frame that is lost, for a switch port that is not forwarding yet, and for a former holder that
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
// # How many at once?
//
// 128 frames per link at once, then Config.Rate per second. What is sent least often goes first: when 300 addresses are
// acquired together, the first frame of each leaves before any second one, and new addresses overtake refreshes.
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
package arpnotify
