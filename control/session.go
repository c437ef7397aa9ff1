package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"viplease/coordinator"
)

// party is who carries out what a command asks: the daemon, or etcd itself.
type party interface {
	Snapshot(ctx context.Context) (coordinator.Snapshot, error)
	Drain(ctx context.Context, node string) error
	Undrain(ctx context.Context, node string) error
	Move(ctx context.Context, vip, node string) (string, error)
	Pin(ctx context.Context, vip, node string) (string, error)
	Unpin(ctx context.Context, vip string) (string, error)
	Balance(ctx context.Context) (string, error)
	Freeze(ctx context.Context) (string, error)
	Unfreeze(ctx context.Context) (string, error)
	Forget(ctx context.Context, name string) (string, error)
	Plan(ctx context.Context, without []string) ([]byte, error)
}

// direct is a Daemon in this process.
type direct struct{ Daemon }

func (d direct) Snapshot(context.Context) (coordinator.Snapshot, error) {
	return d.Daemon.Snapshot(), nil
}

// session finds the party for one command: the daemon, and once it did not answer etcd until retry is called.
type session struct {
	client  *Client
	open    func(ctx context.Context) (Daemon, func(), error)
	instead string // what the operator gets to read when it is etcd
	tell    func(string)

	etcd   party  // once it was needed
	close  func() // closes etcd
	absent error  // why the daemon is not asked, nil while it is
}

// session begins one; end it.
func (c *commands) session(cmd *cobra.Command, instead string) (*session, error) {
	socket, err := c.Socket(c.config)
	if err != nil {
		return nil, err
	}
	client := Dial(socket)
	client.timeout = c.stall
	return &session{
		client:  client,
		open:    func(ctx context.Context) (Daemon, func(), error) { return c.Direct(ctx, c.config) },
		instead: instead,
		tell:    func(text string) { complain(cmd.ErrOrStderr(), text) },
		close:   func() {},
	}, nil
}

func (s *session) end() { s.close() }

// retry makes the next do ask the daemon again.
func (s *session) retry() { s.absent = nil }

// do lets the party do something, which must be idempotent: a daemon that is stuck may have done it too.
func (s *session) do(ctx context.Context, what func(party) error) error {
	if s.absent == nil {
		err := what(s.client)
		if !errors.Is(err, ErrNoDaemon) {
			return err
		}
		s.absent = err
	}
	if s.etcd == nil {
		d, closeIt, err := s.open(ctx)
		if err != nil {
			return fmt.Errorf("%w, nor can etcd be asked: %w", s.absent, err)
		}
		s.etcd, s.close = direct{d}, closeIt
		s.tell(s.absent.Error() + "; " + s.instead)
	}
	return what(s.etcd)
}

func (s *session) snapshot(ctx context.Context) (snap coordinator.Snapshot, err error) {
	err = s.do(ctx, func(p party) error {
		snap, err = p.Snapshot(ctx)
		return err
	})
	return snap, err
}
