package coordinator

import "time"

// Observer counts. Its methods are called in the loop, so they return at once and do no I/O.
type Observer interface {
	// Turned: the loop has turned, so late after the time it had set (0: a fact came first), and deciding took so long.
	Turned(late, took time.Duration)
	// Happened: an event of this node's own.
	Happened(Event)
}

// unobserved is the Observer when nobody counts.
type unobserved struct{}

func (unobserved) Turned(_, _ time.Duration) {}
func (unobserved) Happened(Event)            {}
