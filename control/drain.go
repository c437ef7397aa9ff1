package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"viplease/coordinator"
)

func (c *commands) drain() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "drain [NODE]",
		Short: "Move every VIP away from a node and keep it out until undrained",
		Long: "Move every VIP away from a node, this one by default, and give it none until it is undrained, restarts and reboots included.\n" +
			"With --wait the command ends when the node holds nothing, or with exit code 1 when it still does after --timeout.",
		Example:           "  viplease drain --wait && systemctl reboot\n  viplease drain proxy-001",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.completeOneNode,
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			if timeout <= 0 {
				return wrongUsage{fmt.Errorf("--timeout must be longer than 0, not %s", timeout)}
			}
			s, err := c.session(cmd, "the drain is written to etcd directly")
			if err != nil {
				return err
			}
			defer s.end()
			node, err := c.drainOne(cmd, s, args)
			if err != nil || !wait {
				return err
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, errWaited)
			defer cancel()
			return c.waitEmpty(ctx, cmd, s, node, timeout)
		}),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the node holds nothing")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long --wait waits, as in `90s`")
	return cmd
}

func (c *commands) undrain() *cobra.Command {
	return &cobra.Command{
		Use:               "undrain [NODE]",
		Short:             "End a drain",
		Long:              "End a drain: the node, this one by default, is given VIPs again as soon as it is ready.",
		Example:           "  viplease undrain\n  viplease undrain proxy-001",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.completeOneNode,
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			s, err := c.session(cmd, "the drain is ended in etcd directly")
			if err != nil {
				return err
			}
			defer s.end()
			node, _, err := s.node(cmd.Context(), args)
			if err != nil {
				return err
			}
			err = s.do(cmd.Context(), func(p party) error { return p.Undrain(cmd.Context(), node) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is no longer drained; it is given VIPs as soon as it is ready\n", printable(node))
			return err
		}),
	}
}

// node is the one that the arguments name, else the party's own, and what is known.
func (s *session) node(ctx context.Context, args []string) (string, coordinator.Snapshot, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return "", snap, err
	}
	node := snap.Node
	if len(args) > 0 {
		node = args[0]
		if err := checkName(node); err != nil {
			return "", snap, wrongUsage{err}
		}
	}
	if node == "" {
		return "", snap, wrongUsage{errors.New("which node? Name one")}
	}
	return node, snap, nil
}

func member(snap coordinator.Snapshot, node string) (coordinator.MemberStatus, bool) {
	i := slices.IndexFunc(snap.Members, func(m coordinator.MemberStatus) bool { return m.Node == node })
	if i < 0 {
		return coordinator.MemberStatus{}, false
	}
	return snap.Members[i], true
}

// drainOne drains and prints what that moves. A plan that cannot be had does not stop it.
func (c *commands) drainOne(cmd *cobra.Command, s *session, args []string) (string, error) {
	ctx := cmd.Context()
	node, snap, err := s.node(ctx, args)
	if err != nil {
		return "", err
	}
	var p planned
	planErr := s.do(ctx, func(to party) error {
		text, err := to.Plan(ctx, []string{node})
		if err != nil {
			return err
		}
		p, err = parsePlan(text)
		return err
	})
	if err := s.do(ctx, func(to party) error { return to.Drain(ctx, node) }); err != nil {
		return "", err
	}
	if snap.Frozen != "" {
		s.tell("note: frozen " + snap.Frozen + ": nothing moves before `viplease unfreeze`")
	}
	if planErr != nil {
		s.tell(fmt.Sprintf("note: what will move is not known: %v", planErr))
	}
	out := cmd.OutOrStdout()
	return node, c.screen(out).print(out, c.screen(out).drained(node, held(snap, node), p))
}

// drained says what a drain moves.
func (s screen) drained(node string, holds []string, p planned) []string {
	if len(holds) == 0 {
		return []string{fmt.Sprintf("%s is drained; it holds nothing", printable(node))}
	}
	lines := []string{fmt.Sprintf("%s is drained; it holds %s", printable(node), count(len(holds), "VIP"))}
	away := slices.DeleteFunc(p.Moves, func(m plannedMove) bool { return m.From != node })
	if len(away) > 0 {
		lines = append(append(lines, ""), s.moves(away)...)
	}
	stuck := slices.DeleteFunc(p.Unplaced, func(vip string) bool { return !slices.Contains(holds, vip) })
	if len(stuck) > 0 {
		lines = append(lines, "", s.alarm("! no other node can hold "+shortList(stuck)))
	}
	return lines
}

// held names the VIPs on a node.
func held(snap coordinator.Snapshot, node string) []string {
	var names []string
	for _, v := range snap.VIPs {
		if v.Node == node {
			names = append(names, v.Name)
		}
	}
	return names
}

var errWaited = errors.New("waited long enough")

// waitEmpty returns when the node holds nothing and is given nothing any more. A daemon that does not answer for a while is waited for.
func (c *commands) waitEmpty(ctx context.Context, cmd *cobra.Command, s *session, node string, timeout time.Duration) error {
	tick := time.NewTicker(c.pace.wait)
	defer tick.Stop()
	last := "the daemon has not answered"
	for first := true; ; first = false {
		s.retry()
		snap, err := s.snapshot(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			last = report(cmd.ErrOrStderr(), last, err.Error())
		case drainedNow(snap, node):
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s holds nothing\n", printable(node))
			return err
		case first: // a drain takes milliseconds: what is held so soon after it is no news
		default:
			last = report(cmd.ErrOrStderr(), last, stillHeld(snap, node))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if context.Cause(ctx) == errWaited {
				return fmt.Errorf("the drain is in force, but after %s: %s", age(timeout), last)
			}
			return ctx.Err()
		}
	}
}

// report writes a progress line when it differs from the last one.
func report(w io.Writer, last, now string) string {
	if now != last {
		complain(w, now)
	}
	return now
}

func stillHeld(snap coordinator.Snapshot, node string) string {
	names := held(snap, node)
	if len(names) == 0 {
		return node + " holds nothing, but is not seen as drained yet"
	}
	return fmt.Sprintf("%s still holds %s: %s", node, count(len(names), "VIP"), shortList(names))
}

// drainedNow also asks that the snapshot be one from after the drain: a node that still counts as ready may be given a VIP.
func drainedNow(snap coordinator.Snapshot, node string) bool {
	m, known := member(snap, node)
	return len(held(snap, node)) == 0 && (!known || m.State != "ready")
}
