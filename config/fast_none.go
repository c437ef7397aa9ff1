//go:build !lab

package config

// FastBuilt tells whether this version carries fast takeover out.
const FastBuilt = false
