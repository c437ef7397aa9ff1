package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"viplease/e2e/lab"
)

// An attempt is the T of one cluster: what the lab cannot do ends it, not the program, and the bench goes on with the next one.
type attempt struct {
	lab.Program
	cleanups []func()
	err      error
}

// try runs fn with a T of its own and takes down what fn built. The first error is what ended fn, the second what was found at the end, such as the judge's
// last verdict.
func try(fn func(t lab.T)) (err, verdict error) {
	t := &attempt{}
	t.apart(func() { fn(t) })
	err, t.err = t.err, nil
	for _, f := range slices.Backward(t.cleanups) {
		t.apart(f)
	}
	return err, t.err
}

// apart runs f to its end, or to that of its goroutine.
func (t *attempt) apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// Cleanup runs f after the attempt, the last one first.
func (t *attempt) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// Fatalf ends the calling goroutine.
func (t *attempt) Fatalf(format string, args ...any) {
	t.err = errors.Join(t.err, fmt.Errorf(format, args...))
	runtime.Goexit()
}

// Skipf does the same: a bench that measures nothing has failed.
func (t *attempt) Skipf(format string, args ...any) { t.Fatalf(format, args...) }

// Logf prints a line on standard error.
func (t *attempt) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
