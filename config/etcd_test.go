package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// credentials writes a certificate for 127.0.0.1, its own authority, and its
// key into a new folder.
func credentials(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		DNSNames:              []string{name},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile = writeFile(t, filepath.Join(dir, "cert.pem"), 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	keyFile = writeFile(t, filepath.Join(dir, "key.pem"), 0o640, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return certFile, keyFile
}

func writeFile(t *testing.T, path string, mode os.FileMode, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

// secure is minimal with https.
var secure = strings.ReplaceAll(minimal, "http://", "https://")

// TestTLS: a handshake with a server that wants a client certificate, before
// and after both sides got new ones in the same files.
func TestTLS(t *testing.T) {
	certFile, keyFile := credentials(t, "first")
	e := parse(t, secure+fmt.Sprintf("etcd.ca_file = %q\netcd.cert_file = %q\netcd.key_file = %q\n", certFile, certFile, keyFile)).Etcd
	client, err := e.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if got := peerName(t, e, client); got != "first" {
		t.Errorf("the server saw %q", got)
	}
	newCert, newKey := credentials(t, "second")
	for from, to := range map[string]string{newCert: certFile, newKey: keyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if client, err = e.TLS(); err != nil { // the authority is new too
		t.Fatal(err)
	}
	if got := peerName(t, e, client); got != "second" {
		t.Errorf("the server saw %q after the certificate was renewed", got)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := e.TLS(); err == nil {
		t.Error("a missing key is no error")
	}
}

// peerName connects to a server with the certificate of e, and returns the
// name of the client that the server saw.
func peerName(t *testing.T, e Etcd, client *tls.Config) string {
	t.Helper()
	pair, err := e.keyPair()
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{*pair}, ClientAuth: tls.RequireAnyClientCert})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	client = client.Clone()
	client.ServerName = "127.0.0.1"
	conn := tls.Client(b, client)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = conn.Read(make([]byte, 1)) }() // session tickets
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server.ConnectionState().PeerCertificates[0].DNSNames[0]
}

func TestTLSWithoutFiles(t *testing.T) {
	c, err := parse(t, secure).Etcd.TLS()
	if err != nil || c.RootCAs != nil || len(c.Certificates) > 0 || c.MinVersion < tls.VersionTLS12 || c.InsecureSkipVerify {
		t.Errorf("https without files gives %+v, %v", c, err)
	}
	if _, err := (Etcd{Endpoints: []string{"https://127.0.0.1:1"}, CAFile: "/nonexistent"}).TLS(); err == nil {
		t.Error("a missing ca_file is no error")
	}
}

func TestPassword(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"secret":         "secret",
		"secret\n":       "secret",
		"secret\r\n":     "secret",
		" se cret \n":    " se cret ",
		"two\nlines\n\n": "two\nlines",
	} {
		path := writeFile(t, filepath.Join(dir, "password"), 0o600, []byte(content))
		c := parse(t, minimal+fmt.Sprintf("etcd.username = \"viplease\"\netcd.password_file = %q", path))
		if c.Etcd.Password != want {
			t.Errorf("%q is read as %q", content, c.Etcd.Password)
		}
	}
}

// TestCredentialMistakes: what is wrong with the files that the file names.
func TestCredentialMistakes(t *testing.T) {
	dir := t.TempDir()
	cert, key := credentials(t, "one")
	_, otherKey := credentials(t, "two")
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("password"), 0o640, []byte("secret"))
	writeFile(t, at("empty"), 0o600, []byte("\n"))
	writeFile(t, at("garbage"), 0o600, []byte("garbage"))
	writeFile(t, at("large"), 0o600, make([]byte, maxCredential+1))
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, at("openkey"), 0o644, secret)
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	password := func(path string) string {
		return minimal + fmt.Sprintf("etcd.username = \"u\"\netcd.password_file = %q", path)
	}
	pair := func(cert, key string) string {
		return secure + fmt.Sprintf("etcd.cert_file = %q\netcd.key_file = %q", cert, key)
	}
	tests := map[string]struct{ doc, want string }{
		"password open":   {password(at("password")), `f:5: etcd.password_file: "DIR/password" is open to others (mode 0640); run: chmod 600 DIR/password`},
		"password empty":  {password(at("empty")), `f:5: etcd.password_file: "DIR/empty" is empty; write the password into it`},
		"password large":  {password(at("large")), `f:5: etcd.password_file: "DIR/large" is larger than 1 MiB; write the path of another file`},
		"password fifo":   {password(at("fifo")), `f:5: etcd.password_file: "DIR/fifo" is not a regular file; write the path of one`},
		"password folder": {password(dir), `f:5: etcd.password_file: "DIR" is not a regular file; write the path of one`},
		"ca garbage":      {secure + fmt.Sprintf("etcd.ca_file = %q", at("garbage")), `f:4: etcd.ca_file: "DIR/garbage" holds no certificate; write a file in PEM format`},
		"ca missing":      {secure + fmt.Sprintf("etcd.ca_file = %q", at("none")), `f:4: etcd.ca_file: "DIR/none" cannot be read: no such file or directory; write the path of a file that this user may read`},
		"cert alone":      {secure + fmt.Sprintf("etcd.cert_file = %q", cert), `f:4: etcd.cert_file: needs the key of the certificate; write key_file too`},
		"key alone":       {secure + fmt.Sprintf("etcd.key_file = %q", key), `f:4: etcd.key_file: needs the certificate of the key; write cert_file too`},
		"both missing": {pair(at("none"), at("none")), `f:4: etcd.cert_file: "DIR/none" cannot be read: no such file or directory; write the path of a file that this user may read
f:5: etcd.key_file: "DIR/none" cannot be read: no such file or directory; write the path of a file that this user may read`},
		"key of another": {pair(cert, otherKey), fmt.Sprintf("f:4: etcd.cert_file: %q and %q are not a certificate and its key in PEM format: tls: private key does not match public key; write the files that belong together", cert, otherKey)},
		"key open":       {pair(cert, at("openkey")), `f:5: etcd.key_file: "DIR/openkey" is open to others (mode 0644); run: chmod 640 DIR/openkey`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(test.doc), host)
			if got, want := fmt.Sprint(err), strings.ReplaceAll(test.want, "DIR", dir); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
