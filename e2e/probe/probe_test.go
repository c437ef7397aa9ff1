package probe

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A second of 20 addresses at 1,000 probes per second each, and none lost.
func TestQuietSecond(t *testing.T) {
	w := newWire(t)
	var targets []netip.Addr
	for v4, v6 := vip4, vip6; len(targets) < 20; v4, v6 = v4.Next(), v6.Next() {
		targets = append(targets, v4, v6)
		w.add(v4)
		w.add(v6)
	}
	p := w.start(Config{Targets: targets})
	must(t, p.WaitAll(soon(t)))
	mark, before, cpu := p.Mark(), p.Stats(), used(t)
	<-time.After(time.Second)
	after, cpu := p.Stats(), used(t)-cpu
	must(t, p.Settle(soon(t)))
	if o := p.Outages(mark); len(o) > 0 || p.Lost(mark) != 0 {
		t.Errorf("outages %v, %d lost", o, p.Lost(mark))
	}
	sent := after.Sent - before.Sent
	if got := len(p.Alive()); got != len(targets) {
		t.Errorf("%d of %d alive", got, len(targets))
	}
	t.Logf("%d probes, %v of CPU for each, resolution %v, %+v", sent, cpu/time.Duration(sent), p.Resolution(mark), p.Stats())
	must(t, p.Close())
}

// used is the CPU time of this process, the kernel's work for its packets included.
func used(t *testing.T) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A gap is reported as long as it was. How well that can be known is measured in the same run: by the time that deleting and adding took,
// by the probe's own gaps, and by a second address, which nobody touches: what it suffers is the machine's doing.
func TestPlantedGap(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for _, vip := range []netip.Addr{vip4, vip6} {
			t.Run(fmt.Sprintf("%v/busy=%t", vip, busy), func(t *testing.T) {
				w := newWire(t)
				still := vip.Next()
				w.add(vip)
				w.add(still)
				if busy {
					load(t)
				}
				var off []time.Duration
				for range 10 {
					if d, seen := plantGap(t, w, vip, still); seen {
						off = append(off, d.Abs())
					}
				}
				median, p95, worst := Summary(off)
				t.Logf("20 ms, reported with an error of: median %v, p95 %v, worst %v", median, p95, worst)
			})
		}
	}
}

// plantGap takes an address away for about 20 ms, and returns by how much the reported length differs from the real one. It may be unseen
// only if the probe says that it sent nothing for so long.
func plantGap(t *testing.T, w *wire, vip, still netip.Addr) (off time.Duration, seen bool) {
	t.Helper()
	p := w.start(Config{Targets: []netip.Addr{vip, still}})
	must(t, p.WaitAll(soon(t)))
	before := p.Mark()
	w.del(vip)
	gone := p.Mark()
	time.Sleep(20 * time.Millisecond)
	back := p.Mark()
	w.add(vip)
	after := p.Mark()
	must(t, p.WaitAll(soon(t)))
	must(t, p.Settle(soon(t)))
	must(t, p.Close())

	least, most, blur := back-gone, after-before, p.Resolution(before)+p.targets[1].track.slowest
	var found []Outage
	for _, o := range p.Outages(before) {
		if o.VIP == still {
			blur += o.end() - o.Start
		} else {
			found = append(found, o)
		}
	}
	if len(found) == 0 && blur > least {
		t.Logf("gap of %v to %v not seen, known to %v", least, most, blur)
		return 0, false
	}
	if len(found) != 1 || found[0].Ongoing || found[0].Lost < 1 {
		t.Fatalf("one outage of %v to %v planted, reported %v", least, most, found)
	}
	o := found[0]
	length := o.end() - o.Start
	if length < least-blur || length > most+blur {
		t.Errorf("gap of %v to %v reported as %v, known to %v", least, most, o, blur)
	}
	if o.Start < before-blur || o.end() > after+blur {
		t.Errorf("gap between %v and %v reported as %v, known to %v", before, after, o, blur)
	}
	return length - (least+most)/2, true
}

