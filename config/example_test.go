package config_test

import (
	"fmt"

	"viplease/config"
)

func ExampleParse() {
	_, err := config.Parse("viplease.toml", []byte(`
group = "www"

[lease]
hold = "2s"

[[vip]]
adresses = ["192.0.2.10"]
`), config.Env{Hostname: "node-1"})
	fmt.Println(err)
	// Output:
	// viplease.toml: etcd.endpoints: is missing; write endpoints = ["http://192.0.2.1:2379"] with the members of etcd
	// viplease.toml:5: lease.hold: "2s" is under 3s; write at least "3s"
	// viplease.toml:7: vip.addresses: is missing; write addresses = ["192.0.2.10"]
	// viplease.toml:8: vip.adresses: unknown key; did you mean addresses?
}

func ExampleConfig_Resolve() {
	c, err := config.Parse("viplease.toml", []byte(`
group = "www"
etcd.endpoints = ["http://192.0.2.1:2379"]
[[pool]]
addresses = ["192.0.2.10-192.0.2.11 dev net1"]
`), config.Env{Hostname: "node-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	vips, problems := c.Resolve([]config.Link{{Name: "eth0", Altnames: []string{"net1"}}})
	for _, vip := range vips {
		fmt.Println(vip.Name, "on", vip.Addresses[0].Dev)
	}
	fmt.Println(problems)
	// Output:
	// 192.0.2.10 on eth0
	// 192.0.2.11 on eth0
	// []
}
