package config

import _ "embed"

//go:embed sample.toml
var sample string

// Sample returns a configuration file with every key that this version
// carries out, its default and what it is for. It needs the endpoints of etcd
// and a VIP to be complete.
func Sample() string { return sample }
