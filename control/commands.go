package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// DefaultConfig is where every command looks for the configuration unless -c says otherwise.
const DefaultConfig = "/etc/viplease/viplease.toml"

// Deps is what the commands need of the rest of the program. Every function must be set, may block until its ctx ends, and returns errors that
// are fit for an operator's eyes; one with a method ExitCode() int chooses the exit code, 2 for a wrong configuration, and is 1 otherwise.
type Deps struct {
	// Version returns what `viplease version` prints, without a line's end.
	Version func() string
	// Run is the daemon. It returns nil when it left in order.
	Run func(ctx context.Context, configPath string) error
	// Check writes a summary of the configuration; its error holds the problems, one a line. live: look at etcd and the interfaces too.
	Check func(ctx context.Context, configPath string, live bool, out io.Writer) error
	// Release takes every address of ours off this host and writes what it did. It refuses while a daemon runs.
	Release func(ctx context.Context, configPath string, out io.Writer) error
	// Socket returns the path of the socket of this configuration's group.
	Socket func(configPath string) (string, error)
	// Direct returns a Daemon that reads and writes etcd, for when none runs on this host; func() closes it. Each call of its Snapshot reads
	// anew, within the configured timeouts, and shows a failure as Etcd.Reachable and Etcd.Trouble; Source is "etcd".
	Direct func(ctx context.Context, configPath string) (Daemon, func(), error)
	// Import writes the TOML for another program's configuration, and what changed meaning.
	Import func(path string, toml, notes io.Writer) error
	// PlanFile plans the state of `plan --state`: JSON in, JSON out.
	PlanFile func(state []byte, without []string) ([]byte, error)

	now   func() time.Time // for ages in the tables alone; nil: time.Now
	pace  pace             // zero: the defaults
	stall time.Duration    // what a question to the daemon may take; 0: callTimeout
}

// pace is how often the commands that repeat themselves do.
type pace struct {
	watch time.Duration // status --watch; 0: 1 s
	wait  time.Duration // drain --wait; 0: 0.5 s
}

// commands is what all commands share.
type commands struct {
	Deps
	config string
}

// Commands returns the command line of viplease, for Execute. cobra adds completion and help.
func Commands(deps Deps) *cobra.Command {
	c := &commands{Deps: deps}
	if c.now == nil {
		c.now = time.Now
	}
	if c.pace.watch == 0 {
		c.pace.watch = time.Second
	}
	if c.pace.wait == 0 {
		c.pace.wait = 500 * time.Millisecond
	}
	if c.stall == 0 {
		c.stall = callTimeout
	}
	asked := false // for the version
	root := &cobra.Command{
		Use:   "viplease",
		Short: "Keep virtual IP addresses up on a cluster, each on exactly one node",
		Long: "viplease keeps a pool of virtual IP addresses (VIPs) up on the nodes of a LAN: every VIP on exactly one node, the load spread\n" +
			"evenly, any node free to die at any moment. etcd holds who has what.",
		SilenceUsage:  true, // Execute prints one line
		SilenceErrors: true,
		Args:          oneOf,

		SuggestionsMinimumDistance: 2, // edits, as in cobra's own message
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked {
				return c.version().RunE(cmd, nil)
			}
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help()
			return errSilentUsage
		},
	}
	root.Flags().BoolVarP(&asked, "version", "v", false, "print what runs here") // not cobra's own, whose template links in every method there is
	root.PersistentFlags().StringVarP(&c.config, "config", "c", DefaultConfig, "configuration `FILE`")
	_ = root.MarkPersistentFlagFilename("config", "toml") // errs only on a flag that is not there
	root.AddCommand(c.run(), c.check(), c.status(), c.plan(), c.drain(), c.undrain())
	root.AddCommand(c.orders()...)
	root.AddCommand(c.release(), c.importing(), c.version())
	root.SetHelpCommand(help())
	return root
}

