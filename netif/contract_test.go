package netif

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// raiser is what a coordinator uses of a Kernel to hold addresses. A fake of it must pass testRaiser too.
type raiser interface {
	Raise(groups [][]Address, lifetime, until time.Duration) []error
	Delete(addrs []Address) []error
	Addresses() ([]Present, error)
}

// raiserBed is a raiser with one link, and the means to play with the world behind it.
type raiserBed struct {
	raiser
	link string
	// setClock replaces the clock that the raiser reads. At the start it reads zero.
	setClock func(now func() time.Duration)
	// addForeign puts a permanent address of somebody else on the link.
	addForeign func(Address)
	// awaitLapse returns when an address has ended by its lifetime.
	awaitLapse func(*testing.T, Address)
}

func (b raiserBed) address(s string) Address { return Address{b.link, netip.MustParsePrefix(s)} }

// present returns what is known of an address, nil when it is not there.
func (b raiserBed) present(t *testing.T, a Address) *Present {
	t.Helper()
	all, err := b.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Address == a {
			return &p
		}
	}
	return nil
}

func (b raiserBed) want(t *testing.T, up bool, addrs ...Address) {
	t.Helper()
	for _, a := range addrs {
		if (b.present(t, a) != nil) != up {
			t.Errorf("%s up: %t, want %t", a, !up, up)
		}
	}
}

// groups makes each address a group of its own.
func groups(addrs ...Address) [][]Address {
	var g [][]Address
	for _, a := range addrs {
		g = append(g, []Address{a})
	}
	return g
}

// wantErrors compares errors one by one; nil wants none.
func wantErrors(t *testing.T, errs []error, want ...error) {
	t.Helper()
	if len(errs) != len(want) {
		t.Fatalf("%d errors, want %d: %v", len(errs), len(want), errs)
	}
	for i, err := range errs {
		if !errors.Is(err, want[i]) {
			t.Errorf("error %d is %v, want %v", i, err, want[i])
		}
		if errors.Is(err, ErrLeft) {
			t.Errorf("error %d says that something is left: %v", i, err)
		}
	}
}

// testRaiser is the contract of [Kernel.Raise], [Kernel.Delete] and [Kernel.Addresses], for both families.
func testRaiser(t *testing.T, open func(*testing.T) raiserBed) {
	families := []struct{ name, a, b, wide string }{
		{"IPv4", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.1/24"},
		{"IPv6", "2001:db8::1/128", "2001:db8::2/128", "2001:db8::1/64"},
	}
	cases := []struct {
		name string
		run  func(t *testing.T, bed raiserBed, a, b, wide Address)
	}{
		{"raise, refresh, delete", raiseRefreshDelete},
		{"lapse", lapse},
		{"foreign after a lapse", foreignAfterLapse},
		{"a group is all or nothing", allOrNothing},
		{"foreign addresses stay", foreignStays},
		{"the prefix length counts", prefixCounts},
		{"too late", tooLate},
		{"overtaken while adding", overtakenAdding},
		{"overtaken while refreshing", overtakenRefreshing},
	}
	for _, f := range families {
		for _, c := range cases {
			t.Run(f.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				bed := open(t)
				c.run(t, bed, bed.address(f.a), bed.address(f.b), bed.address(f.wide))
			})
		}
	}
}

func raiseRefreshDelete(t *testing.T, bed raiserBed, a, b, _ Address) {
	for _, lifetime := range []time.Duration{30 * time.Second, 90 * time.Second, 60 * time.Second} {
		wantErrors(t, bed.Raise(groups(a, b), lifetime, time.Hour), nil, nil)
		for _, x := range []Address{a, b} {
			p := bed.present(t, x)
			if p == nil {
				t.Fatalf("%s is not up", x)
			}
			if !p.Ours || p.Valid > lifetime || p.Valid < lifetime-5*time.Second {
				t.Errorf("raised for %v, there is %+v", lifetime, *p)
			}
		}
	}
	wantErrors(t, bed.Delete([]Address{a}), nil)
	bed.want(t, false, a)
	bed.want(t, true, b)
	elsewhere := Address{"nosuchlink", a.Prefix}
	wantErrors(t, bed.Delete([]Address{a, b, elsewhere, a}), nil, nil, nil, nil)
	bed.want(t, false, a, b)
}

