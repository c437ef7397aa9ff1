package judge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each script is a line of steps, one millisecond apart: "+a" and "-a" raise and lower the one address on machine a, "+a2" on a second
// interface, "|a" cuts its port, "~a" heals it, "." lets a millisecond pass. Then come the overlaps, and which of them are faults in fast mode
// with a limit on healing of 2 ms. In strict mode all are.
func TestLedger(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"a hand-over", "+a -a +b -b +a", ""},
		{"an overlap", "+a +b . . -a", "a+b for 3ms connected together 3ms FAULT"},
		{"a refresh is nothing", "+a +a +a -a -a +b", ""},
		{"the address on two interfaces is up until both are gone", "+a +a2 -a +b -a2", "a+b for 1ms connected together 1ms FAULT"},
		{"both ways", "+b +a -a +a -b", "a+b for 1ms connected together 1ms FAULT; a+b for 1ms connected together 1ms FAULT"},
		{"three holders are three pairs", "+a +b +c -b", "a+b for 2ms connected together 2ms FAULT; a+c for 1ms connected together 1ms still FAULT; b+c for 1ms connected together 1ms FAULT"},
		{"across a cut", "+a |a +b . -a ~a", "a+b for 2ms apart together 0s"},
		{"left over, gone within the limit", "+a |a +b . ~a . -a", "a+b for 4ms healing together 2ms"},
		{"left over for too long", "+a |a +b . ~a . . -a", "a+b for 5ms healing together 3ms FAULT"},
		{"left over, cut again", "+a |a +b ~a |a . . ~b ~a . -a", "a+b for 8ms healing together 3ms FAULT"},
		{"cut after it began", "+a +b |a . . -a", "a+b for 4ms connected together 1ms FAULT"},
		{"cut after it began, and healed", "+a +b |a . ~a . -a", "a+b for 5ms connected together 3ms FAULT"},
		{"both cut, one healed", "+a |a |b +b ~b . -a", "a+b for 3ms apart together 0s"},
		{"new after the heal", "+a |a +b -a ~a +a -a", "a+b for 1ms apart together 0s; a+b for 1ms connected together 1ms FAULT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fast, now := play(c.script, false)
			if got := render(fast, now); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.script, got, c.want)
			}
			strict, now := play(c.script, true)
			for _, o := range strict.overlaps(now) {
				if !strict.fault(o) {
					t.Errorf("%s\nno fault in strict mode: %v", c.script, o)
				}
			}
		})
	}
}

func TestLedgerWithoutLimitReportsHealing(t *testing.T) {
	l, now := play("+a |a +b . ~a . . . . -a", false)
	l.healLimit = 0
	o := l.overlaps(now)[0]
	if o.Kind != Healing || o.Together != 5*time.Millisecond || l.fault(o) {
		t.Errorf("%v, fault %t", o, l.fault(o))
	}
}

func TestLedgerForgets(t *testing.T) {
	l, _ := play("+a +b |b", false)
	for _, i := range l.instances("b") {
		l.set(9, "b", i, false)
	}
	l.forget("b")
	if l.cut["b"] || len(l.open) > 0 || !slices.Equal(l.holders[vip4], []string{"a"}) {
		t.Errorf("cut %v, open %v, holders %v", l.cut, l.open, l.holders)
	}
	if n := len(l.history); n != 3 {
		t.Errorf("%d changes, want 3", n)
	}
}

var (
	vip4 = netip.MustParseAddr("10.99.0.1")
	vip6 = netip.MustParseAddr("fd99::1")
)

func play(script string, strict bool) (*ledger, time.Duration) {
	l := newLedger(strict, 2*time.Millisecond)
	now := time.Duration(0)
	for step := range strings.FieldsSeq(script) {
		now += time.Millisecond
		i := instance{index: 1, vip: vip4, prefix: netip.PrefixFrom(vip4, 32)}
		name, second := strings.CutSuffix(step[1:], "2")
		if second {
			i.index = 2
		}
		switch step[0] {
		case '+', '-':
			l.set(now, name, i, step[0] == '+')
		case '|', '~':
			l.setConnected(now, name, step[0] == '~')
		}
	}
	return l, now
}

func render(l *ledger, now time.Duration) string {
	var all []string
	for _, o := range l.overlaps(now) {
		s := o.Nodes[0] + "+" + o.Nodes[1] + " for " + o.For.String() + " " + o.Kind.String() + " together " + o.Together.String()
		if o.Ongoing {
			s += " still"
		}
		if l.fault(o) {
			s += " FAULT"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}
