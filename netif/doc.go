// Package netif puts virtual addresses on network interfaces, keeps them there, and takes them off.
//
// # What makes an address end?
//
// Every address that [Kernel.Raise] adds carries a lifetime in the kernel (valid_lft, whole seconds). It ends by itself unless
// Raise is called again in time, whatever became of this process: killed, stopped, hung. The kernel sweeps about once a second,
// so an address lives up to 1.25 s longer than its lifetime: 1,000 IPv4 addresses raised in one burst for 2 s ended from 2.01 to
// 3.07 s later on Linux 6.18 (TestBurstLapses). IPv6 may end it 20 ms early. The sweeps are check_lifetime in
// net/ipv4/devinet.c and addrconf_verify_rtnl in net/ipv6/addrconf.c.
//
// # What keeps a late address off?
//
// Raise is told the instant until which it may add. It reads the clock (CLOCK_BOOTTIME, which suspend does not stop) immediately
// before each sendmsg and again after the kernel's answers: past that instant it sends nothing more, and deletes at once what a
// send that was overtaken by it may have added or refreshed. A refresh is as dangerous as an addition, for a refresh of an
// address that is gone creates it.
//
// # Which addresses does it touch?
//
// Those that the caller named, matched exactly by family, address, prefix length and interface index; no other. Raise refuses
// ([ErrForeign]) to turn an address of somebody else, such as a permanent one that the administrator wrote, into one with a
// lifetime. Ours are recognised by the protocol number 0x76 ("v") that `ip addr` shows behind proto. Kernels before 5.18 ignore
// the number; there, a finite lifetime, preferred_lft 0 and the flags that ours have count as the mark, which a deprecated IPv6
// address of NetworkManager can wear too.
//
// # May an address be a source address?
//
// It is added with preferred_lft 0, that is, deprecated. For IPv6 the kernel then prefers any other address of suitable scope
// (RFC 6724, rule 3). For IPv4 the kernel ignores it: inet_select_addr in net/ipv4/devinet.c takes the first primary address of
// the link that has the next hop in its subnet, else the first primary address at all. Measured on Linux 6.18 for a /32
// (TestSourceAddress):
//
//   - the link has its own address, and the destination or its gateway lies in that subnet: never chosen, whichever came first;
//   - a route without a gateway leads outside that subnet ("default dev ppp0"): chosen if it was added before the link's own
//     address, unless the route names its source (src);
//   - the link has no address of its own: chosen.
//
// With the prefix length of the link's own subnet it is never chosen while it is a secondary address, and always when it was
// there first.
//
// # Why are /32 and /128 advised?
//
// Linux ties the IPv4 addresses of one subnet on one link together: the first is the primary, and when it goes (deleted or
// lapsed) its secondaries go with it, ours and foreign ones, unless promote_secondaries is set. So before it raises an IPv4
// address with a prefix shorter than /32 on a link, Raise sets promote_secondaries there, by netlink, so that a read-only
// /proc/sys does not matter; [Kernel.Prepare] does it ahead of time. A /32 has no subnet to share: nothing is changed for it.
//
// An IPv4 address with a shorter prefix also brings the route to its subnet when it is the first one there. All others have
// noprefixroute.
//
// # What does it cost?
//
// Messages are batched, so that the system calls do not count; what counts is the kernel's own work. BenchmarkRefresh on one
// core of a Xeon server under Linux 6.18, CPU time for one refresh of all addresses:
//
//	IPv4    100   0.4 ms     1,000   5.5 ms
//	IPv6    100   1.3 ms       300    13 ms     1,000   135 ms
//
// IPv6 grows with the square of the number of addresses, for the kernel walks all of them at each change: refreshed every
// 0.3 s, 1,000 of them keep half a core busy. While Watch runs, each refresh of 1,000 costs it 2 ms more.
package netif
