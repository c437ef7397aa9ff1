// Package e2e holds nothing itself. The folders below test viplease from the outside: a LAN of network namespaces (lab), a real etcd,
// real daemons, faults, and an always-on judge.
package e2e
