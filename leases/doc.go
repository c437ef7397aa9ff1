// Package leases talks to etcd.
package leases