func TestOngoingOutage(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	w.add(vip6)
	var log lockedLog
	p := w.start(Config{Targets: []netip.Addr{vip4, vip6}, Log: &log})
	must(t, p.WaitAll(soon(t)))
	mark := p.Mark()
	w.del(vip4)
	must(t, p.wait(soon(t), func() bool { return len(p.Outages(mark)) > 0 }))
	o := p.Outages(mark)
	if len(o) != 1 || !o[0].Ongoing || o[0].VIP != vip4 {
		t.Errorf("outages %v", o)
	}
	if alive := p.Alive(); !slices.Equal(alive, []netip.Addr{vip6}) {
		t.Errorf("alive %v", alive)
	}
	must(t, p.wait(soon(t), func() bool { return p.Outages(mark)[0].Duration > o[0].Duration }))
	w.add(vip4)
	must(t, p.WaitAll(soon(t)))
	must(t, p.Settle(soon(t)))
	o = p.Outages(mark)
	if len(o) != 1 || o[0].Ongoing {
		t.Errorf("outages %v", o)
	}
	if later := p.Outages(p.Mark()); len(later) > 0 {
		t.Errorf("outages since it ended: %v", later)
	}
	if got := strings.Count(log.String(), "\n"); got != 2 {
		t.Errorf("log, want a beginning and an end:\n%s", log.String())
	}
}

// A probe that stands still claims nothing, and says so.
func TestStallIsNoOutage(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	const still = 300 * time.Millisecond // longer than the window
	var stall atomic.Bool
	resumed := make(chan struct{})
	p := w.start(Config{Targets: []netip.Addr{vip4}, stall: func() {
		if stall.Swap(false) {
			time.Sleep(still)
			resumed <- struct{}{}
		}
	}})
	must(t, p.WaitAll(soon(t)))
	mark := p.Mark()
	stall.Store(true)
	<-resumed
	must(t, p.WaitAll(soon(t)))
	must(t, p.Settle(soon(t)))
	if o := p.Outages(mark); len(o) > 0 {
		t.Errorf("outages %v", o)
	}
	if r := p.Resolution(mark); r < still {
		t.Errorf("resolution %v after a stall of %v", r, still)
	}

	// The same within an outage: it is not part of its length.
	mark = p.Mark()
	w.del(vip4)
	must(t, p.wait(soon(t), func() bool { return len(p.Outages(mark)) > 0 }))
	stall.Store(true)
	<-resumed
	w.add(vip4)
	took := p.Mark() - mark
	must(t, p.WaitAll(soon(t)))
	must(t, p.Settle(soon(t)))
	o := p.Outages(mark)
	if len(o) != 1 || o[0].Stalled < still-2*time.Millisecond || o[0].Duration > took-still+p.Stats().WorstAnswer+10*time.Millisecond {
		t.Errorf("outage of %v with a stall of %v: %v", took, still, o)
	}
}

// A process stopped for longer than the window claims nothing: the answers that came meanwhile bear the kernel's time.
func TestPausedProcess(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), pausedEnv+"="+vip4.String())
	cmd.ExtraFiles = []*os.File{w.client.ns}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "alive" {
		t.Fatalf("the other process says %q", lines.Text())
	}
	const pause = 400 * time.Millisecond
	must(t, cmd.Process.Signal(unix.SIGSTOP))
	time.Sleep(pause)
	must(t, cmd.Process.Signal(unix.SIGCONT))
	fmt.Fprintln(in, "go on")
	var outages, gap int64
	if lines.Scan(); lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	if _, err := fmt.Sscan(lines.Text(), &outages, &gap); err != nil || outages != 0 || gap < pause.Milliseconds()-10 {
		t.Errorf("the paused process reports %q (%v), want no outage and a gap of %v", lines.Text(), err, pause)
	}
	must(t, cmd.Wait())
}

// Without a route nothing can be sent, and those probes are lost. With one all is well.
func TestNoRoute(t *testing.T) {
	for _, far := range []string{"10.88.0.1", "fd88::1"} {
		t.Run(far, func(t *testing.T) {
			vip := netip.MustParseAddr(far)
			w := newWire(t)
			w.add(vip)
			p := w.start(Config{Targets: []netip.Addr{vip}})
			must(t, p.wait(soon(t), func() bool { return len(p.Outages(0)) > 0 }))
			if s := p.Stats(); s.Refused == 0 || !errors.Is(s.Refusal, unix.ENETUNREACH) {
				t.Errorf("%+v", s)
			}
			must(t, w.client.h.RouteAdd(&netlink.Route{LinkIndex: w.client.link.Attrs().Index, Dst: host(t, vip).IPNet}))
			must(t, p.WaitAll(soon(t)))
			must(t, p.Close())
		})
	}
}

