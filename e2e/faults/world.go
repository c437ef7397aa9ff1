package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// World is a cluster whose things are broken. Its methods may be called from any goroutine.
type World struct {
	*cluster.Cluster

	clients map[*lab.Server]*clientv3.Client
	// lab is held over those of the lab's methods that are for one goroutine at a time. What belongs to a host alone, such as the wait for a server's
	// start, is kept apart by the part that the fault has in its hands.
	lab sync.Mutex

	mu       sync.Mutex // guards the following
	busy     busy
	outcomes []*Outcome
}

// New returns a world in which everything works. The cluster's T must not end the program in Fatalf but panic with [Fatal].
func New(c *cluster.Cluster) *World {
	w := &World{Cluster: c, clients: map[*lab.Server]*clientv3.Client{}, busy: busy{nodes: len(c.Nodes)}}
	for _, s := range c.Etcd.Servers {
		w.clients[s] = s.Client()
	}
	return w
}

// Close lets go of etcd.
func (w *World) Close() {
	for _, c := range w.clients {
		c.Close()
	}
}

// Fatal is what the lab could not do. A T panics with it, and the fault that wanted it done has failed.
type Fatal string

func (f Fatal) Error() string { return string(f) }

// Outcome is what came of a fault. Instants are since boot, on CLOCK_BOOTTIME.
type Outcome struct {
	Fault
	Target string        // whom it hit
	Began  time.Duration // just before
	Ended  time.Duration // when all was mended; 0: it lasts
	// Without says why it had no effect; "": it had.
	Without string
	// Err is what must not happen: something could not be broken or mended, or was found broken already.
	Err error
}

func (o Outcome) String() string {
	target := o.Target
	if target == "" {
		target = fmt.Sprintf("node%d", o.Node+1)
	}
	s := fmt.Sprintf("%-17s %s", o.Kind, target)
	switch {
	case o.Ended == 0:
		s += fmt.Sprintf(", for %.2fs, not over", o.For.Seconds())
	case o.For > 0:
		s += fmt.Sprintf(", for %.2fs", (o.Ended - o.Began).Seconds())
	}
	if o.Without != "" {
		s += fmt.Sprintf("; no effect: %.160s", strings.ReplaceAll(o.Without, "\n", "; "))
	}
	if o.Err != nil {
		s += "; FAILED: " + o.Err.Error()
	}
	return s
}

// Touches tells whether the fault hits this node, or this VIP, or all of them.
func (o Outcome) Touches(n string, v netip.Addr) bool {
	switch o.Kind.on {
	case vip:
		target, _, _ := strings.Cut(o.Target, " ")
		return target == v.String()
	case store:
		return true
	default:
		return n == fmt.Sprintf("node%d", o.Node+1)
	}
}

// noEffect is an error that says why a fault did nothing.
type noEffect string

func (n noEffect) Error() string { return string(n) }

// broken is a fault in force. A function that is nil does nothing.
type broken struct {
	target string
	shows  func() error // at its end, before it is mended: a noEffect, or an error when something is wrong
	mend   func() error
	showed func() error // as shows, after it is mended
}

// Run injects the faults of a schedule at their times and returns when all are mended, or when ctx ends: then no more begin, and those in force stay so.
// tell is called with each when it is over, by one goroutine at a time.
func (w *World) Run(ctx context.Context, schedule []Fault, tell func(Outcome)) {
	var all sync.WaitGroup
	var telling sync.Mutex
	began := sinceBoot()
	for _, f := range schedule {
		if !lasts(ctx, f.At-(sinceBoot()-began)) {
			break
		}
		all.Go(func() {
			if o := w.inject(ctx, f); ctx.Err() == nil {
				telling.Lock()
				defer telling.Unlock()
				tell(o)
			}
		})
	}
	all.Wait()
}

// Outcomes are those of all faults so far, by their beginning.
func (w *World) Outcomes() []Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Outcome, len(w.outcomes))
	for i, o := range w.outcomes {
		all[i] = *o
	}
	return all
}

// inject runs one fault from its beginning to its end.
func (w *World) inject(ctx context.Context, f Fault) Outcome {
	o := &Outcome{Fault: f, Began: sinceBoot()}
	w.mu.Lock()
	w.outcomes = append(w.outcomes, o)
	room := w.busy.room(f)
	if room {
		w.busy.enter(f)
	}
	w.mu.Unlock()
	var err error
	if room {
		err = w.strike(ctx, f, o)
	} else {
		err = noEffect("left out: an earlier fault is not mended yet")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if room && ctx.Err() == nil {
		w.busy.leave(f)
	}
	o.Ended = sinceBoot()
	if why := noEffect(""); errors.As(err, &why) {
		o.Without = string(why)
	} else {
		o.Err = err
	}
	return *o
}

// strike breaks, waits and mends.
func (w *World) strike(ctx context.Context, f Fault, o *Outcome) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case Fatal:
			err = p
		default:
			panic(p)
		}
	}()
	b, err := f.Kind.begin(ctx, w, f)
	w.mu.Lock()
	o.Target = b.target
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if f.For > 0 && !lasts(ctx, f.For) {
		return nil
	}
	shows := call(b.shows)
	if err := call(b.mend); err != nil {
		return fmt.Errorf("mend: %w", err)
	}
	if shows != nil {
		return shows
	}
	return call(b.showed)
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

// locked calls methods of the lab that are for one goroutine at a time.
func (w *World) locked(calls ...func()) {
	w.lab.Lock()
	defer w.lab.Unlock()
	for _, c := range calls {
		c()
	}
}

// Running tells whether the node's daemon runs.
func (w *World) Running(n *lab.Node) (runs bool) {
	w.locked(func() { runs = n.Running() })
	return runs
}

// lasts waits for a time and returns false when ctx ended before.
func lasts(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("faults: read a clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}
