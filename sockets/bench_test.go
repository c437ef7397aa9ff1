package sockets

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// budget is how long a release may be held up by resets.
const budget = 20 * time.Millisecond

// manyFiles raises the limit of open files as far as it goes, and skips a test that needs more.
func manyFiles(t testing.TB, count int) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur < uint64(count) {
		t.Skipf("only %d open files are allowed here, want %d", limit.Cur, count)
	}
}

// cpu is the time that this thread has spent on a processor; a wall clock would count what others did there, too.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var used unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_THREAD, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// A thousand connections are reset within the budget, and their clients know.
func TestThousand(t *testing.T) {
	const connections = 1000
	manyFiles(t, 2*connections+100)
	l := newLAN(t)
	s := listen(t, "tcp", "")
	pairs := make([]pair, connections)
	for i := range pairs {
		pairs[i] = l.connect(t, s, []string{vip4, vip6}[i%2])
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, used := time.Now(), cpu(t)
	destroy(t, connections, vip4, vip6)
	took, used := time.Since(began), cpu(t)-used
	t.Logf("%d connections reset in %v, of which %v on the processor", connections, took, used)
	if used > budget {
		t.Errorf("it takes %v, want %v", used, budget)
	}
	for _, p := range pairs {
		must(t, p.client.SetReadDeadline(time.Now().Add(patience)))
		if _, err := p.client.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Fatalf("a client's read returned %v", err)
		}
	}
}

// BenchmarkDestroy resets so many connections of one address while the host has so many others.
func BenchmarkDestroy(b *testing.B) {
	for _, c := range []struct{ ours, others int }{{0, 0}, {1, 0}, {100, 0}, {1000, 0}, {1000, 5000}, {0, 5000}} {
		b.Run(fmt.Sprintf("%d of %d", c.ours, c.ours+c.others), func(b *testing.B) {
			manyFiles(b, 2*(c.ours+c.others)+100)
			l := newLAN(b)
			s := listen(b, "tcp", "")
			for range c.others {
				l.connect(b, s, other4)
			}
			vips := addresses(vip4)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			used := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				pairs := make([]pair, c.ours)
				for i := range pairs {
					pairs[i] = l.connect(b, s, vip4)
				}
				before := cpu(b)
				b.StartTimer()
				if killed, err := Destroy(vips, always); killed != c.ours || err != nil {
					b.Fatal(killed, err)
				}
				b.StopTimer()
				used += cpu(b) - before
				for _, p := range pairs {
					p.client.Close()
					p.server.Close()
				}
				b.StartTimer()
			}
			report(b, used)
		})
	}
}

// report adds the processor time of all rounds to the result.
func report(b *testing.B, used time.Duration) {
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkAddresses looks for a thousand addresses of which none has a connection, on a host with 5,000.
func BenchmarkAddresses(b *testing.B) {
	const others = 5000
	manyFiles(b, 2*others+100)
	l := newLAN(b)
	s := listen(b, "tcp", "")
	for range others {
		l.connect(b, s, other4)
	}
	for _, count := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			a := addresses("198.18.0.1")
			for len(a) < count {
				a = append(a, a[len(a)-1].Next())
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := cpu(b)
			for b.Loop() {
				if killed, err := Destroy(a, always); killed != 0 || err != nil {
					b.Fatal(killed, err)
				}
			}
			report(b, cpu(b)-before)
		})
	}
}
