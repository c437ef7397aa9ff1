// Package hooks runs the operator's own programs after a VIP was acquired, released or could not be held: to reload a proxy, to
// move a route, to tell somebody.
//
// # What does a program get?
//
// The arguments of the configuration, as they stand; no shell reads them. The working directory is /, the standard input is
// empty. The environment is exactly this:
//
//	VIPLEASE_EVENT       acquired, released or fault
//	VIPLEASE_VIP         the name of the VIP
//	VIPLEASE_ADDRESSES   its addresses with prefix lengths, separated by spaces: 192.0.2.1/32 2001:db8::1/128
//	VIPLEASE_INTERFACES  the interface of each of them, in the same order: net1 net1
//	VIPLEASE_OLD_NODE    who held it before; empty: nobody
//	VIPLEASE_NEW_NODE    who holds it now; empty: nobody yet
//	VIPLEASE_NODE        this node
//	VIPLEASE_WHY         why it happened, for people
//	PATH                 that of the daemon
//
// It runs as the user that the daemon runs as, and with the same capabilities.
//
// # When does it run?
//
// After the event, never before: nothing waits for a program, and what it does cannot keep an address up or down. So a program
// that must know whether the address is there should look, for the next event may have happened meanwhile.
//
// For one VIP the programs run one at a time, in the order of the events. For different VIPs they run side by side, 8 at most.
//
// What is lost while no daemon runs, after a crash or a kill, the next daemon tells. A restart and a reload that lose nothing are no events.
//
// # What if it hangs, or is slow?
//
// At [Config.Timeout] its whole process group is killed (SIGKILL), and the log says so. Meanwhile up to 16 events of that VIP
// wait. When another one comes, the oldest that waits is dropped, with a line in the log that names what superseded it: the last
// event is what counts, and it is never the one that is dropped.
//
// # What if it leaves processes behind?
//
// It is over when the program itself has exited. What is left in its process group is killed then, with a warning, because it
// could otherwise work against the next event. A process that shall live on needs a session of its own (setsid, systemd-run)
// and its output elsewhere: the pipe is closed 100 ms after the program has exited.
//
// # Where does its output go?
//
// The first 4 KiB of standard output and standard error are logged when it is over. The rest is read and thrown away, so that a
// program that floods is neither blocked nor killed by it; the log says how much that was.
//
// # Which programs are refused?
//
// Those that somebody other than root and the daemon's user could replace, since they run with its privileges. [New] refuses, and
// the check is made again before each run: the path is absolute; the file is regular, executable, and not writable by its group
// or by others; no directory on the way to it (symbolic links are followed one by one) is writable by others, unless it has the
// sticky bit; all of them belong to root or to the daemon's user. Inside a user namespace, owners that it cannot name are taken
// for root. The message says what to chmod. Membership of a group that may write to a directory is trusted.
//
// # What if the daemon stops?
//
// When its context ends, [Runner.Run] goes on until everything that was fired has run, for [Config.Drain] at most. Then it
// kills what runs, logs each event that was not run, and returns. To wait without a context that ends, as before a reload, there
// is [Runner.Wait].
package hooks
