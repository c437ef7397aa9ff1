package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
)

// signer is an authority that signs certificates of etcd's servers and clients.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	s := &signer{t: t, key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key))
	s.cert = must(x509.ParseCertificate(der))
	s.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return s
}

// issue writes a certificate of that name, for that address, and its key, whole or not at all, as what renews certificates does.
func (s *signer) issue(cert, key, name string, at netip.Addr) {
	s.t.Helper()
	secret := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{at.AsSlice()}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, s.cert, secret.Public(), s.key))
	replace(s.t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	replace(s.t, key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(secret))}))
}

func replace(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file+"~", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

// TestClientCertificates: an etcd that wants certificates and has a user for each common name, with the role of the group and no other. While the daemons run,
// every certificate and the authority are replaced, and etcd is started anew: their next connections show the new ones. An authority that etcd is not of
// is noticed as well.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, cluster.Options{Idle: true, Nodes: 2, VIPs: 4})
	server := c.Etcd.Servers[0]
	at := server.Mgmt.Addr4()
	old, next := newSigner(t, "old"), newSigner(t, "next")
	issue := func(s *signer) {
		s.issue(server.Path("/run/host/server.pem"), server.Path("/run/host/server.key"), "etcd", at)
		replace(t, server.Path("/run/host/trusted.pem"), s.pem)
		for _, n := range c.Nodes {
			s.issue(n.Path("/etc/viplease/client.pem"), n.Path("/etc/viplease/client.key"), n.Name, at)
			replace(t, n.Path("/etc/viplease/ca.pem"), s.pem)
		}
	}
	issue(old)
	secure := fmt.Sprintf("https://%v:2377", at)
	authenticate(t, c, []string{
		"--listen-client-urls", server.Endpoint() + "," + secure, "--advertise-client-urls", secure, // the lab keeps its own way in
		"--cert-file", "/run/host/server.pem", "--key-file", "/run/host/server.key", "--trusted-ca-file", "/run/host/trusted.pem", "--client-cert-auth",
	}, []string{"node1"}, []string{"node2"})
	for _, n := range c.Nodes {
		n.Start(strings.Replace(c.Config(n.Name), fmt.Sprintf("endpoints = [%q]", server.Endpoint()), fmt.Sprintf(
			"endpoints = [%q]\nca_file = \"/etc/viplease/ca.pem\"\ncert_file = \"/etc/viplease/client.pem\"\nkey_file = \"/etc/viplease/client.key\"", secure), 1))
	}
	c.Within(cluster.Wait+patience, "cold start", c.Even(c.Nodes...))

	again := func() time.Time { // every connection to etcd is a new one after it
		server.Kill()
		server.Start()
		return time.Now()
	}
	issue(next)
	began := again()
	for _, n := range c.Nodes {
		await(t, "a check is answered that was sent after etcd was back", patience, func() bool {
			s, err := c.Status(n)
			left := time.Duration(s.Etcd.AuthorityMS) * time.Millisecond
			return err == nil && time.Now().Add(left).After(began.Add(cluster.Hold))
		})
	}
	c.Within(cluster.Wait+patience, "every certificate has been replaced", c.AllHeld)

	for _, n := range c.Nodes {
		replace(t, n.Path("/etc/viplease/ca.pem"), old.pem)
	}
	again()
	for _, n := range c.Nodes {
		await(t, "status says what is wrong with etcd's certificate", patience, func() bool {
			s, err := c.Status(n)
			return err == nil && strings.Contains(s.Etcd.Trouble, "certificate signed by unknown authority")
		})
	}
}