func lapse(t *testing.T, bed raiserBed, a, b, _ Address) {
	wantErrors(t, bed.Raise(groups(a), time.Second, time.Hour), nil)
	wantErrors(t, bed.Raise(groups(b), time.Minute, time.Hour), nil)
	bed.awaitLapse(t, a)
	bed.want(t, false, a)
	bed.want(t, true, b)
	wantErrors(t, bed.Raise(groups(a), time.Minute, time.Hour), nil) // as if it had never been there
	bed.want(t, true, a)
}

// What was ours is not for ever: since it lapsed, somebody else may have put it there.
func foreignAfterLapse(t *testing.T, bed raiserBed, a, _, _ Address) {
	wantErrors(t, bed.Raise(groups(a), time.Second, time.Hour), nil)
	bed.awaitLapse(t, a)
	bed.setClock(func() time.Duration { return time.Second })
	bed.addForeign(a)
	wantErrors(t, bed.Raise(groups(a), time.Minute, time.Hour), ErrForeign)
	if p := bed.present(t, a); p == nil || p.Ours || p.Valid >= 0 {
		t.Errorf("the foreign address has become %+v", p)
	}
}

func allOrNothing(t *testing.T, bed raiserBed, a, b, _ Address) {
	elsewhere := Address{"nosuchlink", b.Prefix}
	wantErrors(t, bed.Raise([][]Address{{a, elsewhere}, {b}, {}}, time.Minute, time.Hour), ErrNoLink, nil, nil)
	bed.want(t, false, a)
	bed.want(t, true, b)
	// What was up goes too.
	wantErrors(t, bed.Raise([][]Address{{elsewhere, b}, {a}}, time.Minute, time.Hour), ErrNoLink, nil)
	bed.want(t, false, b)
	bed.want(t, true, a)
}

func foreignStays(t *testing.T, bed raiserBed, a, b, _ Address) {
	bed.addForeign(b)
	for range 2 {
		wantErrors(t, bed.Raise([][]Address{{a, b}}, time.Minute, time.Hour), ErrForeign)
		bed.want(t, false, a)
		if p := bed.present(t, b); p == nil || p.Ours || p.Valid >= 0 {
			t.Errorf("the foreign address has become %+v", p)
		}
	}
	wantErrors(t, bed.Delete([]Address{b}), nil) // but a caller may name it
	bed.want(t, false, b)
	wantErrors(t, bed.Raise(groups(b), time.Minute, time.Hour), nil)
	wantErrors(t, bed.Delete([]Address{b}), nil)
	bed.addForeign(b) // it is ours no more
	wantErrors(t, bed.Raise(groups(b), time.Minute, time.Hour), ErrForeign)
}

func prefixCounts(t *testing.T, bed raiserBed, a, _, wide Address) {
	wantErrors(t, bed.Raise(groups(a), time.Minute, time.Hour), nil)
	wantErrors(t, bed.Delete([]Address{wide}), nil)
	bed.want(t, true, a)
}

func tooLate(t *testing.T, bed raiserBed, a, b, _ Address) {
	wantErrors(t, bed.Raise(groups(a), time.Minute, time.Second), nil)
	bed.setClock(func() time.Duration { return time.Second })
	wantErrors(t, bed.Raise(groups(a, b), 2*time.Minute, time.Second), ErrLate, ErrLate)
	bed.want(t, false, b)
	if p := bed.present(t, a); p == nil || p.Valid > time.Minute {
		t.Errorf("it was too late, and there is %+v", p)
	}
}

// overtakenAdding stops the world between the reading of the clock and the kernel's answer, as a suspended process sees it: the
// clock is late as soon as the kernel has the address.
func overtakenAdding(t *testing.T, bed raiserBed, a, b, _ Address) {
	bed.setClock(func() time.Duration {
		if bed.present(t, a) != nil {
			return time.Hour
		}
		return 0
	})
	wantErrors(t, bed.Raise([][]Address{{a, b}}, 2*time.Hour, time.Hour), ErrLate)
	bed.want(t, false, a, b)
}

func overtakenRefreshing(t *testing.T, bed raiserBed, a, _, _ Address) {
	wantErrors(t, bed.Raise(groups(a), time.Minute, time.Hour), nil)
	bed.setClock(func() time.Duration {
		if p := bed.present(t, a); p != nil && p.Valid > time.Minute {
			return time.Hour
		}
		return 0
	})
	wantErrors(t, bed.Raise(groups(a), 2*time.Hour, time.Hour), ErrLate)
	bed.want(t, false, a)
}
