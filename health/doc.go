// Package health runs the checks that make a node fit or unfit: a [Runner] asks a web server, opens a TCP connection or starts a program again and again,
// and delivers a [Verdict] whenever the answer has changed for good.
//
// # When is a check healthy?
//
// After Check.Rise successes in a row it is healthy, after Check.Fall failures in a row it is not. Until one of the two has happened there is no verdict,
// and none is delivered. No verdict is not a bad one, and the caller needs both rules:
//
//   - A node without a verdict must not be given a VIP: one that starts has proven nothing.
//   - A node without a verdict keeps what it holds: after a restart that adopts addresses, every check begins anew.
//
// A check that fails and passes by turns and never reaches either count keeps the verdict that it has, or none.
//
// # When does it run?
//
// Each check has a goroutine of its own, so a slow one delays no other, and never overlaps itself. A try begins Check.Interval after the one before began,
// or as soon as that one is over, if it took longer. Check.Timeout may be longer than Check.Interval. The first tries are spread at random over the interval,
// but over one second at most. From the failure of a service to its verdict it takes up to
// the longer of Interval and Timeout, x Fall, + Timeout.
//
// # What does an HTTP check want?
//
// A status of 200 to 399 to a GET, and the body, or the first 4 KiB of it, within the timeout. Redirects are healthy and not followed. Every try has a
// connection of its own, HTTP/1.1, without a proxy. The Host header and user and password are those of the URL. A certificate must be valid to the roots of
// the system. When a server that fails answers with text/plain, its first line becomes the reason.
//
// # What does a TCP check want?
//
// That a connection is accepted. It is closed at once, and nothing is sent.
//
// # What does a command check want?
//
// The exit status 0 within the timeout. The program is started by its absolute path, without a shell, in /, with nothing in its environment but PATH and
// LC_ALL=C, its input empty. It has the user and the capabilities of this process. All its output is read, so that it never blocks, and 4 KiB of it are kept:
// the first line tells why it failed.
//
// # What becomes of a program that hangs or forks?
//
// It runs in a session of its own (setsid(2)). At the timeout, and when Run is cancelled, all of the session gets SIGKILL, those too that have made themselves
// a process group, as timeout(1) does. There is no SIGTERM before: a check must bear to be killed at any moment. When a program exits, what it leaves in the
// background is killed too, as far as it is in its process group or holds its output. When this process is killed itself, the kernel kills the program (PR_SET_PDEATHSIG) but not what it has forked.
//
// A process that makes a session of its own escapes and stays. It delays nothing, but a check that leaves one at each try fills the host, up to the limit of
// the service (TasksMax= in systemd.resource-control(5)).
//
// A process that SIGKILL does not end, because it waits in the kernel for a disk or a file server that is gone, fails its check until it ends; the program is
// not started a second time meanwhile.
//
// # What must the caller do?
//
// Let Run return before the process replaces itself by execve(2): a program that is started then would never be waited for. As process 1 of a container, reap
// orphans: those that a check has forked arrive there.
package health
