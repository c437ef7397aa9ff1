package probe

import (
	"slices"
	"time"
)

// Summary returns the median, the 95th percentile (nearest rank: the smallest that 95 % do not exceed) and the worst. All are 0 if there are none.
func Summary(all []time.Duration) (median, p95, worst time.Duration) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	s := slices.Sorted(slices.Values(all))
	rank := func(percent int) time.Duration { return s[(len(s)*percent+99)/100-1] }
	return rank(50), rank(95), s[len(s)-1]
}
