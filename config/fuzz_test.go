package config

import (
	"errors"
	"strings"
	"testing"
)

// FuzzParse: whatever the file holds, there is a configuration that obeys the
// rules or a list of problems that can be printed line by line.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(sample))
	f.Add([]byte(everyShape))
	f.Add([]byte("vip = [{}, {addresses = [\"fe80::1 dev a\"]}]\npool = [1]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.toml", data, host)
		if err != nil {
			checkProblems(t, data, err)
			return
		}
		checkVIPs(t, c.VIPs)
		l := c.Lease
		if l.CheckInterval > l.CheckTimeout || l.CheckTimeout > maxCheck || l.Hold < holdNeeded(l.CheckTimeout) ||
			l.Wait() <= l.Hold || l.TTL < minTTL || c.Balance.Interval < 2*(l.CheckTimeout+handOver) {
			t.Errorf("the timers are %+v, %+v", l, c.Balance)
		}
		for _, name := range []string{c.Group, c.Node, strings.ReplaceAll(c.Etcd.Prefix, "/", "x")} {
			if name == "" || badName(name) != "" {
				t.Errorf("%q is taken for a name", name)
			}
		}
		var b strings.Builder
		c.Describe(&b)
		c.Resolve([]Link{link("lo 127.0.0.1/8"), link("a 192.0.2.1/24 2001:db8::1/64")})
	})
}

func checkProblems(t *testing.T, data []byte, err error) {
	t.Helper()
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("%#v is no list of problems", err)
	}
	lines := 1 + strings.Count(string(data), "\n")
	last := 0
	for _, p := range problems {
		if p.Line < last || p.Line > lines || p.File != "f.toml" || p.Text == "" {
			t.Errorf("%#v is out of order, or its place is not in the %d lines of the file", p, lines)
		}
		last = p.Line
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(problems) {
		t.Errorf("%d problems are %d lines:\n%s", len(problems), got, err)
	}
}
