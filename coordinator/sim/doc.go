// Package sim runs the pure core of 2 to 7 nodes, package plan as the product runs it, against a model etcd and model kernels, under random faults and in
// fake time, and holds what happens against the promises: one holder, every VIP held, balance, no orphan, no more moves in a round than are allowed. It proves nothing; it looks where a reader does
// not.
//
// # How do I run a schedule again?
//
// A schedule is everything that will go wrong, and a seed for all the rest: delays, clock rates, how late kernels are. The same schedule always gives the
// same run (TestSameScheduleSameRun). A test that finds a broken promise prints the schedule's number and the smallest schedule that still breaks it:
//
//	go test ./coordinator/sim -run TestOneHolder -v -sim.seed N       # its trace
//	go test ./coordinator/sim -run TestOneHolder -sim.schedules 100000 -sim.from 1000000
//	go test ./coordinator/sim -run TestOneHolder -sim.theme hand-overs
//
// Numbers keep their meaning only as long as random.go stays as it is; what has to be kept is written down as a schedule, in stories_test.go.
//
// # What is modelled?
//
// etcd (etcd.go) is linearizable: whatever happens in it happens in one event. Leases end by its own clock, or at any other moment. What goes wrong lies on
// the way (path.go): requests and answers are late or lost, so a transaction may commit long after its sender has given it up, and watches lag, break and are
// compacted. Operators delete claims, write and copy them by hand. A restore brings an older state back.
//
// A kernel (kernel.go) ends an address its lifetime after it was set, and up to 1.25 s later. Operations take time, and the process may be stopped between
// reading the clock and the call (kernellane.go).
//
// A daemon (process.go, lanes.go) is what package coordinator does around the core: one loop, one lane for the kernel, one for the state file, one goroutine
// for each call. It is killed, stopped, hung, restarted, upgraded, told to leave. When package coordinator changes how actions are carried out, this has to
// follow. Clocks start anywhere and differ by up to 0.1 %.
//
// # What is left out?
//
// Whole machines that are suspended: promise 1 does not cover them. A restore that keeps etcd's cluster id. Frames: the nodes answer probes
// only on a few LANs (Schedule.LAN), because one holder must not rest on that; rivals are not heard. Health checks are their verdicts alone (Sick).
//
// # Fast takeover
//
// Schedule.Fast gives every daemon a sentinel and the nodes a LAN (lan.go): frames are late, lost, and stop at a node that is cut off, or between the parts of a LAN that has
// fallen in two (cuts.go); kernels answer questions whatever their daemons do; a gateway answers whoever reaches it. RandomFast makes such schedules, of several themes in
// turn, TestOneHolderFast runs them. Two nodes may have one address up while they cannot hear each other, and 10 ms longer, and when one's daemon could not act while it
// was cut off. When a host dies and nothing else goes wrong, its VIPs have to be up again by Schedule.Again.
//
// # How do I know that it would notice?
//
// TestMutants breaks each rule that promise 1 rests on, those of rounds and those of the placement that operators set, and expects a finding.
package sim
