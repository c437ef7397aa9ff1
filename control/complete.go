package control

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"viplease/coordinator"
)

// completeWithin is what somebody who has pressed the tab key waits.
const completeWithin = time.Second

// seen is what a running daemon knows, for completions; without one there are none.
func (c *commands) seen(cmd *cobra.Command) coordinator.Snapshot {
	socket, err := c.Socket(c.config)
	if err != nil {
		return coordinator.Snapshot{}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	snap, err := Dial(socket).Snapshot(ctx)
	if err != nil {
		return coordinator.Snapshot{}
	}
	return snap
}

func nodeNames(snap coordinator.Snapshot) (names []string) {
	for _, m := range snap.Members {
		names = append(names, m.Node)
	}
	return names
}

func vipNames(snap coordinator.Snapshot) (names []string) {
	for _, v := range snap.VIPs {
		names = append(names, v.Name)
	}
	return names
}

// offer are the names that begin with prefix.
func offer(prefix string, names []string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeNode completes NODE anywhere, completeOneNode as the one argument.
func (c *commands) completeNode(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return offer(prefix, nodeNames(c.seen(cmd)))
}

func (c *commands) completeOneNode(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeNode(cmd, args, prefix)
}

// completeVIPThenNode completes VIP NODE, or as much of that as the command takes.
func (c *commands) completeVIPThenNode(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return offer(prefix, vipNames(c.seen(cmd)))
	case len(args) == 1 && cmd.Args(cmd, append(args, "node")) == nil:
		return c.completeNode(cmd, args, prefix)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeName completes what can be forgotten: a node that is gone, or any VIP.
func (c *commands) completeName(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	snap := c.seen(cmd)
	names := vipNames(snap)
	for _, m := range snap.Members {
		if m.State == "gone" {
			names = append(names, m.Node)
		}
	}
	return offer(prefix, names)
}
