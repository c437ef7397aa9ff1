package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands writes viplease(1), in roff. root is the command line; it is changed no more than by showing its help.
func Commands(root *cobra.Command) string {
	root.InitDefaultCompletionCmd()
	p := newPage(root.Name(), "1", strings.ToLower(root.Short[:1])+root.Short[1:])
	p.heading("SYNOPSIS")
	p.macro(".B", root.Name())
	p.line("[-c FILE] COMMAND [ARGUMENTS]")
	p.heading("DESCRIPTION")
	p.text(root.Long)
	p.heading("COMMANDS")
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			p.command(cmd)
		}
	}
	p.heading("OPTIONS OF EVERY COMMAND")
	p.options(root.PersistentFlags())
	p.heading("EXIT STATUS")
	p.item("0", "Done; for status: every VIP is held.")
	p.item("1", "It did not hold, or it was refused.")
	p.item("2", "Wrong usage or configuration.")
	p.heading("FILES")
	p.item("/etc/viplease/viplease.toml", "The configuration; see viplease.toml(5).")
	p.item("/run/viplease/GROUP.sock", "Where the commands find the daemon of a group. Whoever may write to it may use them: root, and the group of the service.")
	p.item("/run/viplease/GROUP/", "What one daemon leaves for the next of the same boot.")
	p.heading("SIGNALS")
	p.item("SIGTERM, SIGINT", "Hand every VIP over and leave.")
	p.item("SIGHUP", "Check the configuration and become the installed program, in place.")
	p.heading("SEE ALSO")
	p.text("viplease.toml(5), etcdctl(1), systemctl(1)")
	return p.String()
}

func (p *page) command(cmd *cobra.Command) {
	p.subheading(cmd.UseLine())
	long := cmd.Long
	if cmd.Name() == "completion" {
		var shells []string
		for _, shell := range cmd.Commands() {
			shells = append(shells, shell.Name())
		}
		long = cmd.Short + ". The shells: " + strings.Join(shells, ", ") + "."
	}
	if long == "" {
		long = cmd.Short + "."
	}
	p.text(long)
	p.options(cmd.LocalNonPersistentFlags())
	if cmd.Example != "" {
		p.verbatim(unindent(cmd.Example))
	}
}

func (p *page) options(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if value != "" {
			term += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		p.item(term, usage)
	})
}

func unindent(example string) string {
	lines := strings.Split(strings.Trim(example, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
