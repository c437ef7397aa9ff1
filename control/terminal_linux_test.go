package control

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplease/coordinator"
)

// openTerminal returns both ends of a new terminal of that size: what a program writes to tty can be read from the other.
func openTerminal(t *testing.T, columns, rows uint16) (far, tty *os.File) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(err)
	far = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { far.Close() })
	must(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(err)
	must(unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(err)
	t.Cleanup(func() { tty.Close() })
	return far, tty
}

// readUntil reads the terminal until what it has read satisfies.
func readUntil(t *testing.T, far *os.File, enough func(string) bool) string {
	t.Helper()
	if err := far.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for !enough(seen.String()) {
		n, err := far.Read(buf)
		if err != nil {
			t.Fatalf("%v, after %q", err, seen.String())
		}
		seen.Write(buf[:n])
	}
	return seen.String()
}

// On a terminal of 80 by 20, 60 VIPs of which one is lost: every frame overwrites the last one, fits, begins with what is wrong and ends with
// the sum.
func TestWatchRedrawsInPlace(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	far, tty := openTerminal(t, 80, 20)
	snap := manyVIPs(60)
	snap.VIPs[41].Node, snap.VIPs[41].State, snap.VIPs[41].Why = "", "waiting", "proxy-003 is gone"
	socket, _ := serveFake(t, snapDaemon{snap})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	root := Commands(Deps{
		Version: func() string { return "v1" },
		Socket:  func(string) (string, error) { return socket, nil },
		now:     func() time.Time { return testNow },
		pace:    pace{watch: 10 * time.Millisecond},
	})
	root.SetArgs([]string{"status", "--watch"})
	root.SetOut(tty)
	code := make(chan int, 1)
	go func() { code <- Execute(ctx, root) }()

	const home, end = "\x1b[H", "\x1b[J"
	text := readUntil(t, far, func(s string) bool { return strings.Count(s, end) >= 3 })
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	frames := strings.SplitAfter(text, end)
	if !strings.HasPrefix(frames[0], "\x1b[2J"+home) || !strings.HasPrefix(frames[1], home) {
		t.Errorf("frames begin with %.12q and %.12q", frames[0], frames[1])
	}
	frame := strings.TrimSuffix(strings.TrimPrefix(frames[1], home), end)
	lines := strings.Split(strings.TrimSuffix(frame, "\r\n"), "\r\n")
	if len(lines) > 19 {
		t.Errorf("%d lines on a terminal of 20", len(lines))
	}
	for i, line := range lines {
		bare, ok := strings.CutSuffix(line, "\x1b[K")
		if !ok || len(bare) > 80 {
			t.Errorf("line %d: %q", i, line)
		}
		lines[i] = bare
	}
	for _, want := range []string{"! vip-41  192.0.2.41  -", cutNote, "1 of 60 VIPs NOT held: vip-41 (waiting, 1m00s)"} {
		if !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

// A terminal too low for anything keeps the first lines and the sum.
func TestRedrawTinyTerminal(t *testing.T) {
	for height := 1; height < 12; height++ {
		var out bytes.Buffer
		s := screen{width: 80, height: height, terminal: true, now: testNow}
		if err := s.redraw(&out, s.status(manyVIPs(60)), false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n\x1b[J"), "\n")
		if len(lines) > height || !strings.Contains(lines[len(lines)-1], "60 of 60 VIPs held") {
			t.Errorf("height %d: %q", height, lines)
		}
	}
}

// snapDaemon knows one snapshot.
type snapDaemon struct{ snap coordinator.Snapshot }

func (snapDaemon) Move(_ context.Context, vip, node string) (string, error) {
	return "move " + vip + " " + node, nil
}
func (snapDaemon) Pin(_ context.Context, vip, node string) (string, error) {
	return "pin " + vip + " " + node, nil
}
func (snapDaemon) Unpin(_ context.Context, vip string) (string, error) { return "unpin " + vip, nil }
func (snapDaemon) Balance(context.Context) (string, error)             { return "balance", nil }
func (snapDaemon) Freeze(context.Context) (string, error)              { return "freeze", nil }
func (snapDaemon) Unfreeze(context.Context) (string, error)            { return "unfreeze", nil }
func (snapDaemon) Forget(_ context.Context, name string) (string, error) {
	return "forget " + name, nil
}

func (d snapDaemon) Snapshot() coordinator.Snapshot               { return d.snap }
func (snapDaemon) Drain(context.Context, string) error            { return nil }
func (snapDaemon) Undrain(context.Context, string) error          { return nil }
func (snapDaemon) Plan(context.Context, []string) ([]byte, error) { return []byte("{}"), nil }
