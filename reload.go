package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"viplease/config"
)

// A reload and an upgrade are one thing: the process replaces itself by what stands at its path now, with the configuration that stands at its path now.
// The process id, the lease, the claims and the addresses stay; the new program adopts them as it would after a crash.

// checkWithin is how long the new program may take to say whether it accepts the configuration.
const checkWithin = 10 * time.Second

// reloads waits for SIGHUP until ctx ends, and calls handoff when what would be started next is right. Otherwise the daemon carries on as it is.
func reloads(ctx context.Context, hup <-chan os.Signal, running config.Config, handoff func(), log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		switch err := reloadable(ctx, running); {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("reload refused; carrying on with the old configuration", "err", err)
		default:
			handoff()
		}
	}
}

// reloadable tells what stands in the way of a reload: a new configuration that is wrong or for somebody else, or a new program that does not run.
func reloadable(ctx context.Context, running config.Config) error {
	next, err := config.Load(running.Path)
	if err != nil {
		return err
	}
	for _, fixed := range []struct{ what, was, is string }{
		{"group", running.Group, next.Group}, {"node", running.Node, next.Node}, {"etcd.prefix", running.Etcd.Prefix, next.Etcd.Prefix},
		{"control.socket", running.Control.Socket, next.Control.Socket},
	} {
		if fixed.was != fixed.is {
			return fmt.Errorf("%s cannot change from %q to %q by a reload: stop the daemon, change it and start it again", fixed.what, fixed.was, fixed.is)
		}
	}
	self, err := program()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, self, "check", "-c", running.Path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s check: %w: %s", self, err, bytes.TrimSpace(out))
	}
	return nil
}

// program is the path that this program was started by. After an upgrade another one stands there; /proc/self/exe would name the old one.
func program() (string, error) {
	self, err := exec.LookPath(os.Args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return self, nil
}

// reexec becomes the program at this program's path. It returns only when that fails. What this process was told meanwhile, to leave (ctx has ended) or to
// reload again, the next one is told.
func reexec(ctx context.Context, hup <-chan os.Signal) error {
	self, err := program()
	if err != nil {
		return err
	}
	_, _ = daemon.SdNotify(false, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic().Microseconds()))
	// Until the next program asks for SIGHUP it must not end it: Go keeps a signal ignored that was ignored when it started. None is lost in effect, for the
	// next program asks first and then reads the configuration. A SIGTERM in the few milliseconds before its main function does end it, as a crash would.
	signal.Ignore(syscall.SIGHUP)
	env := os.Environ()
	switch {
	case ctx.Err() != nil:
		env = append(env, toldEnv+"="+toldToLeave)
	case len(hup) > 0:
		env = append(env, toldEnv+"="+toldToReload)
	}
	return fmt.Errorf("re-execute %s: %w", self, syscall.Exec(self, os.Args, env))
}

// What a process was told while it was being replaced stands in the environment of the next.
const (
	toldEnv      = "VIPLEASE_TOLD"
	toldToLeave  = "leave"
	toldToReload = "reload"
)

// told does what the process before this one was told.
func told(leave func(), hup chan<- os.Signal) {
	switch os.Getenv(toldEnv) {
	case toldToLeave:
		leave()
	case toldToReload:
		hup <- syscall.SIGHUP
	}
	os.Unsetenv(toldEnv)
}

// monotonic is the clock that systemd wants the beginning of a reload by.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
