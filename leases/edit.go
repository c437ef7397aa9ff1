package leases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// editTimeout bounds an Edit, which reads, writes, and begins again when somebody else wrote in between.
const editTimeout = 5 * time.Second

// errUnchanged ends an Edit that has nothing to write.
var errUnchanged = errors.New("unchanged")

// Edit makes an operator's read-modify-write of one key. change gets the value, nil for an absent key, and returns the new one; nil
// deletes the key; what it got, and nothing is written. It runs again when the key changed meanwhile, so it should only compute. Its
// error ends the Edit and is returned as it is, wrapped.
//
// rev is the revision at which the key was last written, by this Edit or before, or at which this Edit deleted it; 0: it is absent.
// Other errors are [ErrInDoubt] and [ErrNotApplied].
func (s *Store) Edit(ctx context.Context, key string, change func(old []byte) ([]byte, error)) (rev int64, err error) {
	if key == "" {
		return 0, fmt.Errorf("edit: %w: no key", ErrNotApplied)
	}
	ctx, cancel := s.bound(ctx, editTimeout)
	defer cancel()
	// The STM waits on one client for as long as it takes, so it gets that of a server which answers.
	c, err := race(ctx, s, patience, func(ctx context.Context, c *conn) (*conn, error) {
		_, err := c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(s.key(key)), KeysOnly: true})
		return c, hint(err)
	}, nil)
	if err != nil {
		return 0, fmt.Errorf("edit %s: %w", key, outcome(err, false))
	}
	committing, refused := false, error(nil)
	r, err := concurrency.NewSTM(c.client, func(stm concurrency.STM) error {
		committing = false
		var old []byte
		if got := stm.Get(s.key(key)); stm.Rev(s.key(key)) != 0 {
			old = append([]byte{}, got...)
		}
		rev = stm.Rev(s.key(key))
		value, err := change(old)
		switch {
		case err != nil:
			refused = err
			return err
		case (value == nil) == (old == nil) && bytes.Equal(value, old):
			return errUnchanged
		case len(value) > maxCommit:
			refused = fmt.Errorf("%w: %w: %d bytes, at most %d", ErrNotApplied, ErrTooMuch, len(value), maxCommit)
			return refused
		case value == nil:
			stm.Del(s.key(key))
		default:
			stm.Put(s.key(key), string(value))
		}
		committing = true
		return nil
	}, concurrency.WithAbortContext(ctx))
	switch {
	case err == nil:
		return r.Header.GetRevision(), nil
	case errors.Is(err, errUnchanged):
		return rev, nil
	case refused != nil:
		return 0, fmt.Errorf("edit %s: %w", key, refused)
	}
	return 0, fmt.Errorf("edit %s: %w", key, outcome(err, committing))
}
