package control

import (
	"context"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// orders are the commands that ask the cluster for one thing and print what came of it.
func (c *commands) orders() []*cobra.Command {
	return []*cobra.Command{
		c.order(&cobra.Command{
			Use:   "move VIP NODE",
			Short: "Move a VIP to a node, now and once",
			Long: "Move a VIP to a node now, without waiting for a round, and wait until it is there. It stays there, whatever balance and preferences say,\n" +
				"until it has to leave that node, or until `viplease balance`. A move that cannot be had is refused with the reason, and nothing is moved.",
			Example:           "  viplease move web proxy-002",
			Args:              cobra.ExactArgs(2),
			ValidArgsFunction: c.completeVIPThenNode,
		}, func(ctx context.Context, p party, args []string) (string, error) {
			return p.Move(ctx, args[0], args[1])
		}),
		c.order(&cobra.Command{
			Use:   "pin VIP NODE",
			Short: "Keep a VIP on a node whenever that node can hold it",
			Long: "Put a VIP on a node for good: it goes there as soon as the node is ready and can hold it, before balance and preferences, and\n" +
				"comes back after a failure. Until then it is held elsewhere. `viplease unpin` ends it.",
			Example:           "  viplease pin web proxy-002",
			Args:              cobra.ExactArgs(2),
			ValidArgsFunction: c.completeVIPThenNode,
		}, func(ctx context.Context, p party, args []string) (string, error) { return p.Pin(ctx, args[0], args[1]) }),
		c.order(&cobra.Command{
			Use:               "unpin VIP",
			Short:             "End a pin",
			Long:              "End a pin: the VIP is placed by its preferences and by balance again.",
			Example:           "  viplease unpin web",
			Args:              cobra.ExactArgs(1),
			ValidArgsFunction: c.completeVIPThenNode,
		}, func(ctx context.Context, p party, args []string) (string, error) { return p.Unpin(ctx, args[0]) }),
		c.order(&cobra.Command{
			Use:   "balance",
			Short: "Even the load now",
			Long: "Ask for the moves that even the load now, without waiting for the interval between two rounds. VIPs that were moved by hand are placed\n" +
				"like all others again; pins stay. `viplease plan` shows what would move.",
			Example: "  viplease balance",
			Args:    cobra.NoArgs,
		}, func(ctx context.Context, p party, _ []string) (string, error) { return p.Balance(ctx) }),
		c.order(&cobra.Command{
			Use:   "freeze",
			Short: "Move nothing, anywhere, until unfreeze",
			Long: "Move nothing in the whole cluster, drained nodes and pins included. VIPs whose holder dies or stops are still taken over.\n" +
				"It outlives restarts; `viplease status` shows it.",
			Example: "  viplease freeze",
			Args:    cobra.NoArgs,
		}, func(ctx context.Context, p party, _ []string) (string, error) { return p.Freeze(ctx) }),
		c.order(&cobra.Command{
			Use:     "unfreeze",
			Short:   "End a freeze",
			Long:    "End a freeze: what has been due since is moved now.",
			Example: "  viplease unfreeze",
			Args:    cobra.NoArgs,
		}, func(ctx context.Context, p party, _ []string) (string, error) { return p.Unfreeze(ctx) }),
		c.order(&cobra.Command{
			Use:   "forget NAME",
			Short: "Remove what a node that is gone, or a VIP that nobody configures, left",
			Long: "Remove from etcd what a node that is gone for good left there (its drain, pins to it), or what is left of a VIP that no node configures\n" +
				"any more. Refused as long as the node is a member, or the VIP is configured or held. No address is touched.",
			Example:           "  viplease forget proxy-007",
			Args:              cobra.ExactArgs(1),
			ValidArgsFunction: c.completeName,
		}, func(ctx context.Context, p party, args []string) (string, error) { return p.Forget(ctx, args[0]) }),
	}
}

// order completes a command: it checks the names, asks, and prints the answer.
func (c *commands) order(cmd *cobra.Command, do func(context.Context, party, []string) (string, error)) *cobra.Command {
	cmd.RunE = doing(func(cmd *cobra.Command, args []string) error {
		for _, name := range args {
			if err := checkName(name); err != nil {
				return wrongUsage{err}
			}
		}
		s, err := c.session(cmd, "this is asked of etcd directly")
		if err != nil {
			return err
		}
		defer s.end()
		said := ""
		err = s.do(cmd.Context(), func(p party) error {
			said, err = do(cmd.Context(), p, args)
			return err
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), printable(said))
		return err
	})
	return cmd
}

// goodName is what the names of nodes and VIPs look like: whatever else stands for one is a mistake in typing.
var goodName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,253}$`)

func checkName(name string) error {
	if goodName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%.60q cannot be a name: names of VIPs and nodes are of letters, digits and . _ : -, 253 at the most", name)
}
