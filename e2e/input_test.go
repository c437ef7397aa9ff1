package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// What an operator gets wrong. Each mistake gets one clear line, and no address is touched that may not be.

// sound is a configuration without a mistake; each case of TestMistakes changes it.
const sound = `group = "www"
node = "node1"
mature = "1s"

[etcd]
endpoints = ["http://10.9.0.11:2379"]

[lease]
ttl = "3s"
hold = "3s"
check_interval = "300ms"

[balance]
interval = "4s"

[[vip]]
name = "web"
addresses = ["192.168.3.100", "fd00:3::100"]

[[pool]]
name = "dns"
addresses = ["192.168.3.101-192.168.3.104"]
`

// mistakes are one change each: from a line of sound to others. The complaint is about the line that holds at, or about the whole file.
var mistakes = []struct {
	what, line, becomes string
	at                  string
	key                 string
	says                []string // the message's essentials: what is wrong and what to write
}{
	{"unknown key", `mature = "1s"`, `matuer = "1s"`, "matuer", "matuer", []string{"unknown key", "did you mean mature?"}},
	{"key of another section", `mature = "1s"`, `hold = "3s"`, `hold = "3s"`, "hold", []string{"did you mean lease.hold?"}},
	{"no quotes", `ttl = "3s"`, `ttl = 3s`, "ttl = 3s", "", []string{`text needs quotes: ttl = "3s"`}},
	{"bad address", `addresses = ["192.168.3.100", "fd00:3::100"]`, `addresses = ["192.168.3.300"]`, "192.168.3.300", "vip.addresses", []string{"not an IP address", "write one such as"}},
	{"duplicate address", `addresses = ["192.168.3.100", "fd00:3::100"]`, `addresses = ["192.168.3.100", "fd00:3::100", "192.168.3.100"]`, "fd00:3::100", "vip.addresses",
		[]string{`"192.168.3.100" is already at line`, "write each address once"}},
	{"duplicate address inside a range", `addresses = ["192.168.3.100", "fd00:3::100"]`, `addresses = ["192.168.3.102"]`, "101-192.168.3.104", "pool.addresses",
		[]string{`"192.168.3.102" is already at line`, "write each address once"}},
	{"overlapping ranges", `addresses = ["192.168.3.101-192.168.3.104"]`, `addresses = ["192.168.3.101-192.168.3.104", "192.168.3.103-192.168.3.110"]`, "3.103-", "pool.addresses",
		[]string{`"192.168.3.103" and 1 more are already at line`, "write each address once"}},
	{"range backwards", `addresses = ["192.168.3.101-192.168.3.104"]`, `addresses = ["192.168.3.104-192.168.3.101"]`, "3.104-", "pool.addresses",
		[]string{"ends before it begins", `write "192.168.3.101-192.168.3.104"`}},
	{"network's own address", `addresses = ["192.168.3.100", "fd00:3::100"]`, `addresses = ["192.168.3.0/24"]`, "3.0/24", "vip.addresses", []string{"write the address of a host"}},
	{"missing endpoints", `endpoints = ["http://10.9.0.11:2379"]`, ``, "[etcd]", "etcd.endpoints", []string{"is missing", `write endpoints = ["http`}},
	{"endpoint without a port", `endpoints = ["http://10.9.0.11:2379"]`, `endpoints = ["http://10.9.0.11"]`, "endpoints", "etcd.endpoints", []string{"has no port", `write "http://10.9.0.11:2379"`}},
	{"CA that is no certificate", `endpoints = ["http://10.9.0.11:2379"]`, "endpoints = [\"https://10.9.0.11:2379\"]\nca_file = \"/etc/hostname\"", "ca_file", "etcd.ca_file",
		[]string{"holds no certificate", "write a file in PEM format"}},
	{"CA that is not there", `endpoints = ["http://10.9.0.11:2379"]`, "endpoints = [\"https://10.9.0.11:2379\"]\nca_file = \"/etc/viplease/ca.pem\"", "ca_file", "etcd.ca_file",
		[]string{"cannot be read", "write the path of a file"}},
	{"password file that is not there", `[lease]`, "username = \"viplease\"\npassword_file = \"/etc/viplease/password\"\n[lease]", "password_file", "etcd.password_file",
		[]string{"cannot be read", "write the path of a file"}},
	{"password file that others may read", `[lease]`, "username = \"viplease\"\npassword_file = \"/etc/viplease/open\"\n[lease]", "password_file", "etcd.password_file",
		[]string{"open to others", "chmod 600 /etc/viplease/open"}},
	{"TTL under etcd's floor", `ttl = "3s"`, `ttl = "1s"`, "ttl", "lease.ttl", []string{`"1s" is under 2s`, `write at least "2s"`}},
	{"hold too short", `hold = "3s"`, `hold = "2s"`, "hold", "lease.hold", []string{`"2s" is under 3s`, `write at least "3s"`}},
	{"checks too far apart", `check_interval = "300ms"`, `check_interval = "600ms"`, "check_interval", "lease.check_interval", []string{"is over 500ms", `write at most "500ms"`}},
	{"timeout under the interval", `check_interval = "300ms"`, "check_interval = \"300ms\"\ncheck_timeout = \"200ms\"", "check_timeout", "lease.check_timeout",
		[]string{"is under check_interval", `write at least "300ms"`}},
	{"rounds too close", `interval = "4s"`, `interval = "1s"`, "\ninterval", "balance.interval", []string{"is under 2 x (check_timeout", `write at least "1.2s"`}},
	{"no VIP", "[[vip]]\nname = \"web\"\naddresses = [\"192.168.3.100\", \"fd00:3::100\"]\n\n[[pool]]\nname = \"dns\"\naddresses = [\"192.168.3.101-192.168.3.104\"]\n", "", "", "vip",
		[]string{"there is no VIP", "add a [[vip]] or a [[pool]]"}},
}