// While the kernel looks for a neighbour it keeps probes, which are answered late when it has found it. They end the outage no earlier.
func TestQueuedAtTheNeighbour(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	p := w.start(Config{Targets: []netip.Addr{vip4}})
	must(t, p.WaitAll(soon(t)))
	neighbour := &netlink.Neigh{
		LinkIndex: w.client.link.Attrs().Index, IP: net.IP(vip4.AsSlice()),
		State: netlink.NUD_REACHABLE, HardwareAddr: w.server.link.Attrs().HardwareAddr,
	}
	mark := p.Mark()
	w.del(vip4)
	must(t, w.client.h.NeighDel(neighbour))
	gone := p.Mark()
	time.Sleep(500 * time.Millisecond)
	least := p.Mark() - gone
	w.add(vip4)
	must(t, w.client.h.NeighSet(neighbour))
	most := p.Mark() - mark
	must(t, p.WaitAll(soon(t)))
	must(t, p.Settle(soon(t)))
	all := p.Outages(mark)
	if len(all) != 1 {
		t.Fatalf("outages %v", all)
	}
	blur := p.Resolution(mark) + 10*time.Millisecond
	if got := all[0].Duration + all[0].Stalled; got < least-blur || got > most+blur {
		t.Errorf("silence of %v to %v reported as %v", least, most, all[0])
	}
	s := p.Stats()
	if s.WorstAnswer < 100*time.Millisecond {
		t.Errorf("no probe was queued, so this tested nothing: %+v", s)
	}
	t.Logf("%v to %v, reported %v; %+v", least, most, all[0], s)
}

// An ICMP error that comes back for one probe is no answer, and does not keep the kernel from sending the next.
func TestProhibited(t *testing.T) {
	for _, vip := range []netip.Addr{vip4, vip6} {
		t.Run(vip.String(), func(t *testing.T) {
			w := newWire(t)
			must(t, inside(w.server.ns, func() error {
				return errors.Join(
					os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
					os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
			}))
			w.add(vip)
			p := w.start(Config{Targets: []netip.Addr{vip}})
			must(t, p.WaitAll(soon(t)))
			prohibit := &netlink.Route{Dst: host(t, vip).IPNet, Type: unix.RTN_PROHIBIT}
			mark := p.Mark()
			must(t, w.server.h.RouteAdd(prohibit))
			w.del(vip)
			must(t, p.wait(soon(t), func() bool { return p.Lost(mark) > 100 }))
			must(t, w.server.h.RouteDel(prohibit))
			w.add(vip)
			must(t, p.WaitAll(soon(t)))
			must(t, p.Settle(soon(t)))
			if o := p.Outages(mark); len(o) != 1 {
				t.Errorf("outages %v", o)
			}
			if s := p.Stats(); s.Refused > 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Two probes of one address do not take each other's answers for their own.
func TestTwoProbes(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	w.add(vip6)
	cfg := Config{Targets: []netip.Addr{vip4, vip6}}
	a, b := w.start(cfg), w.start(cfg)
	for _, p := range []*Probe{a, b, a, b} {
		must(t, p.WaitAll(soon(t)))
	}
	for _, p := range []*Probe{a, b} {
		must(t, p.Settle(soon(t)))
		if s := p.Stats(); s.Stray > 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestOwnQueueOverflows(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	p := w.start(Config{Targets: []netip.Addr{vip4}, receiveBuffer: 4096})
	p.mu.Lock()
	for p.targets[0].fired.sent.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	p.mu.Unlock()
	if err := p.Settle(soon(t)); !errors.Is(err, ErrDropped) {
		t.Errorf("settle: %v", err)
	}
	if s := p.Stats(); s.Dropped == 0 {
		t.Errorf("%+v", s)
	}
	if err := p.Close(); !errors.Is(err, ErrDropped) {
		t.Errorf("close: %v", err)
	}
}

func TestSource(t *testing.T) {
	w := newWire(t)
	w.add(vip4)
	second := netip.MustParseAddr("10.77.0.3")
	if _, err := Start(Config{NS: w.client.ns, Targets: []netip.Addr{vip4}, Source: second}); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("with a source that is not there: %v", err)
	}
	must(t, w.client.h.AddrAdd(w.client.link, host(t, second)))
	p := w.start(Config{Targets: []netip.Addr{vip4}, Source: second})
	must(t, p.WaitAll(soon(t)))
	from, err := unix.Getsockname(p.targets[0].fd)
	must(t, err)
	if got := netip.AddrFrom4(from.(*unix.SockaddrInet4).Addr); got != second {
		t.Errorf("sent from %v", got)
	}
}

func TestCloseEndsWaiting(t *testing.T) {
	w := newWire(t)
	p := w.start(Config{Targets: []netip.Addr{vip4}})
	result := make(chan error)
	go func() { result <- p.WaitAll(soon(t)) }()
	must(t, p.Close())
	if err := <-result; err == nil {
		t.Error("waited for nobody, and got an answer")
	}
	must(t, p.Close())
}
