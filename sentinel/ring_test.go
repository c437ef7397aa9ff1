package sentinel

import (
	"slices"
	"testing"
	"time"
)

func TestNotReadyIsNoGuard(t *testing.T) {
	l := start(t, usual, 3, true)
	l.view.Ready = false
	l.observe()
	l.kill(3)
	l.run(5 * time.Second)
	l.want("challenge", 0)
}

func TestClaimWithoutTermsIsNotGuarded(t *testing.T) {
	l := start(t, usual, 3, true)
	l.view.Claims[2].Terms = Terms{}
	l.observe()
	l.settle()
	l.kill(3)
	l.run(5 * time.Second)
	l.want("challenge", 0)
}

// The owner's terms count when they ask for more.
func TestLongerTermsOfTheWard(t *testing.T) {
	l := start(t, tight, 3, true)
	l.view.Claims[2].Terms = usual.Terms()
	l.observe()
	l.settle()
	l.kill(3)
	began := l.now
	for l.count("evict") == 0 && l.now-began < 5*time.Second {
		l.run(ms)
	}
	if took := l.now - began; took < usual.Terms().Silence-tight.Interval {
		t.Errorf("evicted after %v, its terms ask for %v of silence", took, usual.Terms().Silence)
	}
}

func TestGuards(t *testing.T) {
	ring := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		ring  []string
		owner string
		want  []string
	}{
		{ring, "a", []string{"b", "c"}},
		{ring, "c", []string{"d", "a"}},
		{ring, "d", []string{"a", "b"}},
		{ring, "bb", []string{"c", "d"}}, // it is gone, its claims are not
		{ring, "z", []string{"a", "b"}},
		{ring[:2], "a", []string{"b"}},
		{ring[:2], "z", []string{"a", "b"}},
		{ring[:1], "a", nil},
		{nil, "a", nil},
	} {
		if got := guards(c.ring, c.owner); !slices.Equal(got, c.want) {
			t.Errorf("guards(%v, %s) = %v, want %v", c.ring, c.owner, got, c.want)
		}
	}
}

// A hundred nodes: what one of them asks per second, at rest.
func TestCost(t *testing.T) {
	l := start(t, usual, 100, true).settle()
	l.asked = nil
	l.run(10 * time.Second)
	perSecond := float64(len(l.asked)) / 10
	t.Logf("%.1f questions a second", perSecond)
	if perSecond > 2*20+5+1 {
		t.Errorf("%.1f questions a second; two wards each 50 ms, four members and a gateway each second", perSecond)
	}
	for _, p := range l.asked {
		if p.MAC == (MAC{}) {
			t.Fatalf("asks everybody: %s", p)
		}
	}
}
