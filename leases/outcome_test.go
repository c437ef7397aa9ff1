package leases

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Whatever is not known to have left etcd unchanged is in doubt. The rows come from etcd's own errors; the last ones are of gRPC.
func TestOutcome(t *testing.T) {
	for _, tt := range []struct {
		err     error
		applied error
		hint    error
	}{
		{rpctypes.ErrGRPCNoLeader, ErrNotApplied, nil},
		{rpctypes.ErrGRPCTooManyOps, ErrNotApplied, ErrTooMuch},
		{rpctypes.ErrGRPCDuplicateKey, ErrNotApplied, nil},
		{rpctypes.ErrGRPCRequestTooLarge, ErrNotApplied, ErrTooMuch},
		{rpctypes.ErrGRPCRequestTooManyRequests, ErrNotApplied, nil},
		{rpctypes.ErrGRPCNoSpace, ErrNotApplied, ErrNoSpace},
		{rpctypes.ErrGRPCPermissionDenied, ErrNotApplied, ErrDenied},
		{rpctypes.ErrGRPCInvalidAuthToken, ErrNotApplied, ErrDenied},
		{rpctypes.ErrGRPCAuthOldRevision, ErrNotApplied, nil},
		{rpctypes.ErrGRPCUserEmpty, ErrNotApplied, ErrDenied},
		{rpctypes.ErrGRPCAuthFailed, ErrNotApplied, ErrDenied},
		{rpctypes.ErrGRPCLeaseNotFound, ErrNotApplied, ErrLeaseGone},
		{rpctypes.ErrGRPCNotSupportedForLearner, ErrNotApplied, nil},
		{rpctypes.ErrGRPCNotCapable, ErrNotApplied, nil},
		{rpctypes.ErrGRPCTimeout, ErrInDoubt, nil},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, ErrInDoubt, nil},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, ErrInDoubt, nil},
		{rpctypes.ErrGRPCLeaderChanged, ErrInDoubt, nil},
		{rpctypes.ErrGRPCStopped, ErrInDoubt, nil},
		{rpctypes.ErrGRPCCanceled, ErrInDoubt, nil},
		{rpctypes.ErrGRPCDeadlineExceeded, ErrInDoubt, nil},
		{rpctypes.ErrGRPCCorrupt, ErrInDoubt, nil},
		{context.DeadlineExceeded, ErrInDoubt, nil},
		{context.Canceled, ErrInDoubt, nil},
		{status.Error(codes.Unavailable, "transport is closing"), ErrInDoubt, nil},
		{status.Error(codes.Unavailable, "error reading from server: EOF"), ErrInDoubt, nil},
		{status.Error(codes.Internal, "stream terminated by RST_STREAM"), ErrInDoubt, nil},
		{status.Error(codes.Unknown, "raft proposal dropped"), ErrInDoubt, nil},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), ErrInDoubt, nil},
		{errors.New("anything else"), ErrInDoubt, nil},
	} {
		for _, err := range []error{tt.err, rpctypes.Error(tt.err), fmt.Errorf("wrapped: %w", rpctypes.Error(tt.err))} {
			got := outcome(err, true)
			other := ErrInDoubt
			if tt.applied == ErrInDoubt {
				other = ErrNotApplied
			}
			if !errors.Is(got, tt.applied) || errors.Is(got, other) || tt.hint != nil && !errors.Is(got, tt.hint) {
				t.Errorf("%v: %v, want %v and %v", tt.err, got, tt.applied, tt.hint)
			}
			if got := outcome(err, false); !errors.Is(got, ErrNotApplied) || errors.Is(got, ErrInDoubt) {
				t.Errorf("%v, never sent: %v", tt.err, got)
			}
		}
	}
	if outcome(nil, true) != nil {
		t.Error("success has an error")
	}
}
