// The soak: a LAN of network namespaces with a real etcd of three servers and nodes that run viplease. For some minutes it breaks them at random, several
// things at a time, and now and then lets them come to rest. It fails as soon as two machines have one VIP up, or when they do not come to rest. Run it
// with scripts/soak.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"viplease/e2e/faults"
	"viplease/e2e/lab"
)

// Exit statuses. That of wrong usage is the flag package's.
const (
	failed      = 1
	usage       = 2
	interrupted = 130
)

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(usage)
	}
	lab.Main(lab.NeedEtcd, lab.NeedViplease, o.lifetime)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(soak(ctx, o))
}

// options are the command line.
type options struct {
	length time.Duration
	seed   uint64
	nodes  int
	vips   int
	rate   float64
	phase  time.Duration
	kinds  []*faults.Kind
	json   bool
	strict bool
}

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	set.SetOutput(io.Discard) // main says what is wrong
	set.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "of the schedule of faults; `N`")
	set.IntVar(&o.nodes, "nodes", 5, "how many `nodes` run viplease, 3 to 20")
	set.IntVar(&o.vips, "vips", 20, "how many virtual `addresses`, half of them IPv4, half IPv6, 1 to 100")
	set.Float64Var(&o.rate, "per-minute", 12, "`faults` a minute, while things break")
	set.DurationVar(&o.phase, "phase", 2*time.Minute, "how long things break before all must come to rest")
	set.BoolVar(&o.strict, "strict", false, "run without fast takeover")
	without := set.String("without", "", "`kinds` of faults to leave out, with commas between")
	only := set.String("only", "", "`kinds` of faults to keep to, with commas between")
	set.BoolVar(&o.json, "json", false, "print the figures as JSON on the last line")
	// Flags may stand on both sides of MINUTES.
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help(set)
		}
		return o, err
	}
	minutes := set.Arg(0)
	if set.NArg() > 0 {
		if err := set.Parse(set.Args()[1:]); err != nil {
			return o, err
		}
	}
	m, err := strconv.ParseFloat(minutes, 64)
	switch {
	case err != nil || m <= 0 || m > 7*24*60 || set.NArg() > 0:
		return o, errors.New("say for how many minutes: soak MINUTES [flags]")
	case o.nodes < 3 || o.nodes > 20 || o.vips < 1 || o.vips > 100:
		return o, errors.New("--nodes takes 3 to 20, --vips 1 to 100")
	case o.rate <= 0 || o.rate > 120 || o.phase < 20*time.Second:
		return o, errors.New("--per-minute takes up to 120, --phase at least 20s")
	}
	o.length = time.Duration(m * float64(time.Minute))
	o.kinds, err = choose(*without, *only)
	return o, err
}

func help(set *flag.FlagSet) {
	fmt.Println("usage: soak MINUTES [flags]")
	set.SetOutput(os.Stdout)
	set.PrintDefaults()
	fmt.Println("kinds of faults:")
	for _, k := range faults.Kinds {
		fmt.Printf("  %-18s %s\n", k.Name, k.What)
	}
}

// choose returns the kinds to inject.
func choose(without, only string) (kinds []*faults.Kind, err error) {
	named := func(list string) map[string]bool {
		names := map[string]bool{}
		for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
			names[name] = true
		}
		return names
	}
	out, in := named(without), named(only)
	for _, k := range faults.Kinds {
		if !out[k.Name] && (in[k.Name] || only == "") {
			kinds = append(kinds, k)
		}
		delete(out, k.Name)
		delete(in, k.Name)
	}
	for _, left := range []map[string]bool{out, in} {
		for name := range left {
			return nil, fmt.Errorf("no kind of fault is called %q; --help lists them", name)
		}
	}
	if len(kinds) == 0 {
		return nil, errors.New("no kind of fault is left")
	}
	return kinds, nil
}

// lifetime lets the lab live as long as the soak takes.
func (o options) lifetime() error {
	const limit = "VIPLEASE_LAB_LIMIT"
	if os.Getenv(limit) != "" {
		return nil
	}
	return os.Setenv(limit, (o.length + 15*time.Minute).String())
}
