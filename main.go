// viplease keeps a pool of virtual IP addresses up on a LAN cluster: every VIP on exactly one node, the load even, any node free to die at any moment.
// etcd, which the users run already, holds who has what. README.md is for operators, ARCHITECTURE.md for readers of the code.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
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

// release number, set when a release is built.
var number = "devel"

// version is what `viplease version` prints: the release and, when it was built from a repository, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return number
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return fmt.Sprintf("%s (%s, %s)", number, s.Value[:12], info.GoVersion)
		}
	}
	return fmt.Sprintf("%s (%s)", number, info.GoVersion)
}
