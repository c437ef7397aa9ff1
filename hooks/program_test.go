package hooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEnvironment(t *testing.T) {
	env, err := exec.LookPath("env")
	if err != nil {
		t.Skip("no program env here")
	}
	t.Setenv("PATH", "/bin:/usr/bin")
	t.Setenv("SECRET", "of the daemon")
	b := newBench(t, "", func(c *Config) { c.Fault = []string{env} }).start(t)
	b.Fire(Event{
		Kind:      Fault,
		VIP:       "web",
		Addresses: []string{"192.0.2.1/32 dev net1", "2001:db8::1/128 dev net2"},
		OldNode:   "n2",
		NewNode:   "n3",
		Why:       "etcd is away; $(reboot)\n\"now\"",
	})
	want := `VIPLEASE_EVENT=fault
VIPLEASE_VIP=web
VIPLEASE_ADDRESSES=192.0.2.1/32 2001:db8::1/128
VIPLEASE_INTERFACES=net1 net2
VIPLEASE_OLD_NODE=n2
VIPLEASE_NEW_NODE=n3
VIPLEASE_NODE=n1
VIPLEASE_WHY=etcd is away; $(reboot)
"now"
PATH=/bin:/usr/bin
`
	if got := b.log.next(t, "hook done")["output"]; got != want {
		t.Errorf("the environment is\n%v\nwant\n%v", got, want)
	}
	t.Setenv("PATH", "")
	b.Fire(Event{Kind: Fault})
	if got := b.log.next(t, "hook done")["output"].(string); !strings.Contains(got, "\nPATH=/usr/local/sbin:") {
		t.Errorf("without a PATH of the daemon, the environment is\n%v", got)
	}
}

func TestArguments(t *testing.T) {
	arguments := []string{"", "a b", "$HOME; true", "*", "-n"}
	b := newBench(t, `pwd; cat; for a in "$@"; do echo "<$a>"; done`, func(c *Config) {
		c.Released = append(c.Released[:1:1], arguments...)
	}).start(t)
	b.Fire(Event{Kind: Released})
	if got, want := b.log.next(t, "hook done")["output"], "/\n<>\n<a b>\n<$HOME; true>\n<*>\n<-n>\n"; got != want {
		t.Errorf("the program got %q, want %q", got, want)
	}
}

