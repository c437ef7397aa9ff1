package health

import (
	"strings"
	"testing"
)

// TestTally: a dot is a success and an x a failure; below each stands what it changes the verdict to, H or U.
func TestTally(t *testing.T) {
	for _, tt := range []struct {
		name        string
		rise, fall  int
		tries, want string
	}{
		{"one is enough", 1, 1, ".x.xx..", "HUHU H "},
		{"unknown until rise", 3, 2, "...", "  H"},
		{"unknown until fall", 3, 2, "xx", " U"},
		{"unknown for ever", 2, 2, ".x.x.x.x", "        "},
		{"a failure begins the count anew", 3, 9, "..x..x...", "        H"},
		{"a success begins the count anew", 1, 3, ".xx.xx.xxx", "H        U"},
		{"delivered once", 2, 2, ".....xxxxx....", " H    U    H  "},
		{"the first verdict may be bad, and then rise counts", 2, 2, "xxx.x..", " U    H"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tally := tally{rise: tt.rise, fall: tt.fall}
			var got strings.Builder
			for _, try := range tt.tries {
				switch {
				case !tally.add(try == '.'):
					got.WriteByte(' ')
				case tally.healthy:
					got.WriteByte('H')
				default:
					got.WriteByte('U')
				}
			}
			if got.String() != tt.want {
				t.Errorf("tries %q\n got  %q\n want %q", tt.tries, got.String(), tt.want)
			}
		})
	}
}
