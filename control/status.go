package control

import (
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"viplease/coordinator"
)

func (c *commands) status() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the whole cluster: every node, every VIP, who holds it and why",
		Long: "Show the whole cluster as the daemon of this host sees it, or as etcd has it when none answers: members and why each is or is not\n" +
			"ready, every VIP with its holder, and what happened last. What needs attention is marked with !.\n\n" +
			"Exit code 0: every VIP is held, and etcd has just said so. 1: not. With --watch: 0 on ctrl-C; --json prints one document a second then, each on a line.",
		Example: "  viplease status\n  viplease status --watch\n  viplease status --json | jq '.vips[] | select(.state != \"held\")'",
		Args:    cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			s, err := c.session(cmd, "this is what etcd says")
			if err != nil {
				return err
			}
			defer s.end()
			if watch {
				return c.watch(cmd, s, asJSON)
			}
			snap, err := s.snapshot(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = writeSnapshot(out, snap, "  ")
			} else {
				err = c.screen(out).print(out, c.screen(out).status(snap))
			}
			if err == nil && !(snap.AllHeld() && snap.Etcd.Reachable) {
				err = errSaid
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every second, until ctrl-C")
	return cmd
}

func writeSnapshot(out io.Writer, snap coordinator.Snapshot, indent string) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc.Encode(snap)
}

// watch shows the status again and again until it is interrupted, which is its way to succeed.
func (c *commands) watch(cmd *cobra.Command, s *session, asJSON bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	tick := time.NewTicker(c.pace.watch)
	defer tick.Stop()
	for first := true; ; first = false {
		s.retry()
		snap, trouble := s.snapshot(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var err error
		switch out := cmd.OutOrStdout(); {
		case !asJSON:
			err = c.frame(out, snap, trouble, first)
		case trouble != nil:
			s.tell(trouble.Error())
		default:
			err = writeSnapshot(out, snap, "")
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// frame shows one status, or why there is none: in the place of the last one on a terminal, after a line with the time elsewhere.
func (c *commands) frame(out io.Writer, snap coordinator.Snapshot, trouble error, first bool) error {
	s := c.screen(out)
	_, rows, onTerminal := terminalSize(out)
	if onTerminal {
		s.height = max(rows-1, 1) // the cursor ends on the last
	}
	var lines []string
	if trouble == nil {
		lines = s.status(snap)
	} else {
		lines = s.warning(trouble.Error())
	}
	if onTerminal {
		return s.redraw(out, lines, first)
	}
	if !first {
		lines = append([]string{"", "--- " + s.now.Format(time.RFC3339)}, lines...)
	}
	return s.print(out, lines)
}

// redraw overwrites the screen in one write, line by line, so that nothing flickers. ECMA-48: CUP, EL, ED.
func (s screen) redraw(out io.Writer, lines []string, first bool) error {
	if len(lines) > s.height {
		lines = append(lines[:s.height-1:s.height-1], lines[len(lines)-1])
	}
	var b strings.Builder
	if first {
		b.WriteString("\x1b[2J")
	}
	b.WriteString("\x1b[H")
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	_, err := fmt.Fprint(out, b.String())
	return err
}
