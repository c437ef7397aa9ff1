//go:build lab

package config

// FastBuilt is true in the lab's own builds: fast takeover is there to be tested, and not released.
const FastBuilt = true
