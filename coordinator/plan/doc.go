// Package plan is the pure core of viplease: facts in, actions and the next wake-up out. It has no clock, does no I/O and starts no goroutine; it is
// told the time, and the same view always gives the same plan.
//
// # The safety rule
//
// Two machines never have one VIP up. Everything in this package serves that sentence, and this is why it holds:
//
//  1. A node sets an address, or sets its lifetime again, only while it has authority for that VIP: a linearizable check, sent at t0, saw the node's
//     member key with the create revision of its registration; the claim names this very registration (node, random id and create revision); the claim
//     is not in doubt; and the check is younger than the check timeout T. To add the address, the check was answered after the claim was won, and shows no
//     other claim that lists it: while configurations differ, two names may mean one address.
//  2. The kernel ends every address by itself, at most hold + K after it was set, whatever becomes of the daemon. So the address of a VIP is gone by
//     t0 + T + hold + K, where t0 is the last good check. K is how late the kernel may be (1.25 s).
//  3. Another node takes the claim only when W = (T + hold + K) x 1.002 + 50 ms has passed on its own boot-time clock since it first saw the owner's
//     registration gone. The owner's last good check linearized while its member key existed, so t0 lies before the key went, and before the taker saw it gone.
//  4. A live owner gives a claim away only after the kernel has confirmed that the addresses are deleted. If the answer to that write stays away, the VIP
//     is in doubt: its addresses are not set again before a later write of this node to the same claim has committed, which voids the earlier one.
//  5. A claim that is missing, or was not written by this protocol, is evidence of nothing: nobody sets the address until W after it was first seen so,
//     except a holder whose address has been up all the time.
//
// One predicate carries rules 1, 4 and 5: [View.mayShow]. The simulation in coordinator/sim runs this package under faults and holds it against the sentence at the top; TestOneHolder is that test.
//
// Fast takeover, where it is on, shortens rule 3: an eviction is evidence as well, and more rules make that safe. They are in fast.go and docs/protocol.md.
//
// # How to read it
//
// [View.Apply] folds one fact. [Decide] looks at the view and returns what to do now and when to ask again. The caller carries the actions out, tells the
// view that it has begun ([View.Dispatched]) and later what came of them, as facts. An action under way counts as both done and not done.
//
// Instants are time.Duration since boot on CLOCK_BOOTTIME. A View is owned by one goroutine.
package plan
