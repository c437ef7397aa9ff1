// viplease keeps a pool of virtual IP addresses up on a LAN cluster: every VIP on exactly one node, the load even, any node free to die at any moment.
// etcd, which the users run already, holds who has what. README.md is for operators, ARCHITECTURE.md for readers of the code.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"viplease/control"
	"viplease/coordinator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := control.Execute(ctx, control.Commands(control.Deps{
		Version:  version,
		Run:      run,
		Check:    check,
		Release:  release,
		Socket:   socket,
		Direct:   direct,
		Import:   importFile,
		PlanFile: coordinator.PlanState,
	}))
	stop()
	os.Exit(code)
}

// number is the release that a package was made of; see scripts/build. Where it is empty the build info knows.
var number string

// releaseNumber is the version without the details: "1.2.3", a pseudo-version of the commit, or "devel" when nothing is known.
func releaseNumber() string {
	if number != "" {
		return number
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "devel"
}

// version is what `viplease version` prints: the release, the commit where it is known, and what built it.
func version() string {
	details := []string{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		commit, modified := "", ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = ", modified"
			}
		}
		if commit != "" {
			details = append([]string{"commit " + commit + modified}, details...)
		}
	}
	return releaseNumber() + " (" + strings.Join(details, ", ") + ")"
}
