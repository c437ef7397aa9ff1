// Package judge tells, at every instant of a test, which machine has which virtual IP address up, and goes red when two have one.
//
// # What does it listen to?
//
// A machine is a network namespace. The judge has one netlink socket with NETLINK_LISTEN_ALL_NSID set, in the groups of IPv4 and IPv6
// address changes, so the kernel puts the changes of all machines into one queue. Nothing is asked of the daemons under test and nothing is
// sampled: an address that is up for a microsecond leaves two entries in the queue.
//
// # What is the order in that queue worth?
//
// It is the order in which the kernel did the work, to within microseconds. An RTM_NEWADDR or RTM_DELADDR is put into the queue by the
// thread that changes the address, before the system call returns and while it holds the RTNL. That mutex is global: kernels from 6.13 on
// name the namespace when they take it (rtnl_net_lock, include/linux/rtnetlink.h), but it still takes the global one, with the per-namespace
// mutex added only under CONFIG_DEBUG_NET_SMALL_RTNL. So:
//
//   - A hand-over in the right order is never called an overlap: whoever waited for the deletion before adding finds both in the queue in that
//     order, however busy the machine is and however late the judge reads. This would hold with per-namespace locks as well, because the
//     notification precedes the return of the call that the other side waited for.
//   - An overlap is never missed, however short, while the RTNL is global. Without it, one shorter than the few microseconds between the
//     notification of a deletion and the removal of the local route (net/ipv4/devinet.c, __inet_del_ifa) could be.
//   - IPv6 with the nodad flag: the address gets its local route, without which nothing reaches it, from a work item (net/ipv6/addrconf.c,
//     addrconf_dad_work) that also sends the RTM_NEWADDR. The system call returns before it: by less than 0.1 ms, but later on a busy machine. The
//     judge counts the address from that message on, which is when it starts to work. An overlap that ended before is not seen.
//   - An IPv6 address under duplicate address detection (tentative and not optimistic) or that failed it is not up.
//
// The *time* of a change is taken when the judge reads it (netlink has no receive timestamps), so lengths carry the scheduler's lateness;
// the judge's thread asks for a real-time priority, which root gets. Order and existence never depend on it.
//
// Every method first reads what is in the queue, so it speaks of everything the kernel did before the call: delete an address, ask the judge
// on the next line, and it knows.
//
// # What counts as up?
//
// The address is on any interface of the machine, with carrier or without. Linux answers ARP for it on every interface (arp_ignore 0).
//
// # When is it red?
//
// [Judge.Verdict] is an error, for good, after
//
//   - strict mode: any instant at which two machines had an address up;
//   - fast mode: the same, if both machines had their LAN port connected when it began (the caller says so with [Judge.SetConnected]). What began
//     across a cut and was still there when the cut healed is listed by [Judge.Overlaps] as [Healing] with its own length, and is a fault only
//     beyond [Config.HealLimit];
//   - the judge went blind: the queue overflowed, a message was cut short, or the kernel's addresses are not the ones that the judge followed
//     (each verdict compares). It never stays green on a guess.
//
// # What does it need?
//
// CAP_NET_ADMIN in its own namespace and CAP_NET_ADMIN and CAP_NET_BROADCAST over those of the machines. Root of a user namespace that owns
// them all is enough. The judge keeps a socket open inside each machine's namespace, so none can end before [Judge.RemoveMachine].
package judge
