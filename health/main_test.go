package health

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also asserts, when all tests are over, that no goroutine and no child is left. A child that nobody waits for would be a zombie.
func TestMain(m *testing.M) {
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
