package importer_test

import (
	"fmt"

	"viplease/importer"
)

func ExampleWackamole() {
	r, err := importer.Wackamole("wackamole.conf", []byte(`
Group = www
Mature = 1h
VirtualInterfaces { { eth0:192.0.2.10/32 } { eth0:192.0.2.11/32 } }
`), importer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(r.TOML)
	fmt.Println(r.Notes[len(r.Notes)-1])
	// Output:
	// # Imported from "wackamole.conf", a configuration of Wackamole.
	// # The same file on every node. Try it with "viplease check -c FILE".
	//
	// group = "www"
	// mature = "1s"
	//
	// [etcd]
	// # TO DO: the members of your etcd, such as ["https://10.0.0.1:2379", "https://10.0.0.2:2379"].
	// endpoints = ["http://127.0.0.1:2379"]
	//
	// [[pool]]
	// name = "www"
	// addresses = ["192.0.2.10-192.0.2.11 dev eth0"]
	// wackamole.conf:3: Mature: is now how long any node must be healthy before it is given VIPs; Wackamole gave a node VIPs at once if there was a mature one
}

func ExampleWackamole_mistakes() {
	_, err := importer.Wackamole("wackamole.conf", []byte(`
Spread=4803
Mature = 5
VIPS { eth0:192.0.2.10 }
`), importer.Options{})
	fmt.Println(err)
	// Output:
	// wackamole.conf:2: Spread: "Spread=4803" is one word to Wackamole; write blanks around "=": Spread = 4803
	// wackamole.conf:3: Mature: "5" has no unit, which Wackamole refused; write 5s
	// wackamole.conf:4: VirtualInterfaces: "eth0:192.0.2.10" has no prefix length, without which Wackamole refused it; write eth0:192.0.2.10/32
}
