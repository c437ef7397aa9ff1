package health

// tally turns single tries into a verdict: rise successes in a row make it healthy, fall failures in a row unhealthy. Before either it is unknown.
type tally struct {
	rise, fall     int
	passed, failed int // in a row, up to now; one of them is zero
	known, healthy bool
}

// add counts one try and tells whether it has changed the verdict.
func (t *tally) add(pass bool) (changed bool) {
	if pass {
		t.passed, t.failed = t.passed+1, 0
		changed = t.passed >= t.rise && !(t.known && t.healthy)
	} else {
		t.passed, t.failed = 0, t.failed+1
		changed = t.failed >= t.fall && !(t.known && !t.healthy)
	}
	if changed {
		t.known, t.healthy = true, pass
	}
	return changed
}
