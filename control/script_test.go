package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts are the manual of the commands. What they have besides the usual:
//
//	daemon SOCKET FILE   serve the cluster in FILE, until `leave SOCKET` or the end
//	asked SOCKET N       wait until that daemon was asked for N more snapshots
//	appears FILE         wait until there is such a file; reading etcd makes etcd-was-asked
//	reply SOCKET FILE    something that is no daemon: answers every connection with FILE, "-" being nothing, ever
//	stale SOCKET         what a daemon leaves that was killed
//	exitcode N COMMAND   run it and want this exit code
//
// (`stop`, which is not used, is one of testscript's own: it ends a script early.)
func TestScripts(t *testing.T) {
	s := &stage{running: map[string]*actor{}}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": s.daemon, "leave": s.leave, "asked": s.asked, "reply": s.reply, "stale": s.stale, "appears": appears, "exitcode": exitCodeOf,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("NO_COLOR", "")
			env.Setenv("TERM", "xterm")
			env.Setenv("VIPLEASE_TEST_NOW", "2026-03-14T12:10:00Z")
			return nil
		},
	})
}

// stage holds what the scripts started, by socket.
type stage struct {
	mu      sync.Mutex
	running map[string]*actor
}

type actor struct {
	daemon *fakeDaemon
	stop   func()
}

func (s *stage) enter(ts *testscript.TestScript, socket string, a *actor) {
	a.stop = sync.OnceFunc(a.stop)
	s.mu.Lock()
	s.running[socket] = a
	s.mu.Unlock()
	ts.Defer(a.stop)
}

func (s *stage) find(ts *testscript.TestScript, socket string) *actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.running[ts.MkAbs(socket)]
	if a == nil {
		ts.Fatalf("nothing was started on %s", socket)
	}
	return a
}

func (s *stage) daemon(ts *testscript.TestScript, _ bool, args []string) {
	socket, d := ts.MkAbs(args[0]), &fakeDaemon{file: ts.MkAbs(args[1])}
	ln, err := Listen(socket, 0, NoGroup)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, d, nil, slog.New(slog.DiscardHandler)) }()
	s.enter(ts, socket, &actor{daemon: d, stop: func() {
		cancel()
		<-done
	}})
}

func (s *stage) leave(ts *testscript.TestScript, _ bool, args []string) { s.find(ts, args[0]).stop() }

func (s *stage) asked(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	d := s.find(ts, args[0]).daemon
	want := d.timesAsked() + n
	await(ts, fmt.Sprintf("%d snapshots", want), func() bool { return d.timesAsked() >= want })
}

func appears(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[0], func() bool {
		_, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil
	})
}

// await polls until the condition holds, or fails.
func await(ts *testscript.TestScript, what string, holds func() bool) {
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited 20 s in vain for %s", what)
		}
	}
}

func (s *stage) reply(ts *testscript.TestScript, _ bool, args []string) {
	socket, text := ts.MkAbs(args[0]), ""
	if args[1] == "garbage" {
		text = strings.Repeat("garbage \x00\xff", 1<<17)
	} else if args[1] != "-" {
		text = ts.ReadFile(args[1])
	}
	s.enter(ts, socket, &actor{stop: serveRaw(ts, socket, text)})
}

// serveRaw answers every connection with text and hangs up; without text it says nothing and keeps the connection.
func serveRaw(ts interface{ Check(error) }, socket, text string) (stop func()) {
	ln, err := net.Listen("unix", socket)
	ts.Check(err)
	var wg sync.WaitGroup
	closing := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if text == "" {
					<-closing
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, text)
			})
		}
	})
	return func() {
		close(closing)
		ln.Close()
		wg.Wait()
	}
}

func (s *stage) stale(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(leaveStale(ts.MkAbs(args[0])))
}

func leaveStale(socket string) error {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false)
	return ln.Close()
}

func exitCodeOf(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	code := 0
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s: exit code %d, not %s", strings.Join(args[1:], " "), code, args[0])
	}
}
