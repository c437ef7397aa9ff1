// Package sentinel watches over the neighbours of a node on each LAN and decides, from who answers there, whether one of them is gone and whether this node
// itself is cut off. It is pure: [Machine.Apply] takes in what happened, [Machine.Decide] returns what to do and when to ask again. It sends nothing, writes
// nothing and takes nothing over: a [Challenge] or an [Evict] is for etcd to decide.
//
// # Who guards whom?
//
// On every LAN the ready members form a ring, by name. The owner of a claim is a registration, whether its member key still stands or not [F7], and the next
// two in the ring guard it: they ask for one of its VIPs every Config.Interval, at the hardware address that answered before. A claim counts when it was
// seen for 300 ms, is not being moved, and says by its [Terms] that its owner plays by these rules; nothing is done with a view that etcd has not confirmed
// for a second [F9].
//
// # When is silence proof?
//
// When Config.Misses questions in a row went unanswered, and meanwhile another host on the same interface answered as many but the first: a witness, that is
// the gateway, a configured host, or a VIP of another member. An answer with another hardware address than the ward's is not the ward's: it may be a
// proxy [F10]. A question counts as lost only if this process ran all along: one that was late itself has proved nothing. Who runs a Machine applies all that has
// arrived before each Decide, with the instants of arrival, and need not look sooner than Decide asks for.
//
// # What follows?
//
// A challenge in etcd. The questions go on, and any answer takes the challenge back [F2]. When the longer of this node's and the owner's grace has passed
// since the challenge was seen to stand, a read of etcd has been answered quickly meanwhile, the ward has been silent for as long as its terms ask, a witness
// still answers, and, where three or more share the LAN, the other guard agrees [F11], the ward may be evicted.
//
// # What keeps it from doing harm?
//
// A ward that refutes is left alone for a second, then two, up to a minute [F8]. A guard evicts once in five seconds, others only if they fell silent before
// that eviction: they died together. It evicts nobody while half of the ring or more is silent: that is a switch, not a host [F11].
//
// # When is a node cut off itself?
//
// When it has heard no witness, guard or ward on an interface for 0.7 of the silence that gets a node evicted: then it takes its VIPs there down, before
// anybody can take them over [F4]. Only somebody who has a witness can tell that from the death of all others: a node without one ([Contact].Basis is false)
// gives no terms in its claims, and nobody evicts it. Contact is back when it has lasted for a second.
//
// To hear somebody is not to be heard by the guards: a port may come and go between their questions, or the LAN may have fallen in two. So a node that its
// guards asked and ask no more says that as well ([Contact].Unasked): from then on what it shows rests on its checks, each for a grace. For the same reason a
// guard consents only after so long a silence that its ward, if it lives, knows, and takes the consent back when it hears the ward [F2].
//
// # When may a challenge be refuted?
//
// When another host has answered since it was seen. If none does within half of the grace, the interface counts as cut off.
package sentinel
