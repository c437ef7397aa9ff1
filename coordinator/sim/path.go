package sim

import (
	"errors"
	"time"

	"viplease/coordinator/plan"
)

var (
	errSilent  = errors.New("no answer")
	errRefused = errors.New("certainly not applied")
	errGone    = errors.New("gone")
	errTaken   = errors.New("taken")
)

// calls is a set of kinds of calls to etcd, for faults that strike only some.
type calls uint8

const (
	checks calls = 1 << iota
	writes
	leaseCalls
	reads
	watching
	allCalls  = checks | writes | leaseCalls | reads | watching
	callKinds = 5
)

// fate is what becomes of one call.
type fate struct {
	request, answer time.Duration // how long each is on its way
	refused         bool          // etcd says no at once: certainly not applied
	lost            bool          // the request never arrives
	mute            bool          // the answer never arrives
	lied            bool          // a leader that is none any more answers a renewal
}

// path decides what becomes of a call of this node.
func (n *node) path(c calls) fate {
	d := &n.paths[c]
	f := fate{request: d.between(100*time.Microsecond, 2*time.Millisecond), answer: d.between(100*time.Microsecond, 2*time.Millisecond)}
	if n.w.noise(d, 3) {
		switch d.n(6) {
		case 0:
			f.request += d.upTo(2 * n.w.timers.wait)
		case 1:
			f.answer += d.upTo(n.w.timers.timeout * 2)
		case 2:
			f.request += d.upTo(n.w.timers.timeout)
		case 3:
			f.lost = true
		case 4:
			f.mute = true
		case 5:
			f.refused = true
		}
	}
	for _, t := range n.troubles {
		if t.end <= n.w.now || t.calls&c == 0 {
			continue
		}
		switch t.kind {
		case Lose:
			f.lost = true
		case Mute:
			f.mute = true
		case Hold:
			f.request = max(f.request, t.end-n.w.now+d.upTo(20*time.Millisecond))
		case Slow:
			f.request += d.upTo(n.w.timers.timeout)
			f.answer += d.upTo(n.w.timers.timeout)
		case Drag:
			f.answer += d.upTo(n.w.timers.timeout)
		case Refuse:
			f.refused = true
		case Lie:
			f.lied = true
		}
	}
	return f
}

// ask makes a call to etcd. serve runs there, in one event; then runs in the daemon, with what serve returned, or an error if no answer came within the
// timeout or etcd refused. Whatever becomes of the caller, a request that was sent may be served, also long after.
func ask[T any](p *process, c calls, timeout time.Duration, serve func(fate) T, then func(T, error)) {
	w, f := p.n.w, p.n.path(c)
	lives := w.etcd.lives
	var none T
	if f.refused {
		w.after(f.request, p, func() { then(none, errRefused) })
		return
	}
	inTime := !f.lost && !f.mute && f.request+f.answer <= timeout
	if !f.lost {
		w.after(f.request, nil, func() {
			if lives != w.etcd.lives {
				if inTime {
					w.after(timeout, p, func() { then(none, errSilent) })
				}
				return
			}
			answer := serve(f)
			if inTime {
				w.after(f.answer, p, func() { then(answer, nil) })
			}
		})
	}
	if !inTime {
		w.after(timeout, p, func() { then(none, errSilent) })
	}
}

// call is an ask whose answer is a fact, as is what is made of an error.
func (p *process) call(c calls, timeout time.Duration, serve func(fate) plan.Fact, failed func(error) plan.Fact) {
	ask(p, c, timeout, serve, func(f plan.Fact, err error) {
		if err != nil {
			f = failed(err)
		}
		p.post(f)
	})
}
