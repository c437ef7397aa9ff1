// Package config turns the TOML file of viplease into checked values.
//
// # What a configuration is
//
// One file, the same on every node, /etc/viplease/viplease.toml by default.
// sample.toml in this folder (and [Sample]) shows every key with its default
// and says what it is for; the manual is made from it ([Reference]).
// A [Config] that [Load] or [Parse] returned without an error is right in
// itself: every address is valid and stands in it once, every timer obeys the
// relations that the protocol needs, every file that it names could be read.
//
// # What happens to a mistake
//
// Nothing is guessed and nothing is corrected silently. Keys are case
// sensitive, unknown ones are refused, and all mistakes of a file are told at
// once, in the order of its lines, each with what to write instead:
//
//	viplease.toml:12: lease.hold: "2s" is under 3s; write at least "3s"
//	viplease.toml:31: vip.adresses: unknown key; did you mean addresses?
//
// Such a list is a [Problems]. What is right but unwise is in
// [Config.Warnings].
//
// # How long is a takeover
//
// [Lease.Wait] is W, the time that a node waits before it takes a VIP whose
// owner is gone; [Config.Describe] prints it. The other timers are plain
// values.
//
// # Which interface
//
// An address without "dev" belongs on the interface whose own subnet holds
// it. That depends on the host and on the moment, so it is asked separately
// and again whenever the links change: [Config.Resolve].
//
// # What it touches
//
// Load reads the file and asks for the host name. Parse reads only the files
// that the etcd section names. Everything else is pure. All values may be
// read by many goroutines at once; none changes after it was returned.
package config
