//go:build !lab

package main

import "viplease/coordinator"

// injectFaults does nothing: see faults_lab.go.
func injectFaults(*coordinator.Coordinator) {}
