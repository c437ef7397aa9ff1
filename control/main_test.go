package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"viplease/coordinator"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"viplease": viplease})
}

// leakChecked fails the tests that leave a goroutine behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// viplease is the program with all but this package replaced. The scripts say with VIPLEASE_TEST_NOW what time it is, with VIPLEASE_TEST_ETCD
// which snapshot etcd holds, and with VIPLEASE_TEST_STALL how long a daemon may take.
func viplease() {
	deps := Deps{
		Version:  func() string { return "v1.2.3 (linux/amd64)" },
		Run:      fakeRun,
		Check:    fakeCheck,
		Release:  fakeRelease,
		Import:   fakeImport,
		Socket:   fakeSocket,
		Direct:   fakeDirect,
		PlanFile: fakePlanFile,
		now:      time.Now,
		pace:     pace{watch: 20 * time.Millisecond, wait: 20 * time.Millisecond},
	}
	if at, err := time.Parse(time.RFC3339, os.Getenv("VIPLEASE_TEST_NOW")); err == nil {
		deps.now = func() time.Time { return at }
	}
	deps.stall, _ = time.ParseDuration(os.Getenv("VIPLEASE_TEST_STALL"))
	os.Exit(Execute(context.Background(), Commands(deps)))
}

// configError stands for the one of package config.
type configError string

func (e configError) Error() string { return string(e) }
func (configError) ExitCode() int   { return 2 }

// fakeSocket finds `socket = "..."` in the file.
func fakeSocket(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", configError(err.Error())
	}
	for line := range strings.Lines(string(text)) {
		if quoted, ok := strings.CutPrefix(line, "socket = "); ok {
			return strings.Trim(quoted, "\"\n"), nil
		}
	}
	return "", configError(path + ":1: unknown key \"sokcet\"; write \"socket\"")
}

func fakeRun(_ context.Context, path string) error {
	if _, err := fakeSocket(path); err != nil {
		return err
	}
	return errors.New("listen on viplease.sock: another daemon is there")
}

func fakeCheck(_ context.Context, path string, live bool, out io.Writer) error {
	if _, err := fakeSocket(path); err != nil {
		return err
	}
	fmt.Fprintln(out, "group www: 3 VIPs, a dead host is replaced after about 8 s")
	if live {
		return errors.New("etcd: no endpoint answers\ninterface net1: not there")
	}
	return nil
}

func fakeRelease(_ context.Context, path string, out io.Writer) error {
	if _, err := os.Stat("daemon.pid"); err == nil {
		return Refuse("a daemon runs; stop it first: systemctl stop viplease")
	}
	_, err := fmt.Fprintln(out, "removed 192.168.3.100/32 from net1")
	return err
}

func fakePlanFile(state []byte, _ []string) ([]byte, error) {
	if !json.Valid(state) {
		return nil, configError("state: this is no JSON")
	}
	return []byte(`{"assign":{"a":"n2","b":"n2"},"moves":[{"vip":"a","from":"n1","to":"n2","why":"n1 is not ready","round":1},` +
		`{"vip":"b","from":"","to":"n2","why":"nobody holds it","round":1}],"unplaced":["c"]}`), nil
}

func fakeDirect(context.Context, string) (Daemon, func(), error) {
	path := os.Getenv("VIPLEASE_TEST_ETCD")
	if path == "" {
		return nil, nil, errors.New("etcd: no endpoint of 10.0.0.1:2379, 10.0.0.2:2379 answers")
	}
	return &fakeDaemon{file: path}, func() {}, os.WriteFile("etcd-was-asked", nil, 0o600)
}

func readSnapshot(path string) (coordinator.Snapshot, error) {
	var s coordinator.Snapshot
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

// fakeImport says what it was given.
func fakeImport(path string, toml, notes io.Writer) error {
	if path == "broken.conf" {
		return errors.New("broken.conf:1: not a directive")
	}
	fmt.Fprintln(notes, path+":2: changed")
	_, err := fmt.Fprintln(toml, "group = \"www\"")
	return err
}
