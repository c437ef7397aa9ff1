// Package leases is everything that viplease does with etcd: a node's registration and its lease, the authority check, the view of
// all keys and its changes, claims, and what operators ask for. It is a driver. It decides nothing about who holds what, and values
// are bytes to it; it owns keys, revisions, leases and transactions, and it says what became of a request.
//
// # What may I rely on?
//
// On a [Store.Check] that was answered, as of its T0, and on compare-and-swap. Not on a lease: etcd may end one early, and may
// acknowledge a renewal of one that is gone. A lease says that a node is probably gone; nothing may be concluded from one that lives.
// A check goes to a majority each time, so no paused, lagging or cut-off server can give an old answer to it. [Store.Read] and
// [Store.Get] are linearizable as well; a [Store.Watch] may lag without bound.
//
// # What does a failed write mean?
//
// [ErrNotApplied]: it was not made and never will be. [ErrInDoubt], which is also what an error nobody knows is taken for: it may
// have been made, or may yet be, even long after the call. Let each value carry an attempt id, read the key, and compare; and since
// each write names the revision it replaces, a later write of one's own to the same key makes a late one fail. Errors are told apart
// by etcd's typed errors and by whether there was a connection to send the request on.
//
// # Why one connection per server?
//
// A [Store] has one client for each endpoint, connected when it is first used. All requests go to the server that is first in its
// order, at first a random one, and one that fails or stays silent goes to the end of the order. So a node holds one connection while
// all is well, knows who answered it, and a hedged request surely goes to another server; a client that spreads its requests over
// all servers sends each third one to the one that hangs, and keeps its lease on a stream to it.
//
// # What does an idle node cost etcd?
//
// With a check each 0.3 s, a renewal each second and one watch: 5.3 small requests a second, one connection, and no write. The size of
// a check does not grow with the number of VIPs, since it asks for the keys that changed. Its time does a little: 0.6 ms without
// claims, 1 ms with 1,000 and 3 ms with 10,000, measured on etcd 3.7, which finds them in its index in memory; older ones read all
// claims to find them.
//
// # What is a Commit?
//
// One etcd transaction with others nested in it:
//
//	if   members/<me> has my create revision, and all Guards hold
//	then for each Write:
//	         if   the claim has the revision I saw, the old owner is gone, the target is here
//	         then put the claim
//	         else get the claim
//	     the Puts and Deletes
//	else get what the conditions looked at
//
// All compares are evaluated before anything is written (etcd, server/etcdserver/txn/txn.go, compareToPath), and all that is
// written has one revision.
//
// # Who stops what?
//
// Every call ends with its context, and has a limit of its own besides: the timeout of the configuration for a Check and a Get,
// 0.9 s plus half of the lease for a Renew, 1 s for Health, 5 s for an Edit, 2 s for each request of the others. Nothing runs between
// calls; in particular a lease is renewed by [Store.Renew] alone, so that it lapses when the program hangs. [Store.Close] ends the
// rest.
//
// The client library's warnings go to the configured logger. gRPC has a logger of its own, silent but for errors on standard error,
// which is the whole program's to set (google.golang.org/grpc/grpclog).
package leases
