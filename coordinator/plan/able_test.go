package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEitherListSaysTheSame: a state lists what its node cannot hold or what it can, whichever is shorter, and every reader comes to the same.
func TestEitherListSaysTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		var l Layout
		var all, cannot, because []string
		why := map[string]string{}
		can := random.IntN(11)
		for i := range random.IntN(12) {
			name := fmt.Sprintf("v%02d", i)
			all = append(all, name)
			l.VIPs = append(l.VIPs, LayoutVIP{Name: name})
			if random.IntN(10) < can {
				continue
			}
			cannot = append(cannot, name)
			why[name] = fmt.Sprint("reason ", random.IntN(2))
			text := why[name]
			if k := len(cannot) - 2; k >= 0 && why[cannot[k]] == text {
				text = ""
			}
			because = append(because, text)
		}
		long := State{V: Format, Weight: 1, Cannot: cannot, Because: because} // as the first version wrote it
		short := State{V: Format}
		short.say(cannot, because, all)
		if len(short.Cannot) > len(all)-len(cannot) || len(short.Only) > len(cannot) {
			t.Errorf("%d: %d of %d are listed as %v, %v", n, len(cannot), len(all), short.Cannot, short.Only)
		}
		read, err := decodeState(Encode(short))
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range []State{long, read} {
			if !slices.Equal(st.unable(l), cannot) || st.isUseless(l) != (len(cannot) > 0 && len(cannot) == len(all)) {
				t.Errorf("%d: %+v is unable to hold %v, useless %v; want %v", n, st, st.unable(l), st.isUseless(l), cannot)
			}
			for _, vip := range all {
				if st.isUnable(vip) != slices.Contains(cannot, vip) || slices.Contains(cannot, vip) && st.because(vip, l) != why[vip] {
					t.Errorf("%d: %+v cannot hold %s: %v, because %q; want %v, %q", n, st, vip, st.isUnable(vip), st.because(vip, l), slices.Contains(cannot, vip), why[vip])
				}
			}
		}
		e := (&View{}).eligible(l.VIPs)
		a, b := e.not("a", long, l, true), e.not("b", read, l, true)
		for i := range l.VIPs {
			if a.Has(i) != b.Has(i) || a.Has(i) != slices.Contains(cannot, all[i]) {
				t.Errorf("%d: %+v and %+v differ in %s", n, long, read, all[i])
			}
		}
	}
}
