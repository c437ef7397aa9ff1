// Package probe is the client of a test: it sends an ICMP echo request to each of many addresses every millisecond, and reports each outage in
// milliseconds.
//
// # What is an outage?
//
// A probe is lost if no answer to it, by its own number, arrived within [Config.Window] of its sending, or if the kernel refused to send it. An
// outage of an address is one run of lost probes with no answered one between. It begins when the first of them was sent, and ends when the
// first answer to a later probe arrived. So every outage is made of at least one lost probe, and its length is off by at most one interval at
// each end, and one round trip: less than 0.1 ms in a LAN of namespaces.
//
// # Why does it end at an arrival, and not at a sending?
//
// Because of neighbour resolution. While the kernel looks for the MAC of an address it keeps the last probes (net/core/neighbour.c; 250 to 300
// of them fit) and sends them all when it has found it. They are answered as late as they waited. By their sending, the outage would seem
// to have ended up to a window earlier; by their arrival, it ends when the address answered. The client uses the kernel's real neighbour
// table on purpose: what keeps a real client away from an address is to be seen here too.
//
// A silence in which all probes were kept and none was lost is no outage, but [Stats.WorstAnswer] shows it.
//
// # Why 250 ms?
//
// Whoever answers later is lost for most purposes, and a CPU that is merely busy does not delay an answer for so long. An answer later than
// that changes nothing: it neither hides the outage nor ends it. [Stats.Stray] counts it.
//
// # What if the probe itself is not given the CPU?
//
// Then nothing was sent, so nothing was lost, and no outage is claimed. It does not catch up. A stall within an outage is not part of
// [Outage.Duration] but told beside it, as Stalled: nobody knows whether the address would have answered then. [Probe.Resolution] gives the
// longest time without probes: a shorter outage may have gone unseen. A probe during whose sending the CPU was taken away is void. Arrivals are the kernel's receive timestamps, so it does not matter how late they are read while the queues hold, some
// seconds; when one did not, [Probe.Err] says so.
//
// The sending thread takes no lock and asks for a real-time priority, which root gets.
//
// # And if the machine is too busy to answer?
//
// That is an outage for a client, and reported. To tell it from one of the address, probe an address that nobody moves beside the others. One thing is
// told apart here: where labs share a busy machine, the kernel's queue between virtual interfaces overflows at times, and drops a packet or two of
// whatever namespace. Probes lost at such a moment are void, and [Stats.Overflows] counts the moments.
//
// # What does it cost, and need?
//
// 8 to 15 µs of CPU for each probe, the kernel's work at both ends included: 20 addresses at 1,000 per second take a fifth of a CPU. It needs
// CAP_NET_RAW over the namespace, and CAP_SYS_ADMIN to enter it. Root of a user namespace that owns it is enough.
package probe
