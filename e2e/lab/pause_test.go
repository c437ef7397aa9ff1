package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stop signal is obeyed by each thread in its own time, so a server that was just told to stop could still commit a write.
func TestPauseMeansStopped(t *testing.T) {
	l := New(t, Options{Etcd: 3})
	for range 30 {
		for _, s := range l.Etcd.Servers {
			s.Pause()
			tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.process.cmd.Process.Pid))
			if err != nil || len(tasks) == 0 {
				t.Fatalf("no threads of %s: %v", s.Name, err)
			}
			for _, task := range tasks {
				status, err := os.ReadFile(task)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(string(status), "State:\tT") {
					t.Fatalf("%s was paused, and its thread is not stopped:\n%.80s", s.Name, status)
				}
			}
			s.Continue()
		}
	}
}
