package leases

import (
	"testing"
	"time"
)

// The path to etcd drops everything for a while. The first good check comes soon after it has healed, whatever became of the connections.
func TestChecksReturnSoonAfterAPathHeals(t *testing.T) {
	path := newProxy(t, one(t).urls()[0])
	s := brisk(t, path.url)
	must[Answer](t)(s.Check(seconds(t), "a", 0))

	path.lose(true)
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		if _, err := s.Check(seconds(t), "a", 0); err == nil {
			t.Fatal("a check was answered while nothing got through")
		}
	}
	path.lose(false)
	healed := time.Now()
	eventually(t, 8*time.Second, "a check is answered", func() bool {
		_, err := s.Check(seconds(t), "a", 0)
		return err == nil
	})
	took := time.Since(healed)
	t.Logf("the first good check came %v after the path had healed", took.Round(time.Millisecond))
	if took > 2500*time.Millisecond { // 1.8 s by the constants
		t.Errorf("%v", took)
	}
}

// A server that answers nobody else's questions, because etcd has no quorum, keeps its connections.
func TestConnectionsOutliveAQuorum(t *testing.T) {
	leader, followers := many(t)
	path := newProxy(t, followers[0].url)
	s := brisk(t, path.url)
	s.doubt = 5 * time.Second // a busy machine may keep the server from answering even that
	must[Answer](t)(s.Check(seconds(t), "a", 0))
	made := path.connections()
	resumes := []func(){leader.pause(t), followers[1].pause(t)}
	for began := time.Now(); time.Since(began) < 2500*time.Millisecond; {
		if _, err := s.Check(seconds(t), "a", 0); err == nil {
			t.Fatal("a check was answered without a quorum")
		}
	}
	for _, resume := range resumes {
		resume()
	}
	eventually(t, 8*time.Second, "a check is answered", func() bool {
		_, err := s.Check(seconds(t), "a", 0)
		return err == nil
	})
	if n := path.connections() - made; n > 0 {
		t.Errorf("%d connections more were made, none is needed", n)
	}
}