// Execute runs the command that os.Args names and returns the exit code. Errors are written to stderr, each line after "viplease: ".
func Execute(ctx context.Context, root *cobra.Command) int {
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var failed failure
	if !errors.As(err, &failed) { // cobra's own: flags, arguments, unknown commands
		if !errors.Is(err, errSilentUsage) {
			complain(root.ErrOrStderr(), fmt.Sprintf("%v; see `viplease help`", err))
		}
		return 2
	}
	if errors.Is(err, errSaid) {
		return 1
	}
	if errors.Is(err, context.Canceled) {
		complain(root.ErrOrStderr(), "interrupted")
		return 1
	}
	complain(root.ErrOrStderr(), err.Error())
	return exitCode(err)
}

var (
	// errSaid is exit code 1 where stdout has said why.
	errSaid = errors.New("it did not hold")
	// errSilentUsage is exit code 2 after the help.
	errSilentUsage = errors.New("a command is needed")
)

// failure is an error of a command, as opposed to one of the command line.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// wrongUsage is an error of the command line that cobra cannot see.
type wrongUsage struct{ error }

func (wrongUsage) ExitCode() int { return 2 }

func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) && coded.ExitCode() > 0 {
		return coded.ExitCode()
	}
	return 1
}

// doing makes a command's function one whose errors are told from cobra's.
func doing(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := do(cmd, args); err != nil {
			return failure{err}
		}
		return nil
	}
}

func complain(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "viplease: %s\n", printable(strings.TrimRight(line, "\n")))
	}
}

// oneOf refuses what is no command, with the ones that look like it.
func oneOf(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no command %q; did you mean %s", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command %q", args[0])
}

func help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = oneOf(about, rest)
			}
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

func (c *commands) run() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: "Run the daemon in the foreground: hold this node's share of the VIPs until it is told to leave.\n\n" +
			"SIGTERM hands every VIP over and leaves. SIGHUP checks the configuration and, if it is right, replaces the daemon by the installed\n" +
			"binary in place: reload and upgrade are one thing, and no address is touched.",
		Example: "  viplease run\n  viplease run -c /etc/viplease/mail.toml",
		Args:    cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			return c.Run(cmd.Context(), c.config)
		}),
	}
}

func (c *commands) check() *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, and with --live the surroundings",
		Long: "Check the configuration and print what it amounts to, the timers included. With --live also: is etcd reachable, are the\n" +
			"interfaces there, is there a witness for fast takeover. Exit code 2: the configuration is wrong.",
		Example: "  viplease check -c new.toml\n  viplease check --live",
		Args:    cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			return c.Check(cmd.Context(), c.config, live, cmd.OutOrStdout())
		}),
	}
	cmd.Flags().BoolVar(&live, "live", false, "look at etcd and the interfaces too")
	return cmd
}

func (c *commands) release() *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Take every address of ours off this host",
		Long: "Take every address that viplease put up off this host. Refused while a daemon runs: stop or drain it.\n\n" +
			"After a crash this is rarely needed: the kernel ends the addresses by itself within seconds.",
		Example: "  systemctl stop viplease && viplease release",
		Args:    cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			return c.Release(cmd.Context(), c.config, cmd.OutOrStdout())
		}),
	}
}

func (c *commands) importing() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Print the TOML for a wackamole.conf or a keepalived.conf",
		Long: "Read the configuration of Wackamole, or the VRRP part of keepalived's, and print the equivalent TOML. What means something else from now\n" +
			"on, and what has no equivalent, is said on standard error, with its line. The endpoints of etcd are left for you to fill in.",
		Example: "  viplease import /etc/wackamole.conf > viplease.toml",
		Args:    cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			return c.Import(args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
}

func (c *commands) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), c.Version())
			return err
		}),
	}
}

// readState reads the file of --state, "-" being stdin.
func readState(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(stdin, maxReply))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongUsage{fmt.Errorf("read the state: %w", err)}
	}
	return text, nil
}
