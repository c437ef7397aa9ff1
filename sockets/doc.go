// Package sockets resets the TCP connections of an address that is about to leave this host, so that their clients learn it at
// once instead of waiting for an answer that nobody will send.
//
// # Why is that needed?
//
// When an address moves, its new holder does not know the connections of the old one. A client that sends something gets a reset
// from it; a client that only waits, such as a database client for the result of a query, waits until its keepalives give up:
// two hours with the settings of Linux. [Destroy] makes the kernel send the reset from the old holder while it still has the
// address: the client's read returns ECONNRESET, and the server's own calls return ECONNABORTED.
//
// # When must it be called?
//
// On release, while the address is still up, for a reset has it as its source; immediately before it is deleted, since servers
// go on accepting until then. A connection that begins in between is not reset from here. It must not be called without the
// authority to hold the address: the reset would come from an address that is another's by now. Therefore the caller's gate is
// asked before each batch.
//
// # Which connections?
//
// Those whose local address is one of those given, exactly: also IPv4 connections of sockets that are open for both families
// (::ffff:192.0.2.1), connections that this host itself has opened from the address, half-closed ones, and those that wait to be
// accepted.
//
// Listening sockets stay, also those bound to the address alone: they are the server's, which would have to be restarted, and
// which expects them to work when the address comes back. So do connections in TIME-WAIT: both sides have closed them, and what
// is left guards against segments that are late.
//
// Of a Multipath TCP connection (RFC 8684), what runs over the address is reset. The client's read returns ECONNRESET if it has no
// other path; the server's goes on waiting for one for a while.
//
// # What must the kernel have?
//
// CONFIG_INET_DIAG and CONFIG_INET_DIAG_DESTROY (Linux 4.5), which distributions have; [Supported] asks. CAP_NET_ADMIN over the
// network namespace.
//
// # How long does it take?
//
// The kernel looks at all TCP sockets of the host, in every network namespace, twice (once where all addresses are IPv6), and
// passes on those that its filter lets through; then they are reset in batches of 64. No deadline can interrupt one look or one
// batch, so Destroy may end that much later than the gate closes: where a host has 100,000 TCP sockets, leave 10 ms. Processor
// time on one core of a Xeon server under Linux 6.18 (BenchmarkDestroy, BenchmarkAddresses):
//
//	nothing there                            0.6 ms
//	each 10,000 other TCP sockets            1.7 ms more
//	100 connections to reset                 1.3 ms
//	1,000 connections to reset               7.0 ms
//	100 addresses instead of one             0.4 ms more
//	1,000 addresses instead of one           7.5 ms more
//
// Sources: net/ipv4/inet_diag.c, net/ipv4/tcp_diag.c, tcp_abort in net/ipv4/tcp.c, include/uapi/linux/inet_diag.h.
package sockets
