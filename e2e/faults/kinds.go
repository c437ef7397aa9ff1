package faults

import (
	"context"
	"time"
)

// Kind is one way of breaking something.
type Kind struct {
	Name        string
	What        string        // in words, for a list
	Least, Most time.Duration // how long it lasts; both 0: it is done at once, and the cluster itself has to put it right

	on     scope  // whom it hits
	weight int    // how many of its cards are in the deck
	takes  []part // what of its node, or etcd, no other fault may touch meanwhile
	hurts  bool   // its node cannot do all its work meanwhile
	begin  func(context.Context, *World, Fault) (broken, error)
}

func (k *Kind) String() string { return k.Name }

// scope says whom a fault hits.
type scope int

const (
	node  scope = iota // Fault.Node
	vip                // one VIP, of Fault.Draw
	store              // all nodes, through etcd
)

// part is something that one fault at a time may touch: of each node, and etcd's servers all together.
type part string

const (
	process part = "process" // the daemon
	mgmt    part = "mgmt"    // the node's way to etcd
	lan     part = "lan"     // its interface and addresses there
	orders  part = "orders"  // what an operator asked for
	servers part = "servers" // etcd's
)

// Kinds are all kinds of faults.
var Kinds = []*Kind{
	{"daemon-restarted", "the daemon is killed (SIGKILL) and started again within a second", 0, time.Second, node, 3, []part{process}, true, killed},
	{"daemon-killed", "the daemon is killed (SIGKILL) and stays away", time.Second, 20 * time.Second, node, 2, []part{process}, true, killed},
	{"daemon-paused", "the daemon stands still (SIGSTOP) and goes on (SIGCONT)", 200 * time.Millisecond, 12 * time.Second, node, 4, []part{process}, true, paused},
	{"daemon-stopped", "the daemon is asked to leave (SIGTERM) and started later", 200 * time.Millisecond, 10 * time.Second, node, 2, []part{process}, true, stopped},
	{"daemon-reloaded", "the daemon reads its configuration anew (SIGHUP)", 3 * time.Second, 3 * time.Second, node, 2, []part{process}, false, reloaded},
	{"node-drained", "the node is drained, and undrained", 500 * time.Millisecond, 15 * time.Second, node, 3, []part{orders}, true, drained},
	{"host-dead", "the machine dies, and boots again", 500 * time.Millisecond, 20 * time.Second, node, 3, []part{process, mgmt, lan}, true, dead},
	{"node-isolated", "the node is cut off from everything", 200 * time.Millisecond, 12 * time.Second, node, 2, []part{mgmt, lan}, true, isolated},

	{"etcd-unreachable", "the node is cut off from etcd", 200 * time.Millisecond, 12 * time.Second, node, 4, []part{mgmt}, true, unreachable},
	{"etcd-one-way", "packets between the node and some or all servers of etcd pass in one direction only", 500 * time.Millisecond, 12 * time.Second, node, 2, []part{mgmt}, true, etcdOneWay},
	{"etcd-lossy", "packets between the node and etcd are lost at random", 2 * time.Second, 15 * time.Second, node, 1, []part{mgmt}, true, etcdLossy},
	{"lan-silent", "the node is cut off from the LAN, its carrier stays", 200 * time.Millisecond, 12 * time.Second, node, 2, []part{lan}, true, lanSilent},
	{"lan-unplugged", "the node's LAN cable is pulled", 200 * time.Millisecond, 12 * time.Second, node, 2, []part{lan}, true, lanUnplugged},
	{"lan-one-way", "packets between the node and another host of the LAN pass in one direction only", 500 * time.Millisecond, 12 * time.Second, node, 1, []part{lan}, true, lanOneWay},
	{"lan-lossy", "packets on the node's LAN port are lost at random", 2 * time.Second, 15 * time.Second, node, 1, []part{lan}, true, lanLossy},
	{"link-down", "somebody sets the node's LAN interface down", 200 * time.Millisecond, 10 * time.Second, node, 2, []part{lan}, true, linkDown},
	{"lan-flushed", "somebody flushes all addresses of the node's LAN interface; its own come back later", 100 * time.Millisecond, 3 * time.Second, node, 2, []part{lan}, true, flushed},
	{"address-deleted", "somebody deletes a VIP where it is up", 0, 0, vip, 3, nil, false, addressDeleted},

	{"leader-killed", "the leader of etcd is killed", time.Second, 12 * time.Second, store, 2, []part{servers}, false, killServer(leader)},
	{"leader-paused", "the leader of etcd stands still", 500 * time.Millisecond, 12 * time.Second, store, 2, []part{servers}, false, pauseServer(leader)},
	{"leader-cut", "the leader of etcd is cut off", 500 * time.Millisecond, 12 * time.Second, store, 2, []part{servers}, false, cutServer(leader)},
	{"leader-moved", "the leader of etcd hands its office over", 0, 0, store, 1, []part{servers}, false, leaderMoved},
	{"follower-killed", "a follower of etcd is killed", time.Second, 12 * time.Second, store, 1, []part{servers}, false, killServer(follower)},
	{"follower-paused", "a follower of etcd stands still", 500 * time.Millisecond, 12 * time.Second, store, 2, []part{servers}, false, pauseServer(follower)},
	{"follower-cut", "a follower of etcd is cut off", 500 * time.Millisecond, 12 * time.Second, store, 2, []part{servers}, false, cutServer(follower)},
	{"quorum-lost", "most servers of etcd stand still, are cut off or die", time.Second, 20 * time.Second, store, 2, []part{servers}, false, quorumLost},
	{"store-compacted", "etcd forgets all history", 0, 0, store, 1, nil, false, compacted},

	{"lease-revoked", "somebody revokes the node's lease", 0, 0, node, 2, nil, false, leaseRevoked},
	{"member-deleted", "somebody deletes the node's member key", 0, 0, node, 1, nil, false, memberDeleted},
	{"state-deleted", "somebody deletes the node's state", 0, 0, node, 1, nil, false, stateDeleted},
	{"claim-deleted", "somebody deletes a claim", 0, 0, vip, 2, nil, false, claimDeleted},
	{"claim-overwritten", "somebody overwrites a claim", 0, 0, vip, 2, nil, false, claimOverwritten},
}
