// The etcd server that the tests and the demo run, built from its own Go module. It stands in a module apart, so that the product's
// go.mod stays small; etcdctl is a tool of the same module.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
