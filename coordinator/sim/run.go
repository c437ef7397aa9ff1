package sim

// Run runs a schedule to its end and tells what came of it.
func run(s Schedule, m mutant, tracing bool) outcome {
	w := newWorld(s, m, tracing)
	w.run()
	return outcome{Verdict: w.judge.verdict, Events: w.events, Sum: w.trace.sum, Now: w.now, Lines: w.trace.lines}
}
