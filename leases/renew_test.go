package leases

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestRenew(t *testing.T) {
	s := open(t, one(t).urls()...)
	lease, _, err := s.Grant(seconds(t), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := must[time.Duration](t)(s.Renew(seconds(t), lease)); got != 30*time.Second {
		t.Errorf("renewed to %v", got)
	}
	stream := s.alive.stream
	// The same stream serves the next renewal, and another lease.
	other, _, err := s.Grant(seconds(t), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := must[time.Duration](t)(s.Renew(seconds(t), other)); got != 20*time.Second {
		t.Errorf("renewed to %v", got)
	}
	if stream == nil || s.alive.stream != stream {
		t.Error("a new stream was opened")
	}
	if err := s.Revoke(seconds(t), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Renew(seconds(t), lease); !errors.Is(err, ErrLeaseGone) {
		t.Errorf("after the revocation: %v", err)
	}
	if _, err := s.Renew(seconds(t), other); err != nil {
		t.Errorf("the other lease: %v", err)
	}
}

// A lease is renewed when asked, which keeps it, and only then: afterwards it lapses although the stream is still open.
func TestRenewOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	s := open(t, one(t).urls()...)
	lease, granted, err := s.Grant(seconds(t), minTTL)
	if err != nil || granted != minTTL {
		t.Fatalf("granted %v, %v", granted, err)
	}
	left := func() int64 {
		r, err := raw(t, one(t).urls()...).TimeToLive(seconds(t), clientv3.LeaseID(lease))
		if err != nil {
			t.Fatal(err)
		}
		return r.TTL
	}
	tick := time.NewTicker(granted / 4)
	defer tick.Stop()
	for range 6 { // for three quarters longer than it would live
		must[time.Duration](t)(s.Renew(seconds(t), lease))
		<-tick.C
	}
	if left() < 0 {
		t.Fatal("it lapsed although it was renewed")
	}
	eventually(t, granted+3*time.Second, "the lease lapses", func() bool { return left() < 0 })
}

// The stream goes silent: within a quarter of a second another server is asked, and keeps the stream.
func TestRenewElsewhere(t *testing.T) {
	silent := newProxy(t, one(t).members[0].url)
	s := open(t, silent.url, one(t).members[0].url)
	lease, _, err := s.Grant(seconds(t), minTTL)
	if err != nil {
		t.Fatal(err)
	}
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	silent.mute(true)
	begin := time.Now()
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	if took := time.Since(begin); took < renewStagger || took > minTTL/2+2*renewStagger {
		t.Errorf("renewed after %v, want the silent stream given up after half of the %v", took, minTTL)
	}
	begin = time.Now()
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	if took := time.Since(begin); took > renewStagger || s.alive.stream.srv.url == silent.url {
		t.Errorf("the next one took %v, on %s", took, s.alive.stream.srv.url)
	}
}

func TestRenewEndsInTime(t *testing.T) {
	silent := newProxy(t, one(t).members[0].url)
	s := open(t, silent.url)
	lease, _, err := s.Grant(seconds(t), 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	silent.mute(true)
	begin := time.Now()
	if _, err := s.Renew(context.Background(), lease); err == nil || errors.Is(err, ErrLeaseGone) {
		t.Errorf("unanswered: %v", err)
	}
	if took := time.Since(begin); took > renewTimeout+200*time.Millisecond {
		t.Errorf("took %v", took)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Renew(ctx, lease); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a shorter deadline: %v", err)
	}
}
