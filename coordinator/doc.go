// Package coordinator runs one node: a single loop owns the view of package plan, carries its actions out and brings back what came of them.
//
// The loop does no I/O and never blocks. What it decides runs elsewhere, each in a goroutine that [Coordinator.Run] waits for:
//
//   - one lane for the kernel: every operation on addresses, every announcement, in the order they were decided. No etcd call is made there, so a stalled
//     etcd never delays a removal;
//   - one goroutine for each call to etcd, bounded by the plan (one check, one renewal, one write per claim at a time), so that address work never delays
//     a check or a renewal. They are started by the loop alone: when it stops turning, checks and renewals stop, and others take over;
//   - one goroutine each for what is observed: etcd's watch, the kernel's events.
//
// Whatever ends Run, a panic included, the addresses come down first.
package coordinator
