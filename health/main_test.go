package health

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also asserts, when all tests are over, that no goroutine and no child is left. A child that nobody waits for would be a zombie.
func TestMain(m *testing.M) {
	if script := os.Getenv(runsCheck); script != "" {
		runForEver(script)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		code = 1
	}
	if left := children(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "health: children left:", left)
		code = 1
	}
	os.Exit(code)
}

// runsCheck is set in the environment of a test binary that is to be killed while it runs a check: the shell script of that check.
const runsCheck = "HEALTH_TEST_RUNS_CHECK"

func runForEver(script string) {
	check := Check{Command: []string{"/bin/sh", "-c", script}, Timeout: time.Hour}
	err := New([]Check{check}, slog.New(slog.DiscardHandler)).Run(context.Background(), func(Verdict) {})
	fmt.Fprintln(os.Stderr, "health: Run returned:", err)
	os.Exit(1)
}

// children lists the children of this process, zombies too.
func children() []int {
	var pids []int
	for _, pid := range processes() {
		if stat := statOf(pid); stat.parent == os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}
