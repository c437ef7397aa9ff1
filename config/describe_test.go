package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	var b strings.Builder
	parse(t, readTestdata(t, "design.toml")).Describe(&b)
	want := `viplease.toml is right
group      www; this node is proxy-001, ready 5s after it joined
etcd       3 endpoints with TLS, keys under /viplease/www/
vips       21 VIPs with 22 addresses (21 IPv4, 1 IPv6), 1 with preferred nodes
lease      ttl 3s, hold 3s, a check every 300ms with a timeout of 300ms
takeover   a dead host is replaced after 350ms, where a witness answers: 4 questions, 50ms apart, and a grace of 150ms
           otherwise after ttl + 0..500ms + W = 7.6s to 8.1s
           W = (timeout + hold + 1.25s) x 1.002 + 50ms = 4.61s
balance    all moves at once, a round every 4s; preferred nodes get their VIPs back
checks     nginx: http://127.0.0.1:80/healthz every 1s within 1s; fails after 2, passes after 2; for 1 VIP
hooks      acquired: /etc/viplease/hooks/acquired; released: /etc/viplease/hooks/released; killed after 10s
announce   again every 1m; neighbours are looked for every 1m30s and told directly
           192.168.3.1 on net1 is told directly
control    /run/viplease/viplease.sock
metrics    127.0.0.1:9846 and the control socket
log        text
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestDescribeOthers(t *testing.T) {
	tests := map[string]struct{ doc, want string }{
		"one endpoint":  {minimal, "etcd       1 endpoint without TLS, keys under /viplease/www/\n"},
		"one vip":       {minimal, "vips       1 VIP with 1 address (1 IPv4, 0 IPv6)\n"},
		"no balance":    {minimal + "balance = {moves_per_round = 0, failback = \"never\"}", "balance    no VIP moves for balance; no VIP goes back to a preferred node\n"},
		"some balance":  {minimal + "balance.moves_per_round = 1", "balance    at most 1 move every 4s; preferred nodes get their VIPs back\n"},
		"log":           {minimal + "log = {format = \"json\", level = \"debug\"}", "log        JSON, with every step\n"},
		"quiet log":     {minimal + "log.level = \"warn\"", "log        text, of what goes wrong alone\n"},
		"weight":        {minimal + "weight = 2", " with weight 2, ready 5s"},
		"strict":        {minimal + "takeover.fast = false\nmature = \"1s\"", "warning: mature 1s is shorter than W 4.61s: after a start of all nodes the VIPs still take W to come up\n"},
		"slow takeover": {minimal + "takeover = {misses = 100}", "warning: fast takeover needs 5.15s of silence, no less than W; shorten probe_interval, misses or grace\n"},
		"a long prefix": {minimal + "pool = [{addresses = [\"192.0.2.9/24\"]}]", "warning: 1 address is not /32 or /128 (192.0.2.9/24 is the first): the kernel adds a route to the subnet with each and removes it with each; leave the length out\n"},
		"long prefixes": {minimal + "pool = [{addresses = [\"192.0.2.9-192.0.2.10/24\"]}]", "warning: 2 addresses are not /32 or /128 (192.0.2.9/24 is the first): the kernel adds a route to the subnet with each and removes it with each; leave the length out\n"},
		"much IPv6":     {minimal + "pool = [{addresses = [\"2001:db8::1-2001:db8::12d\"]}]", "warning: 301 VIPs have IPv6 addresses; over 300, try a failover of all of them: each joins one more multicast group of its interface\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			c := parse(t, test.doc)
			c.Describe(&b)
			if !strings.Contains(b.String(), test.want) {
				t.Errorf("got\n%s\nwithout\n%s", b.String(), test.want)
			}
			if strings.HasPrefix(test.want, "warning") != (len(c.Warnings()) == 1) {
				t.Errorf("warnings %q", c.Warnings())
			}
		})
	}
	quiet := parse(t, minimal+"pool = [{addresses = [\"2001:db8::1-2001:db8::12c\"]}]")
	if w := quiet.Warnings(); len(w) != 0 {
		t.Errorf("300 IPv6 VIPs: %q", w)
	}
}

// TestPasswordWarning: and the password itself is nowhere in the summary.
func TestPasswordWarning(t *testing.T) {
	c := parse(t, minimal)
	c.Etcd.Username, c.Etcd.Password = "viplease", "hunter2"
	var b strings.Builder
	c.Describe(&b)
	const want = "warning: the password of etcd user viplease crosses the network in clear text; write https endpoints\n"
	if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "hunter2") {
		t.Error(b.String())
	}
	c.Etcd.Endpoints = []string{"https://192.0.2.1:2379"}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("%q", w)
	}
	if !strings.Contains(fmt.Sprint(c.Etcd.describe()), "user viplease") {
		t.Error(c.Etcd.describe())
	}
}
