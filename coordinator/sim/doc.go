// Package sim runs the core of several nodes, package plan as it is, against a model of etcd, of kernels and of a LAN, in fake time and under random faults,
// and holds it against what viplease promises. A schedule is a seed: the same seed gives the same run, and a failing one is printed with the smallest
// schedule that still fails.
package sim