// status is the exit status of a command that was run to its end; -1 when it was killed.
func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// TestMistakes: `run` and `check` end with status 2 and one line that names the place and what to write, and the addresses of a daemon that was there
// before stay as they are.
func TestMistakes(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 1, Idle: true})
	n := c.Nodes[0]
	if err := os.WriteFile(n.Path("/etc/viplease/open"), []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := n.Run(n.Binary, "check", "-c", written(n, sound)); err != nil {
		t.Fatalf("the configuration without a mistake: %v\n%s", err, out)
	}
	added(t, n, host(addr("192.168.3.100")), host(addr("fd00:3::100")))
	before := n.Addresses()
	for _, m := range mistakes {
		t.Run(m.what, func(t *testing.T) {
			if !strings.Contains(sound, m.line) {
				t.Fatalf("%q is not in the configuration", m.line)
			}
			toml := strings.Replace(sound, m.line, m.becomes, 1)
			place := lab.ConfigPath + ": "
			if m.at != "" {
				at := strings.Index(toml, m.at)
				place = fmt.Sprintf("%s:%d: ", lab.ConfigPath, 1+strings.Count(toml[:at+strings.Count(m.at[:1], "\n")], "\n"))
			}
			if m.key != "" {
				place += m.key + ": "
			}
			for _, command := range []string{"run", "check"} {
				_, err := n.Run(n.Binary, command, "-c", written(n, toml))
				if status(err) != 2 {
					t.Errorf("%s ended with status %d, not 2: %v", command, status(err), err)
					continue
				}
				_, said, _ := strings.Cut(err.Error(), "exit status 2: ")
				if strings.Count(said, "\n") > 0 || !strings.Contains(said, place) {
					t.Errorf("%s does not say in one line what is wrong at %q:\n%s", command, place, said)
				}
				for _, s := range m.says {
					if !strings.Contains(said, s) {
						t.Errorf("%s does not say %q:\n%s", command, s, said)
					}
				}
			}
		})
	}
	if now := n.Addresses(); !slices.Equal(now, before) {
		t.Errorf("the addresses were %v and are %v", before, now)
	}
}

