package coordinator

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"viplease/coordinator/plan"
	"viplease/sentinel"
)

// fakeSentry is a LAN on which everybody answers. What was answered waits until somebody hears.
type fakeSentry struct {
	links   []string
	waiting []sentinel.Answered
	heardAt time.Duration
	closed  bool
}

var fakeGateway = sentinel.Host{Link: "net1", Addr: netip.MustParseAddr("192.0.2.254")}

func (s *fakeSentry) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *fakeSentry) Listen(links []string)         { s.links = links }
func (s *fakeSentry) Witnesses() []sentinel.Host    { return []sentinel.Host{fakeGateway} }
func (s *fakeSentry) Close()                        { s.closed = true }

func (s *fakeSentry) Ask(p sentinel.Probe) error {
	s.waiting, s.heardAt = append(s.waiting, sentinel.Answered{Host: p.Host, MAC: sentinel.MAC{9}}), boot()
	return nil
}

func (s *fakeSentry) Hear(deliver func(sentinel.Fact, time.Duration)) {
	for _, a := range s.waiting {
		deliver(a, s.heardAt)
	}
	s.waiting = nil
}

// The sentinel's lane asks whom the view names, hears the answer at its next look, and tells the loop that there is a witness.
func TestSentinelHearsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, sentry := config(), &fakeSentry{}
		cfg.Fast = sentinel.Config{Interval: 50 * time.Millisecond, Misses: 4, Grace: 150 * time.Millisecond}
		c := New(Config{Plan: cfg, Log: slog.New(slog.DiscardHandler)}, Ports{
			Now: func() plan.Now { return plan.Now{Boot: boot(), Wall: time.Now()} }, Sentry: sentry,
		})
		ctx, cancel := context.WithCancel(t.Context())
		c.task(ctx, "sentinel", c.sentinelLane)
		c.watched <- sentinel.Viewed{Me: sentinel.Ref{Node: "a", Rev: 1}, Ready: true, Confirmed: boot(), Own: []sentinel.Own{{Link: "net1", Fast: true, Since: boot()}}}
		var got []plan.Fact
		select {
		case got = <-c.facts:
		case <-time.After(3 * time.Second):
		}
		told := slices.ContainsFunc(got, func(f plan.Fact) bool {
			d, ok := f.(plan.SentinelDecided)
			contact, isContact := d.Action.(sentinel.Contact)
			return ok && isContact && contact.Link == "net1" && contact.Basis
		})
		if !told || !slices.Equal(sentry.links, []string{"net1"}) {
			t.Errorf("the loop was told %v, listening on %v; want a contact with a witness on net1", got, sentry.links)
		}
		cancel()
		c.running.Wait()
		if !sentry.closed {
			t.Error("the sockets are open after the lane has ended")
		}
	})
}
