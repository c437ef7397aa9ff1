package lab

import (
	"fmt"
	"os"
)

// Program is a T for what is no test: a fault ends the program with status 1. Nothing needs cleaning up then, for the end of the
// program is the end of its world; a lab that should go earlier is closed with [Lab.Close].
type Program struct{}

// Helper does nothing.
func (Program) Helper() {}

// Cleanup does nothing.
func (Program) Cleanup(func()) {}

// Failed is false: a program that failed has ended.
func (Program) Failed() bool { return false }

// Logf prints a line on standard error.
func (Program) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Fatalf prints a line on standard error and ends the program.
func (p Program) Fatalf(format string, args ...any) {
	p.Logf(format, args...)
	os.Exit(1)
}

// Skipf does as Fatalf does: a program has nothing else to go on with.
func (p Program) Skipf(format string, args ...any) { p.Fatalf(format, args...) }