func TestKindsHaveTheirOwnPrograms(t *testing.T) {
	b := newBench(t, `echo "$VIPLEASE_EVENT"`, func(c *Config) { c.Released = nil }).start(t)
	for _, k := range []Kind{Acquired, Released, Fault} {
		b.Fire(Event{Kind: k})
	}
	b.settle(t)
	for _, want := range []string{"acquired\n", "fault\n"} {
		if got := b.log.next(t, "hook done")["output"]; got != want {
			t.Errorf("a program said %q, want %q", got, want)
		}
	}
	b.log.silent(t)
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct{ text, err string }{
		"exit status": {"exit 3", "exit status 3"},
		"signal":      {"kill -TERM $$", "signal: terminated"},
		"vanished":    {`rm "$0"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "echo before; "+c.text, nil).start(t)
			b.Fire(event("1"))
			message := "hook failed"
			if c.err == "" {
				message = "hook done"
			}
			m := b.log.next(t, message)
			if got, _ := m["err"].(string); got != c.err || m["output"] != "before\n" || m["vip"] != "web" || m["hook"] != "acquired" {
				t.Errorf("the log says %v, want err %q", m, c.err)
			}
			b.Fire(event("2")) // what went wrong is not in the way of the next
			if name == "vanished" {
				m := b.log.next(t, "hook failed")
				if got := m["err"].(string); got != b.config.Acquired[0]+" does not exist" {
					t.Errorf("error %q", got)
				}
				return
			}
			b.log.next(t, "hook failed")
		})
	}
}

func TestNotStarted(t *testing.T) {
	for name, c := range map[string]struct{ text, hint string }{
		"no first line":  {"echo hello\n", "begin with a line such as #!/bin/sh"},
		"no interpreter": {"#!/no/such/shell\n", "interpreter"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "", nil)
			if err := os.WriteFile(filepath.Join(b.dir, "hook"), []byte(c.text), 0o755); err != nil {
				t.Fatal(err)
			}
			b.start(t).Fire(event("1"))
			if err := b.log.next(t, "hook failed")["err"].(string); !strings.Contains(err, c.hint) {
				t.Errorf("error %q does not mention %q", err, c.hint)
			}
		})
	}
}

func TestHanging(t *testing.T) {
	b := newBench(t, `trap "" TERM INT HUP
(trap "" TERM; while :; do sleep 1000; done) & echo $! >> $1/pids
echo $$ >> $1/pids
echo so far
while :; do sleep 1000; done`, func(c *Config) { c.Timeout = time.Second }).start(t)
	began := time.Now()
	b.Fire(event("1"))
	m := b.log.next(t, "hook failed")
	took := time.Since(began)
	if m["err"] != "killed after 1s" || m["output"] != "so far\n" {
		t.Errorf("the log says %v", m)
	}
	if took < time.Second || took > patience/2 {
		t.Errorf("killed after %v, want 1 s", took)
	}
	b.gone(t, "pids", 2)
	b.log.silent(t)
}

func TestForking(t *testing.T) {
	b := newBench(t, `for i in 1 2 3 4 5 6 7 8; do sleep 1000 & echo $! >> $1/pids; done`, nil).start(t)
	began := time.Now()
	b.Fire(event("1"))
	b.log.next(t, "hook left processes behind, they were killed")
	b.log.next(t, "hook done")
	if took := time.Since(began); took > patience/2 {
		t.Errorf("took %v: it waited for what the program left", took)
	}
	b.gone(t, "pids", 8)
}

// A process with a session of its own is let go, and cannot hold anything up by keeping the pipe open.
func TestEscaping(t *testing.T) {
	setsid, err := exec.LookPath("setsid")
	if err != nil {
		t.Skip("no program setsid here")
	}
	b := newBench(t, setsid+` sh -c 'echo $$ > $0/pids; exec yes' $1 & until [ -s $1/pids ]; do sleep 0.01; done`, nil).start(t)
	began := time.Now()
	b.Fire(event("1"))
	if m := b.log.next(t, "hook done"); len(m["output"].(string)) != outputBytes {
		t.Errorf("%d bytes are logged, want %d", len(m["output"].(string)), outputBytes)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("took %v: it waited for what the program left", took)
	}
	b.gone(t, "pids", 1) // of the closed pipe
}

func TestFlooding(t *testing.T) {
	const flood = 3_000_000
	b := newBench(t, `head -c 3000000 /dev/zero | tr '\0' x >&2 && exit 7`, nil).start(t)
	b.Fire(event("1"))
	m := b.log.next(t, "hook failed")
	if m["err"] != "exit status 7" || m["output"] != strings.Repeat("x", outputBytes) || m["dropped_bytes"] != float64(flood-outputBytes) {
		t.Errorf("err %v, %d bytes of output, %v dropped", m["err"], len(m["output"].(string)), m["dropped_bytes"])
	}
}

func TestFloodingForEver(t *testing.T) {
	b := newBench(t, `echo $$ > $1/pids; exec yes`, func(c *Config) { c.Timeout = time.Second }).start(t)
	b.Fire(event("1"))
	m := b.log.next(t, "hook failed")
	if m["err"] != "killed after 1s" || len(m["output"].(string)) != outputBytes {
		t.Errorf("err %v, %d bytes of output", m["err"], len(m["output"].(string)))
	}
	b.gone(t, "pids", 1)
}

func TestBytesThatAreNoText(t *testing.T) {
	b := newBench(t, `printf 'a\377b'`, nil).start(t)
	b.Fire(event("1"))
	if got := b.log.next(t, "hook done")["output"]; got != "a\uFFFDb" {
		t.Errorf("output %q", got)
	}
}
