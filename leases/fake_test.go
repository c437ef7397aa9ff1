package leases

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// fake is a server that answers what no real one can be brought to.
type fake struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	pb.UnimplementedWatchServer
	pb.UnimplementedMaintenanceServer
	txn func(*pb.TxnRequest) (*pb.TxnResponse, error)
}

func (f fake) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) { return f.txn(r) }

func (f fake) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{More: true, Kvs: []*mvccpb.KeyValue{{}}}, nil
}

func (f fake) LeaseGrant(context.Context, *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return &pb.LeaseGrantResponse{}, nil
}

func (f fake) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return s.Send(&pb.LeaseKeepAliveResponse{TTL: 3}) // of no lease
}

func (f fake) Watch(s pb.Watch_WatchServer) error {
	if err := s.Send(&pb.WatchResponse{Created: true}); err != nil {
		return err
	}
	return s.Send(&pb.WatchResponse{Events: []*mvccpb.Event{{}, {Kv: &mvccpb.KeyValue{ModRevision: 100}}, {Type: mvccpb.Event_DELETE}}})
}

func (f fake) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{}, nil
}

// serve runs the fake until the test ends, and returns its URL.
func (f fake) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterKVServer(g, f)
	pb.RegisterLeaseServer(g, f)
	pb.RegisterWatchServer(g, f)
	pb.RegisterMaintenanceServer(g, f)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// A server that is cut off from the leader refuses a write before it is proposed: another one takes it. A server that says anything
// else has perhaps passed it on.
func TestCommitGoesElsewhere(t *testing.T) {
	for _, tt := range []struct {
		refusal error
		moves   bool
	}{
		{rpctypes.ErrGRPCNoLeader, true}, {rpctypes.ErrGRPCNotSupportedForLearner, true},
		{rpctypes.ErrGRPCNoSpace, false}, {rpctypes.ErrGRPCLeaderChanged, false}, {rpctypes.ErrGRPCTimeout, false}, {rpctypes.ErrGRPCStopped, false},
	} {
		asked := make(chan struct{}, 100)
		url := fake{txn: func(*pb.TxnRequest) (*pb.TxnResponse, error) { asked <- struct{}{}; return nil, tt.refusal }}.serve(t)
		good := open(t, one(t).urls()...)
		me, lease := join(t, good, "a")
		s := open(t, url, one(t).members[0].url)
		done, err := s.Commit(seconds(t), Commit{Node: "a", MemberRev: me.MemberRev, Puts: []Put{{Key: "x", Value: []byte("1")}}})
		if applied := err == nil && done.Applied; applied != tt.moves {
			t.Errorf("%v: %+v, %v", tt.refusal, done, err)
		}
		if len(asked) != 1 {
			t.Errorf("%v: asked %d times", tt.refusal, len(asked))
		}
		if err := good.Revoke(seconds(t), lease); err != nil {
			t.Error(err)
		}
	}
}

// What a server answers is not trusted: it may be another program, or broken.
func TestNonsense(t *testing.T) {
	for name, answer := range map[string]*pb.TxnResponse{
		"nothing": {}, "success without results": {Succeeded: true, Header: &pb.ResponseHeader{Revision: 5}},
		"results of another kind": {Succeeded: true, Header: &pb.ResponseHeader{Revision: 5}, Responses: []*pb.ResponseOp{{}, {}, {}}},
		"too many results":        {Succeeded: true, Header: &pb.ResponseHeader{Revision: 5}, Responses: make([]*pb.ResponseOp, 9)},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range answer.Responses {
				answer.Responses[i] = &pb.ResponseOp{}
			}
			s := open(t, fake{txn: func(*pb.TxnRequest) (*pb.TxnResponse, error) { return answer, nil }}.serve(t))
			if a, err := s.Check(seconds(t), "a", 0); err == nil && a.MemberRev != 0 {
				t.Errorf("check: %+v", a)
			}
			if _, err := s.Register(seconds(t), Registration{Node: "a", Lease: 1, Member: []byte("m")}); err == nil {
				t.Error("registered")
			}
			done, err := s.Commit(seconds(t), Commit{Node: "a", MemberRev: 1, Writes: []Write{{Key: "x"}, {Key: "y"}, {Key: "z"}}})
			if err != nil && !errors.Is(err, ErrInDoubt) {
				t.Errorf("commit: %v", err)
			}
			for _, r := range done.Results {
				if r.Won {
					t.Errorf("commit: %+v", done)
				}
			}
			if _, err := s.Read(seconds(t)); err == nil {
				t.Error("read")
			}
			if _, _, err := s.Grant(seconds(t), time.Second); err == nil {
				t.Error("granted")
			}
			if _, err := s.Renew(seconds(t), 7); err == nil || errors.Is(err, ErrLeaseGone) {
				t.Errorf("renewed: %v", err)
			}
			if err := s.Watch(seconds(t), 5, func(b Batch) { t.Logf("batch %+v", b) }); err == nil {
				t.Error("the watch ended without an error")
			}
			s.Health(seconds(t))
		})
	}
}
