package sim

import (
	"time"

	"viplease/coordinator/plan"
)

// probeEvery is how often an idle watch confirms its revision.
const probeEvery = time.Second

// watch is one watch of one daemon. It lags, breaks, and is compacted; what it delivers is in order and complete.
type watch struct {
	p       *process
	open    bool
	sent    int64 // up to this revision
	at      int   // the place in etcd's log that follows it
	pending bool  // a delivery is under way
}

// read is the daemon's storeWatch: a snapshot, then the watch that continues it.
func (p *process) read() {
	e := p.n.w.etcd
	ask(p, reads, readTimeout, func(fate) plan.SnapshotRead { return e.read() }, func(f plan.SnapshotRead, err error) {
		if err != nil {
			p.n.w.after(rereadPause, p, p.read)
			return
		}
		p.post(f)
		if p.dead {
			return
		}
		p.watch(f.Revision)
	})
}

func (p *process) watch(from int64) {
	e := p.n.w.etcd
	if p.reread { // asked for while it was reading
		p.reread = false
		p.read()
		return
	}
	w := &watch{p: p, open: true, sent: from, at: len(e.log)}
	for w.at > 0 && e.log[w.at-1].rev > from {
		w.at--
	}
	p.feed = w
	if from < e.compacted || from > e.rev {
		w.broken()
		return
	}
	e.watches = append(e.watches, w)
	w.wake()
	w.probe()
}

// readAgain is Reread.
func (p *process) readAgain() {
	if p.feed == nil || !p.feed.open {
		p.reread = true
		return
	}
	p.feed.close()
	p.read()
}

func (w *watch) close() {
	if !w.open {
		return
	}
	w.open = false
	e := w.p.n.w.etcd
	for i, o := range e.watches {
		if o == w {
			e.watches = append(e.watches[:i:i], e.watches[i+1:]...)
		}
	}
}

// broken makes the daemon read again.
func (w *watch) broken() {
	if !w.open {
		return
	}
	w.close()
	w.p.n.w.after(rereadPause, w.p, w.p.read)
}

func (w *watch) probe() {
	w.p.n.w.after(probeEvery, nil, func() {
		if w.open {
			w.wake()
			w.probe()
		}
	})
}

// wake sends what has happened by now; it arrives later.
func (w *watch) wake() {
	if w.pending || !w.open {
		return
	}
	w.pending = true
	n := w.p.n
	f := n.path(watching)
	if f.lost || f.mute || f.refused {
		w.p.n.w.after(3*probeEvery, nil, w.broken) // silent: given up after three probes
		return
	}
	target := n.w.etcd.rev
	n.w.after(f.request, w.p, func() {
		w.pending = false
		if !w.open {
			return
		}
		b, at := n.w.etcd.batch(w.at, target)
		w.at, w.sent = at, target
		w.p.post(b)
		if w.sent < n.w.etcd.rev {
			w.wake()
		}
	})
}

// batch is what happened from a place in the log up to a revision: the last state of each key.
func (e *etcd) batch(at int, target int64) (plan.BatchSeen, int) {
	b := plan.BatchSeen{Revision: target}
	end := at
	for end < len(e.log) && e.log[end].rev <= target {
		end++
	}
	for i := at; i < end; i++ {
		c := e.log[i]
		again := false
		for _, later := range e.log[i+1 : end] {
			again = again || later.entry.Key == c.entry.Key
		}
		switch {
		case again:
		case c.deleted:
			b.Deleted = append(b.Deleted, plan.Deleted{Key: c.entry.Key, Mod: c.rev})
		default:
			b.Changed = append(b.Changed, c.entry)
		}
	}
	return b, end
}
