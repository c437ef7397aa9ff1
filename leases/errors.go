package leases

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Errors say what the caller should do; match them with errors.Is. An error that matches none of them means: try again later.
var (
	// ErrInDoubt: the write may have been applied, or may still be. Read the key back and compare bytes; until a later write of
	// one's own to that key has committed, rely on neither outcome.
	ErrInDoubt = errors.New("in doubt: it may have been applied or may still be")
	// ErrNotApplied: the write was not applied and never will be. Try again.
	ErrNotApplied = errors.New("not applied")
	// ErrLeaseGone: the lease does not exist any more. Revoke it all the same, because a leader that has just been replaced may say so
	// wrongly of a young lease, then grant a new one and register anew.
	ErrLeaseGone = errors.New("the lease is gone")
	// ErrNotMember: the member key does not have the create revision given: that registration is over. Register anew.
	ErrNotMember = errors.New("the registration is over")
	// ErrLate: the answer came later than the timeout after its request. Do not use it; check again.
	ErrLate = errors.New("the answer came too late")
	// ErrCompacted: the revision asked for has been compacted. Read again.
	ErrCompacted = errors.New("the revision has been compacted")
	// ErrSilent: the server accepts requests and does not answer. Read again; another server will be asked.
	ErrSilent = errors.New("the server is silent")
	// ErrTooMuch: the request exceeds a limit of ours or of etcd's; nothing was sent or applied. Make it smaller.
	ErrTooMuch = errors.New("too much for one request")
	// ErrNoSpace: etcd's database is full. Leases still lapse, but nobody can register or claim: an operator must compact and
	// defragment it, then disarm the alarm.
	ErrNoSpace = errors.New("etcd is out of space")
	// ErrDenied: etcd does not accept the credentials, or they do not permit this. An operator must correct them.
	ErrDenied = errors.New("etcd refuses the credentials")
	// ErrClosed: the Store is closed.
	ErrClosed = errors.New("the store is closed")
)

// TakenError says that a key that was to be created holds another value. Entry is what stands there.
type TakenError struct{ Entry Entry }

func (e *TakenError) Error() string { return fmt.Sprintf("%s is taken", e.Entry.Key) }

// refusals are etcd's errors that are given before a transaction is proposed, or by all members alike when they apply it (etcd,
// server/etcdserver/api/v3rpc/key.go and interceptor.go, server/etcdserver/apply): nothing was changed and nothing will be. "No
// leader" is one because all requests carry WithRequireLeader, so it is answered before anything is proposed.
var refusals = []error{
	rpctypes.ErrNoLeader, rpctypes.ErrNotCapable, rpctypes.ErrTooManyRequests,
	rpctypes.ErrEmptyKey, rpctypes.ErrTooManyOps, rpctypes.ErrDuplicateKey, rpctypes.ErrRequestTooLarge,
	rpctypes.ErrNoSpace, rpctypes.ErrLeaseNotFound,
	rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed,
	rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner),
}

// outcome classifies the error of a write. Whatever is not known to leave etcd unchanged is in doubt.
func outcome(err error, sent bool) error {
	if err == nil {
		return nil
	}
	if !sent || isAny(err, refusals) {
		return fmt.Errorf("%w: %w", ErrNotApplied, hint(err))
	}
	return fmt.Errorf("%w: %w", ErrInDoubt, hint(err))
}

// hint adds the sentinel that tells the caller what to do about an error of etcd's.
func hint(err error) error {
	err = etcdError(err)
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%w: %w", ErrLeaseGone, err)
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %w", ErrCompacted, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case isAny(err, []error{rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge}):
		return fmt.Errorf("%w: %w", ErrTooMuch, err)
	case isAny(err, []error{rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrInvalidAuthToken}):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	switch said := status.Convert(err); {
	case status.Code(err) == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return spoken{err, "no answer in time"}
	case status.Code(err) == codes.Canceled:
		return spoken{err, "no answer: the request was given up"} // by us, or with its connection
	case status.Code(err) == codes.Unavailable:
		return spoken{err, said.Message()}
	}
	return err
}

// spoken is an error in words that an operator knows.
type spoken struct {
	error
	text string
}

func (s spoken) Error() string { return s.text }
func (s spoken) Unwrap() error { return s.error }

// etcdError turns a gRPC status into the typed error of rpctypes, if it is one of etcd's.
func etcdError(err error) error {
	var typed rpctypes.EtcdError
	if err == nil || errors.As(err, &typed) {
		return err
	}
	return rpctypes.Error(err)
}

func isAny(err error, targets []error) bool {
	err = etcdError(err)
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
