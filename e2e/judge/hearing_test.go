package judge

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The reader stands still while 1,000 addresses of each family come and go, and nothing is lost.
func TestBurstDoesNotBlind(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{}, a)
	const count = 1000
	vip := func(base netip.Addr, n int) netip.Addr {
		b := base.AsSlice()
		b[len(b)-2], b[len(b)-1] = byte(n>>8), byte(n)
		v, _ := netip.AddrFromSlice(b)
		return v
	}
	j.mu.Lock()
	for n := range count {
		a.add(vip(vip4, n))
		a.add(vip(vip6, n+1))
	}
	j.mu.Unlock()
	must(t, j.Wait(soon(t), func(h map[netip.Addr][]string) bool { return len(h) == 2*count }))
	j.mu.Lock()
	for n := range count {
		a.del(vip(vip4, n))
		a.del(vip(vip6, n+1))
	}
	j.mu.Unlock()
	must(t, j.Verdict())
	if up, n := len(j.Holders()), len(j.History()); up != 0 || n != 4*count {
		t.Errorf("%d up, %d changes, want %d", up, n, 4*count)
	}
}

func TestOverflowIsBlindIsRed(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{receiveBuffer: 4096}, a)
	j.mu.Lock()
	for range 100 {
		a.add(vip4)
		a.del(vip4)
	}
	j.mu.Unlock()
	for range 2 { // for good
		if err := j.Verdict(); !errors.Is(err, ErrBlind) || !errors.Is(err, unix.ENOBUFS) || errors.Is(err, ErrTwoHolders) {
			t.Errorf("verdict %v", err)
		}
	}
	if err := j.WaitHolders(soon(t), vip4, "a"); !errors.Is(err, ErrBlind) {
		t.Errorf("wait: %v", err)
	}
	<-j.Failed()
}

// A change whose message never came is found by the comparison that comes with a verdict.
func TestUnheardChangeIsBlind(t *testing.T) {
	for _, change := range []string{"add", "del"} {
		t.Run(change, func(t *testing.T) {
			a := newNode(t, "a")
			if change == "del" {
				a.add(vip4)
			}
			j := start(t, Config{}, a)
			must(t, j.Verdict())
			j.mu.Lock()
			m := j.named("a")
			delete(j.machines, m.nsid)
			if change == "add" {
				a.add(vip4)
			} else {
				a.del(vip4)
			}
			j.drain()
			j.machines[m.nsid] = m
			j.mu.Unlock()
			if err := j.Verdict(); !errors.Is(err, ErrBlind) {
				t.Errorf("verdict %v", err)
			}
		})
	}
}

// A machine that the judge cannot hear is refused.
func TestDeafToAMachine(t *testing.T) {
	a := newNode(t, "a")
	j := start(t, Config{})
	m, err := openMachine(a.Machine, 4711) // not the id that marks its messages
	must(t, err)
	defer m.close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.machines[m.nsid] = m
	defer delete(j.machines, m.nsid)
	if _, err := j.meet(m); err == nil || !strings.Contains(err.Error(), "not heard") {
		t.Errorf("met a machine that is not heard: %v", err)
	}
}

// How long after the call an address counts as up, and that a nodad IPv6 address takes no longer than its work item.
func TestPrompt(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{}, a)
		var took []time.Duration
		for range 200 {
			a.add(vip)
			after := sinceBoot()
			must(t, j.WaitHolders(soon(t), vip, "a"))
			took = append(took, sinceBoot()-after)
			a.del(vip)
			if h := j.Holders(); len(h) > 0 {
				t.Fatalf("up after the deletion: %v", h)
			}
		}
		slices.Sort(took)
		t.Logf("known after the call returned: median %v, worst %v", took[100], took[199])
	})
}

// A nodad IPv6 address is listed by the kernel before the message about it is sent. That is no reason to go blind.
func TestVerdictRightAfterAdding(t *testing.T) {
	families(t, func(t *testing.T, vip netip.Addr) {
		a := newNode(t, "a")
		j := start(t, Config{Strict: true}, a)
		load(t)
		for range 500 {
			a.add(vip)
			must(t, j.Verdict())
			a.del(vip)
			must(t, j.Verdict())
		}
	})
}