// written writes the configuration and returns its path.
func written(n *lab.Node, toml string) string {
	n.WriteConfig(toml)
	return lab.ConfigPath
}

// troubled waits until the daemon's status says all the words of what is wrong, and holds that it still runs, that `status` ends with 1, and that none of
// the VIPs is up.
func troubled(t *testing.T, c *cluster.Cluster, n *lab.Node, words ...string) {
	t.Helper()
	said := ""
	deadline := time.Now().Add(patience)
	for {
		s, err := c.Status(n)
		said = s.Etcd.Trouble + "; " + s.Self.Trouble
		if err == nil && s.Source == "daemon" && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(said, w) }) {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("the status of %s does not say %q: %s, %v", n.Name, words, said, err)
			break
		}
		observe(50 * time.Millisecond)
	}
	t.Logf("status of %s: %s", n.Name, said)
	if !n.Running() {
		t.Fatalf("the daemon has ended:\n%s", n.Logs())
	}
	if _, err := n.Viplease("status"); status(err) != 1 {
		t.Errorf("status ended with %d, not 1: %v", status(err), err)
	}
	if up := of(c, n); len(up) > 0 {
		t.Errorf("%s has %v up", n.Name, up)
	}
}

// TestEtcdUnreachable: the daemon tries again, says so, and goes to work when etcd is there.
func TestEtcdUnreachable(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 1, Idle: true})
	n, s := c.Nodes[0], c.Etcd.Servers[0]
	for range rounds(1, 20) {
		s.Kill()
		n.Start(c.Config(n.Name))
		troubled(t, c, n, s.Mgmt.Addr4().String())
		if out, err := n.Viplease("check", "--live"); status(err) != 1 || !strings.Contains(out+err.Error(), s.Mgmt.Addr4().String()) {
			t.Errorf("check --live: status %d, %v\n%s", status(err), err, out)
		}
		s.Start()
		began := time.Now()
		c.Within(cluster.Wait+patience, "etcd is there", c.AllHeld)
		c.Answering(2 * time.Second)
		t.Logf("every VIP answered %v after etcd was there", time.Since(began).Round(10*time.Millisecond))
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// authority is a certificate authority with a certificate for etcd's address in the lab.
func authority(t *testing.T, at netip.Addr) (ca []byte, server tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{at.AsSlice()},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestWrongCA: whoever answers at etcd's address has a certificate of an authority that the node was not told to trust.
func TestWrongCA(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Nodes: 1, Idle: true})
	n, at := c.Nodes[0], netip.MustParseAddrPort("10.9.0.254:2379") // the lab's own place on the management network
	other, _ := authority(t, at.Addr())
	_, certificate := authority(t, at.Addr())
	var ln net.Listener
	if err := lab.Do(c.NetNS(), func() (err error) {
		ln, err = tls.Listen("tcp", at.String(), &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake() // fails: the client hangs up
			conn.Close()
		}
	}()
	defer func() { ln.Close(); <-closed }()
	if err := os.WriteFile(n.Path("/etc/viplease/ca.pem"), other, 0o644); err != nil {
		t.Fatal(err)
	}
	for range rounds(1, 20) {
		n.Start(strings.Replace(sound, `endpoints = ["http://10.9.0.11:2379"]`, fmt.Sprintf("endpoints = [\"https://%s\"]\nca_file = \"/etc/viplease/ca.pem\"", at), 1))
		troubled(t, c, n, at.String(), "certificate signed by unknown authority")
		if out, err := n.Viplease("check", "--live"); status(err) != 1 || !strings.Contains(out+err.Error(), "unknown authority") {
			t.Errorf("check --live: status %d, %v\n%s", status(err), err, out)
		}
		if err := n.Stop(); err != nil {
			t.Fatalf("SIGTERM without etcd: %v\n%s", err, n.Logs())
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
