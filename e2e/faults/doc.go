// Package faults breaks a cluster on a lab at random, several things at a time, and mends what it broke.
//
// # What does it break?
//
// [Kinds] is the list: daemons, their machines, their links and addresses, the servers of etcd, and the keys in it. Putting an address on a wrong machine
// by hand is not among them: then two machines have it up, whatever the daemons do.
//
// # Is a run repeatable?
//
// Its schedule is: a [Scheduler] with the same seed and options gives the same faults, with the same lengths, at the same times and on the same nodes. What
// the cluster makes of them is not, and a fault whose victim depends on that (the leader of etcd, the holder of a VIP) may hit another one.
//
// # What is left whole?
//
// One node at least has its daemon, its links and its way to etcd, and is not drained. Servers of etcd are struck one fault at a time; the only one that
// takes the majority away is quorum-lost. So the cluster can always come back by itself once everything is mended.
//
// # How is it known that a fault did anything?
//
// Each one looks for itself: the killed process has gone, packets were lost on the way that is cut, the server does not answer, etcd took the write, the
// judge heard that the address went. If not, its [Outcome] says why.
package faults
