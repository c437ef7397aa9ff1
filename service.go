package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"viplease/coordinator"
)

// serviceEvery is how often systemd is told how the daemon is, unless its watchdog wants it sooner.
const serviceEvery = time.Second

// reportToSystemd says READY=1 once the node is registered and knows the claims, keeps STATUS= current, and feeds the watchdog: only as long as the
// coordinator's loop answers. It does nothing when systemd did not start this process, and returns when ctx ends.
func reportToSystemd(ctx context.Context, snapshot func() coordinator.Snapshot, log *slog.Logger) {
	every := serviceEvery
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		every = min(every, limit/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ready, told := false, ""
	for {
		s := snapshot()
		state := ""
		if s.Self.Answers {
			state = daemon.SdNotifyWatchdog
		}
		if !ready && s.Self.Registered && s.Revision > 0 {
			ready = true
			state += "\n" + daemon.SdNotifyReady
		}
		if text := serviceStatus(s); text != told {
			told = text
			state += "\nSTATUS=" + text
		}
		if state != "" {
			if supported, err := daemon.SdNotify(false, state); err != nil {
				log.Warn("cannot notify systemd", "err", err)
			} else if !supported {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
			return
		}
	}
}

// serviceStatus is one line for `systemctl status`.
func serviceStatus(s coordinator.Snapshot) string {
	held := 0
	for _, v := range s.VIPs {
		if v.Node == s.Node {
			held++
		}
	}
	switch {
	case s.Self.Trouble != "":
		return s.Self.Trouble
	case !s.Etcd.Reachable:
		return fmt.Sprintf("etcd does not answer; %d of %d VIPs here", held, len(s.VIPs))
	}
	return fmt.Sprintf("%d of %d VIPs here", held, len(s.VIPs))
}
