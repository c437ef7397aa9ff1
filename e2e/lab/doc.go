// Package lab is a LAN of network namespaces for real daemons, a real etcd and real packets. It needs neither the ip command nor
// root, and leaves nothing behind, however it ends.
//
// # How a test uses it
//
//	func TestMain(m *testing.M) {
//		lab.Main(lab.NeedEtcd, lab.NeedViplease)
//		os.Exit(m.Run())
//	}
//
//	func TestCut(t *testing.T) {
//		l := lab.New(t, lab.Options{Nodes: 3, Etcd: 1})
//		for _, n := range l.Nodes {
//			n.Start(config)
//		}
//		l.Nodes[0].LAN.Cut() // the carrier stays
//		...
//	}
//
// A program that is no test hands in [Program] instead of t.
//
// # What stands on it
//
//	LAN          192.168.3.0/24, fd00:3::/64   nodes .11 to .99, client .250, gateway .1 (if asked for)
//	management   10.9.0.0/24                   nodes .101 to .189, etcd .11 to .13, the lab itself .254
//
// Every host has a network namespace, a host name, a machine id, a boot id, /etc and /run of its own, so that an unchanged binary
// takes it for a machine. Virtual addresses are expected from 192.168.3.100 and fd00:3::100 on, or in a prefix that is routed to the
// LAN with [Host.Route].
//
// # What can go wrong on it
//
// Links: [Port.Cut] (silence with carrier), [Port.Down] (no carrier), [Port.Lose] (loss at random), [Lab.Block] (one direction between
// two hosts). Daemons: [Node.Kill], [Node.Pause], [Node.Stop]. Machines: [Host.Freeze], [Node.Die], [Node.Return]. Etcd: the same for each
// [Server], and [Server.Wipe], [Server.Save] with [Server.Restore], [Cluster.MoveLeader], [Cluster.Compact].
//
// There is no delay: that takes netem, which not every kernel has.
//
// # Limits
//
// All namespaces of a kernel share one neighbour table per family (net/core/neighbour.c), and gc_thresh cannot be set from inside:
// beyond 512 IPv4 neighbours in all, hosts forget some and ask again. Clocks, memory and processors are shared: Freeze stops the
// processes of a host, not its kernel.
package lab
