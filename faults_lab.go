//go:build lab

package main

import (
	"os"
	"os/signal"
	"syscall"

	"viplease/coordinator"
)

// In builds for the lab alone, SIGUSR1 hangs the coordinator's loop for ever and SIGUSR2 makes it panic: two faults that nothing outside can inject.
func injectFaults(c *coordinator.Coordinator) {
	faults := make(chan os.Signal, 2)
	signal.Notify(faults, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		if <-faults == syscall.SIGUSR2 {
			c.Do(func() { panic("SIGUSR2") })
		}
		c.Do(func() { select {} })
	}()
}
