package health

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// probe is one way to look at a service.
type probe interface {
	// try looks once; nil is healthy, and the error tells why not in words for an operator. It returns soon after ctx ends.
	try(ctx context.Context) error
	// close is called after the last try. The error tells what try had to leave behind.
	close() error
}

func newProbe(c Check) probe {
	switch {
	case c.HTTP != "" && c.TCP == "" && len(c.Command) == 0:
		return httpProbe{target: c.HTTP}
	case c.TCP != "" && c.HTTP == "" && len(c.Command) == 0:
		return tcpProbe{address: c.TCP}
	case len(c.Command) > 0 && c.HTTP == "" && c.TCP == "":
		if !filepath.IsAbs(c.Command[0]) {
			return brokenProbe{errors.New("the command must be an absolute path, not " + c.Command[0])}
		}
		return newCommandProbe(slices.Clone(c.Command))
	}
	return brokenProbe{errors.New("the check must have exactly one of http, tcp and command")}
}

// brokenProbe is a check that can never pass.
type brokenProbe struct{ err error }

func (b brokenProbe) try(context.Context) error { return b.err }
func (b brokenProbe) close() error              { return nil }

// overdue is err, or the cause of ctx when its time is over: what went wrong then is that, and the cause says how long it was.
func overdue(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // a socket's deadline may fire a moment before the timer of ctx
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// maxWhy is the length of a reason in bytes: a line on a terminal, and what a line of output adds to it.
const maxWhy = 300

// printable makes one line of s that a terminal shows as it is. What s is made of may come from a server or a program that nobody trusts.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if len(s) > maxWhy {
		s = strings.ToValidUTF8(s[:maxWhy], "") + "..."
	}
	return s
}

// firstLine is ": " and the first line of output that is not blank, or nothing.
func firstLine(output []byte) string {
	for line := range strings.Lines(string(output)) {
		if line = strings.TrimSpace(line); line != "" {
			return ": " + line
		}
	}
	return ""
}
