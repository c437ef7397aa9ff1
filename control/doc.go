// Package control is how people and scripts talk to viplease: the local socket of a running daemon, and the commands of the binary.
//
// # Who answers a command?
//
// The daemon of this host, over HTTP with JSON on a unix socket. When none answers, status, plan and what operators ask for read and write etcd
// themselves (Deps.Direct) and say so on stderr: a cluster must be explainable from a host whose daemon is down. A daemon that is there but
// refuses, or a socket that may not be opened, is an error and not a reason to go round it.
//
// # Who may ask?
//
// Whoever may write to the socket: its mode is 0660, and it never exists with another one. There is no further authentication; the daemon
// logs the user id and process id of everybody who changes something.
//
// # What is on the socket?
//
//	GET  /status                      coordinator.Snapshot
//	GET  /plan?without=n1&without=n2  {"assign", "moves", "unplaced"}
//	POST /drain    {"node": "n1"}     {}     node "" or left out: the daemon's own
//	POST /undrain  {"node": "n1"}     {}
//	POST /move     {"vip": "web", "node": "n1"}   {"said": "one sentence"}, as all that follow
//	POST /pin      {"vip": "web", "node": "n1"}
//	POST /unpin    {"vip": "web"}
//	POST /balance, /freeze, /unfreeze  {}
//	POST /forget   {"name": "n7"}     a node's or a VIP's
//
// plus what main mounts, such as /metrics. An error is {"error": "one sentence"}: 400 for a request that makes no sense, 404 and 405 for one
// that nobody serves, 409 for a refusal, 503 when the daemon ran out of time, 500 otherwise. By hand:
//
//	curl --unix-socket /run/viplease/viplease.sock http://viplease/status
//
// # What do the exit codes mean?
//
// 0: done, and for status that every VIP is held. 1: it did not hold, or it was refused. 2: wrong usage or configuration. Everything that
// cobra itself objects to is usage; an error of a command says its own code with ExitCode() int, and is 1 otherwise.
package control
