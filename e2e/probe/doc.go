// Package probe is the client of a test: it sends an ICMP echo request to each of many addresses every millisecond, and reports each outage in
// milliseconds.
//
// # What is an outage?
//
// A probe is lost if no answer to it, by its own number, arrived within [Config.Window] of its sending, or if the kernel refused to send it. An
// outage of an address is one run of lost probes without an answered one between. It begins when the first of them was sent, and ends when
// the first answer to a probe sent later arrived. So every outage is made of at least one lost probe, is measured where the client sits, and
// its length is off by no more than one interval at each end (plus one round trip, about 0.1 ms in a LAN of namespaces).
//
// # Why does it end at an arrival, and not at a sending?
//
// Because of neighbour resolution. While the kernel looks for the address's MAC it keeps the last probes (net/core/neighbour.c, about 200
// KB for each neighbour, some 270 probes) and sends them all when it finds it. They are answered, as late as they waited. Counted
// by their sending, the outage would seem to have ended up to a whole window earlier. Counted by arrival, it ends when the address answered. The client uses
// the kernel's real neighbour table on purpose: what keeps a real client away from an address is seen here too.
//
// A silence in which all probes were queued and none was lost is no outage, but [Stats.WorstAnswer] shows it.
//
// # Why 250 ms?
//
// Whoever answers later is lost for most purposes, and no CPU that is merely busy delays an answer for so long. An answer later than that
// changes nothing, neither hides the outage nor ends it earlier; it is counted in [Stats.Stray].
//
// # What if the probe itself is not given the CPU?
//
// Then nothing was sent, so nothing was lost, and no outage is claimed. After a stall it does not catch up. A stall within an outage is
// not counted in its Duration but told beside it, as Stalled: whether the address would have answered then is unknown. [Probe.Stalls] lists the times without a
// probe, [Probe.Resolution] is the longest: an outage shorter than that may have gone unseen. Arrivals are the kernel's receive
// timestamps, so it does not matter how late the probe reads, as long as its queues hold: [Stats.Dropped] counts what they lost, and when it is not 0, losses may be the probe's own.
//
// The sending thread asks for a real-time priority, which root gets.
//
// # What does it cost and need?
//
// About 6 µs of CPU for each probe, all of the kernel's work for both directions included: 20 addresses at 1,000 per second take an eighth of a CPU. It needs CAP_NET_RAW and CAP_SYS_ADMIN
// over the namespace; root of a user namespace that owns it is enough.
package probe
