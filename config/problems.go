package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a configuration, or one thing that keeps a VIP
// from this host (see [Config.Resolve]).
type Problem struct {
	File string // as it was given to Load or Parse
	Line int    // from 1; 0: the file as a whole, such as a missing section
	Key  string // dotted, as written in the file: "lease.hold"; may be empty
	Text string // what is wrong; what to write
	VIP  string // name of the VIP that cannot be held; set by Resolve alone
}

// Error returns the problem as one line: "file:line: key: text".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is every mistake found in one file, in the order of its lines.
// It is the error type of [Parse], and of [Load] for a file that was read.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, so that errors.As finds a Problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// sort puts the problems in the order of their lines. Those of one line stay
// in the order in which they were found.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}
