package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var host = Env{Hostname: "proxy-001"}

// parse wants a configuration that is right.
func parse(t *testing.T, doc string) Config {
	t.Helper()
	c, err := Parse("viplease.toml", []byte(doc), host)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, doc)
	}
	return c
}

// address reads "192.0.2.1/32 dev net1".
func address(s string) Address {
	prefix, dev, _ := strings.Cut(s, " dev ")
	return Address{netip.MustParsePrefix(prefix), dev}
}

// minimal is the least that is a configuration; sections may follow it.
const minimal = `group = "www"
vip = [{addresses = ["192.0.2.1"]}]
etcd.endpoints = ["http://127.0.0.1:2379"]
`

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDesign: what the design shows is read as it means it.
func TestDesign(t *testing.T) {
	c := parse(t, readTestdata(t, "design.toml"))
	vips := c.VIPs
	c.VIPs = nil
	want := Config{
		Path:   "viplease.toml",
		Group:  "www",
		Node:   "proxy-001",
		Mature: 5 * time.Second, Weight: 1, ResetConnections: true,
		Etcd: Etcd{
			Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"},
			Prefix:    "/viplease",
		},
		Lease: Lease{
			TTL: 3 * time.Second, Hold: 3 * time.Second,
			CheckInterval: 300 * time.Millisecond, CheckTimeout: 300 * time.Millisecond,
		},
		Balance:  Balance{MovesPerRound: All, Interval: 4 * time.Second, Failback: true},
		Takeover: Takeover{Fast: true, ProbeInterval: 50 * time.Millisecond, Misses: 4, Grace: 150 * time.Millisecond},
		Announce: Announce{Refresh: time.Minute, ARPCache: 90 * time.Second, Notify: []Notify{{
			Target: Range{netip.MustParseAddr("192.168.3.1"), netip.MustParseAddr("192.168.3.1")}, Dev: "net1", Throttle: 8,
		}}},
		Checks: []Check{{
			Name: "nginx", HTTP: "http://127.0.0.1:80/healthz", Interval: time.Second, Timeout: time.Second, Rise: 2, Fall: 2, VIPs: []string{"web"}, Line: 43,
		}},
		Hooks: Hooks{
			Acquired: []string{"/etc/viplease/hooks/acquired"}, Released: []string{"/etc/viplease/hooks/released"}, Timeout: 10 * time.Second,
		},
		Control: Control{Socket: "/run/viplease/viplease.sock"},
		Metrics: Metrics{Listen: "127.0.0.1:9846"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if len(vips) != 21 {
		t.Fatalf("%d VIPs, want 21", len(vips))
	}
	web := VIP{
		Name:      "web",
		Addresses: []Address{address("192.168.3.100/32 dev net1"), address("2001:db8::100/128 dev net1")},
		Prefer:    []string{"proxy-001"},
		Spread:    "192.168.3.0/24",
		Line:      34,
	}
	if !reflect.DeepEqual(vips[0], web) {
		t.Errorf("got  %+v\nwant %+v", vips[0], web)
	}
	last := VIP{
		Name:      "192.168.3.120",
		Pool:      "dns",
		Addresses: []Address{address("192.168.3.120/32")},
		Spread:    "192.168.3.0/24",
		Line:      41,
	}
	if !reflect.DeepEqual(vips[20], last) {
		t.Errorf("got  %+v\nwant %+v", vips[20], last)
	}
}

// filled is the sample with the two lines that an operator must fill in.
func filled(t *testing.T, s string) string {
	t.Helper()
	for empty, full := range map[string]string{
		"endpoints = []": `endpoints = ["http://192.0.2.1:2379"]`,
		"addresses = []": `addresses = ["192.0.2.100"]`,
	} {
		if strings.Count(s, "\n"+empty+"\n") != 1 {
			t.Fatalf("the sample has not one line %q", empty)
		}
		s = strings.Replace(s, empty, full, 1)
	}
	return s
}

// defaultLine is a line of the sample that shows a default.
var defaultLine = regexp.MustCompile(`(?m)^#([a-z_]+ = .*)$`)

// TestSample: the sample is complete once it is filled in, and the defaults
// that it shows are those that hold without them.
func TestSample(t *testing.T) {
	c := parse(t, filled(t, Sample()))
	all := parse(t, filled(t, defaultLine.ReplaceAllString(Sample(), "$1")))
	if !reflect.DeepEqual(all, c) {
		t.Errorf("the sample says %+v\nthe defaults are %+v", all, c)
	}
	bare := parse(t, "group = \"www\"\n[etcd]\nendpoints = [\"http://192.0.2.1:2379\"]\n[[vip]]\naddresses = [\"192.0.2.100\"]")
	bare.VIPs, c.VIPs = nil, nil
	if !reflect.DeepEqual(bare, c) {
		t.Errorf("an empty file gives %+v\nthe sample %+v", bare, c)
	}
	_, err := Parse("sample.toml", []byte(Sample()), host)
	want := `sample.toml: etcd.endpoints: is missing; write endpoints = ["http://192.0.2.1:2379"] with the members of etcd
sample.toml: pool.addresses: is missing; write addresses = ["192.0.2.10"]`
	if regexp.MustCompile(`(?m)^sample.toml:\d+:`).ReplaceAllString(fmt.Sprint(err), "sample.toml:") != want {
		t.Errorf("the sample as it is:\n%v\nwant\n%s", err, want)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "viplease.toml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if err := os.WriteFile(path, []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	hostname, err := os.Hostname()
	if err != nil || c.Node != hostname || c.Path != path {
		t.Errorf("node %q in %q, host name %q, %v", c.Node, c.Path, hostname, err)
	}
	if err := os.WriteFile(path, []byte("group ="), 0o644); err != nil {
		t.Fatal(err)
	}
	var problems Problems
	var problem Problem
	if _, err = Load(path); !errors.As(err, &problems) || !errors.As(err, &problem) || problem.File != path {
		t.Errorf("a broken file gives %#v", err)
	}
}

// TestSurroundings: what depends on the host and on the size of the file.
func TestSurroundings(t *testing.T) {
	for hostname, want := range map[string]string{
		"":    `f.toml: node: is missing, and the host name "" cannot stand for it; write node = "..."`,
		"a b": `f.toml: node: is missing, and the host name "a b" cannot stand for it; write node = "..."`,
	} {
		if _, err := Parse("f.toml", []byte(minimal), Env{Hostname: hostname}); fmt.Sprint(err) != want {
			t.Errorf("host name %q: %v", hostname, err)
		}
		if _, err := Parse("f.toml", []byte(minimal+`node = "n"`), Env{Hostname: hostname}); err != nil {
			t.Errorf("host name %q, and a node: %v", hostname, err)
		}
	}
	large := minimal + "#" + strings.Repeat(" ", maxFile-len(minimal)-1)
	parse(t, large)
	const want = "f.toml: is larger than 4 MiB; this is no configuration of viplease"
	if _, err := Parse("f.toml", []byte(large+" "), host); fmt.Sprint(err) != want {
		t.Errorf("a large file: %v", err)
	}
}

// TestValues: what may be written in more than one way.
func TestValues(t *testing.T) {
	tests := map[string]struct {
		doc string
		got func(c Config) any
		// want is compared with the got value, both as %+v.
		want string
	}{
		"node":              {`node = "n:1"`, func(c Config) any { return c.Node }, "n:1"},
		"mature zero":       {`mature = "0"`, func(c Config) any { return c.Mature }, "0s"},
		"prefix":            {`etcd.prefix = "a/b//"`, func(c Config) any { return c.Etcd.Prefix }, "/a/b"},
		"endpoint slash":    {`etcd.endpoints = ["http://[::1]:2379/"]`, func(c Config) any { return c.Etcd.Endpoints }, "[http://[::1]:2379]"},
		"socket by group":   {``, func(c Config) any { return c.Control.Socket }, "/run/viplease/www.sock"},
		"timeout follows":   {`lease.check_interval = "100ms"`, func(c Config) any { return c.Lease.CheckTimeout }, "100ms"},
		"timeout given":     {`lease.check_timeout = "500ms"`, func(c Config) any { return c.Lease }, "{TTL:3s Hold:3s CheckInterval:300ms CheckTimeout:500ms}"},
		"long timers":       {`lease = {ttl = "1m", hold = "1h"}`, func(c Config) any { return c.Lease.Wait() }, "1h0m8.8031s"},
		"shortest timers":   {`lease = {ttl = "2s", hold = "3s", check_interval = "50ms"}`, func(c Config) any { return c.Lease }, "{TTL:2s Hold:3s CheckInterval:50ms CheckTimeout:50ms}"},
		"slowest checks":    {`lease.check_interval = "500ms"`, func(c Config) any { return c.Lease.CheckTimeout }, "500ms"},
		"own weight":        {`weight = 7`, func(c Config) any { return c.Weight }, "7"},
		"weights by node":   {"weight = {a = 3, " + host.Hostname + " = 5}", func(c Config) any { return c.Weight }, "5"},
		"weights of others": {`weight = {a = 3}`, func(c Config) any { return c.Weight }, "1"},
		"closest rounds":    {`balance.interval = "1.2s"`, func(c Config) any { return c.Balance.Interval }, "1.2s"},
		"no moves":          {`balance.moves_per_round = 0`, func(c Config) any { return c.Balance.MovesPerRound }, "0"},
		"some moves":        {`balance.moves_per_round = 7`, func(c Config) any { return c.Balance.MovesPerRound }, "7"},
		"no failback":       {`balance.failback = "never"`, func(c Config) any { return c.Balance.Failback }, "false"},
		"strict":            {`takeover.fast = false`, func(c Config) any { return c.Takeover.Fast }, "false"},
		"suspicion":         {``, func(c Config) any { return c.Takeover.Suspicion() }, "350ms"},
		"witnesses":         {`takeover.witnesses = ["192.0.2.9/32", "fe80::1 dev net1"]`, func(c Config) any { return c.Takeover.Witnesses }, "[{Addr:192.0.2.9 Dev:} {Addr:fe80::1 Dev:net1}]"},
		"empty counts not":  {`etcd.username = ""`, func(c Config) any { return c.Etcd.Username }, ""},
		"a list of nothing": {`takeover.witnesses = []`, func(c Config) any { return len(c.Takeover.Witnesses) }, "0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			doc := minimal
			if strings.Contains(test.doc, "endpoints") {
				doc = strings.ReplaceAll(doc, "etcd.endpoints", "#")
			}
			if got := fmt.Sprintf("%+v", test.got(parse(t, doc+test.doc))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
