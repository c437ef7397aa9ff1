// Package manual writes the pages about viplease that say what the program says itself: viplease(1) from the command tree, viplease.toml(5) and
// docs/configuration.md from the reference of the configuration. Nothing in them is written twice, so nothing can go stale; a test of the main package
// compares the files with what this package writes now.
//
// All functions are pure. The same input gives the same bytes: no date, no version.
package manual
