// The etcd server of release 3.6, for the scenario that runs viplease against each release; see the module above.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
