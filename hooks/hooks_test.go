package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// journal is a log that can be waited for.
type journal chan map[string]any

func (j journal) Write(line []byte) (int, error) {
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		return 0, err
	}
	j <- m
	return len(line), nil
}

// next returns the next line, which must have this message.
func (j journal) next(t *testing.T, message string) map[string]any {
	t.Helper()
	select {
	case m := <-j:
		if m["msg"] != message {
			t.Fatalf("the log says %v, want %q", m, message)
		}
		return m
	case <-time.After(patience):
		t.Fatalf("the log does not say %q", message)
	}
	return nil
}

// silent fails when there is another line.
func (j journal) silent(t *testing.T) {
	t.Helper()
	select {
	case m := <-j:
		t.Errorf("the log says %v, want nothing", m)
	default:
	}
}

// bench is a Runner with its log, and a folder for programs and what they write.
type bench struct {
	*Runner
	log    journal
	dir    string
	cancel context.CancelFunc
	ended  chan error
}

// dir is a folder that nobody else may write to, whatever the umask.
func dir(t *testing.T) string {
	t.Helper()
	d := t.TempDir()
	for _, d := range []string{filepath.Dir(d), d} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// script writes a program for sh and returns its path.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// newBench makes a Runner whose program for all events is this script; it finds the folder in $1.
func newBench(t *testing.T, text string, change func(*Config)) *bench {
	t.Helper()
	b := &bench{log: make(journal, 10_000), dir: dir(t), ended: make(chan error, 1)}
	argv := []string{script(t, b.dir, "hook", text), b.dir}
	c := Config{
		Acquired: argv, Released: argv, Fault: argv,
		Timeout: patience,
		Node:    "n1",
		Log:     slog.New(slog.NewJSONHandler(b.log, nil)),
	}
	if change != nil {
		change(&c)
	}
	var err error
	if b.Runner, err = New(c); err != nil {
		t.Fatal(err)
	}
	return b
}

// start runs the Runner until the test ends or stop is called.
func (b *bench) start(t *testing.T) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() { b.ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		if b.cancel != nil {
			b.stop(t)
		}
	})
	return b
}

// stop cancels and waits for Run.
func (b *bench) stop(t *testing.T) {
	t.Helper()
	b.cancel()
	b.cancel = nil
	select {
	case err := <-b.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("Run does not return")
	}
}

// settle waits until all has run.
func (b *bench) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// read returns what programs have written to a file of the folder, in lines.
func (b *bench) read(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// write makes an empty file.
func (b *bench) write(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok; it asks anew every 5 ms.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// gone waits until no process that a file of the folder names is alive.
func (b *bench) gone(t *testing.T, file string, count int) {
	t.Helper()
	var pids []string
	eventually(t, "the processes have said who they are", func() bool {
		pids = b.read(t, file)
		return len(pids) == count && pids[0] != ""
	})
	for _, pid := range pids {
		if _, err := strconv.Atoi(pid); err != nil {
			t.Fatal(err)
		}
		eventually(t, "process "+pid+" is gone", func() bool { return !alive(pid) })
	}
}

// alive says whether a process runs; one that waits to be reaped by whoever adopted it does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// event is one of VIP "web" that is told from others by its reason.
func event(why string) Event { return Event{Kind: Acquired, VIP: "web", Why: why} }

func numbered(from, to int) (list []string) {
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

func (b *bench) exists(name string) bool {
	_, err := os.Stat(filepath.Join(b.dir, name))
	return err == nil
}
