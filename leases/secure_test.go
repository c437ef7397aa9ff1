package leases

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// enableAuth makes a user that may use one prefix only, by the script that operators use. A user without a password logs in by the name in its
// certificate. env tells etcdctl how to reach etcd.
func enableAuth(t *testing.T, cli *clientv3.Client, user, password, prefix string, env ...string) {
	t.Helper()
	ctx := seconds(t)
	_, err := cli.UserAdd(ctx, "root", "secret")
	step := func(_ any, e error) { err = errors.Join(err, e) }
	step(cli.RoleAdd(ctx, "root"))
	step(cli.UserGrantRole(ctx, "root", "root"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--prefix", path.Dir(prefix), path.Base(prefix), user}
	if password != "" {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--password", file)
	}
	for range 2 { // the second time all is there already
		cmd := exec.CommandContext(ctx, "../contrib/etcd/viplease-role", args...)
		cmd.Env = append(os.Environ(), append(env, "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("viplease-role: %v\n%s", err, out)
		}
	}
	if _, err := cli.AuthEnable(ctx); err != nil {
		t.Fatal(err)
	}
}

// everything calls each method once, with the rights that a daemon needs.
func everything(t *testing.T, s *Store) {
	t.Helper()
	me, lease := join(t, s, "a")
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	must[time.Duration](t)(s.Renew(seconds(t), lease))
	snap := must[Snapshot](t)(s.Read(seconds(t)))
	batches, _ := watching(t, s, snap.Revision+1)
	if a := must[Answer](t)(s.Check(seconds(t), "a", 0)); a.MemberRev != me.MemberRev {
		t.Errorf("answer %+v", a)
	}
	done := must[Committed](t)(s.Commit(seconds(t), Commit{Node: "a", MemberRev: me.MemberRev, Writes: []Write{{Key: "claims/v", Value: []byte("v"), OwnerGone: &MemberRef{"b", 1}}}}))
	if !done.Results[0].Won {
		t.Errorf("committed %+v", done)
	}
	if b := next(t, batches); b.Changed[0].Key != "claims/v" {
		t.Errorf("batch %+v", b)
	}
	if err := s.PutState(seconds(t), "a", me.MemberRev, lease, []byte("ready")); err != nil {
		t.Error(err)
	}
	if err := s.PutOnce(seconds(t), "configs/1", []byte("c")); err != nil {
		t.Error(err)
	}
	put(t, s, "frozen", "yes")
	for _, h := range s.Health(seconds(t)) {
		if !h.Reachable {
			t.Errorf("health %+v", h)
		}
	}
	if err := s.Revoke(seconds(t), lease); err != nil {
		t.Error(err)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	c, err := startCluster(1, "--bcrypt-cost", "4", "--auth-token-ttl", "1")
	if err != nil {
		t.Fatal(err)
	}
	m := c.members[0]
	defer func() { m.kill() }()
	enableAuth(t, raw(t, m.url), "vip", "pass", prefix(t), "ETCDCTL_ENDPOINTS="+m.url)

	s := openWith(t, Config{Endpoints: c.urls(), Timeout: 2 * time.Second, Username: "vip", Password: "pass"})
	everything(t, s)

	for name, other := range map[string]*Store{
		"wrong password": openWith(t, Config{Timeout: 2 * time.Second, Endpoints: c.urls(), Username: "vip", Password: "wrong"}),
		"other prefix":   openWith(t, Config{Endpoints: c.urls(), Username: "vip", Password: "pass", Prefix: "/elsewhere"}),
		"no password":    openWith(t, Config{Endpoints: c.urls()}),
	} {
		if _, err := other.Check(seconds(t), "a", 0); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: check: %v", name, err)
		}
		if _, err := other.Commit(seconds(t), Commit{Node: "a", MemberRev: 1}); !errors.Is(err, ErrDenied) || !errors.Is(err, ErrNotApplied) {
			t.Errorf("%s: commit: %v", name, err)
		}
	}

	// The token of the connection has expired after a second of idling: the next check gets a new one in time.
	idle := time.NewTimer(3 * time.Second)
	<-idle.C
	must[Answer](t)(s.Check(seconds(t), "a", 0))

	// While etcd is away there is no login; afterwards there is.
	m.kill()
	late := openWith(t, Config{Endpoints: c.urls(), Username: "vip", Password: "pass"})
	begin := time.Now()
	if _, err := late.Check(seconds(t), "a", 0); err == nil {
		t.Error("checked without an etcd")
	}
	if took := time.Since(begin); took > late.cfg.Timeout+100*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	for _, st := range []*Store{late, s} {
		eventually(t, 10*time.Second, "a check is answered", func() bool { _, err := st.Check(seconds(t), "a", 0); return err == nil })
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := newAuthority(t)
	ca.issue(t, dir, "server", x509.ExtKeyUsageServerAuth)
	node := ca.issue(t, dir, "node", x509.ExtKeyUsageClientAuth)
	root := ca.issue(t, dir, "root", x509.ExtKeyUsageClientAuth)
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := startCluster(1, "--cert-file", filepath.Join(dir, "server.pem"), "--key-file", filepath.Join(dir, "server.key"),
		"--trusted-ca-file", filepath.Join(dir, "ca.pem"), "--client-cert-auth")
	if err != nil {
		t.Fatal(err)
	}
	defer c.members[0].kill()
	withCert := func(certs ...tls.Certificate) *tls.Config { return &tls.Config{RootCAs: ca.pool, Certificates: certs} }

	admin, err := clientv3.New(clientv3.Config{Endpoints: c.urls(), TLS: withCert(root), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	enableAuth(t, admin, "node", "", prefix(t), "ETCDCTL_ENDPOINTS="+c.members[0].url, "ETCDCTL_CACERT="+filepath.Join(dir, "ca.pem"),
		"ETCDCTL_CERT="+filepath.Join(dir, "root.pem"), "ETCDCTL_KEY="+filepath.Join(dir, "root.key"))

	s := openWith(t, Config{Endpoints: c.urls(), Timeout: 2 * time.Second, TLS: fixed(withCert(node))})
	everything(t, s)
	other := openWith(t, Config{Endpoints: c.urls(), Timeout: 2 * time.Second, TLS: fixed(withCert(node)), Prefix: "/elsewhere"})
	if _, err := other.Check(seconds(t), "a", 0); !errors.Is(err, ErrDenied) {
		t.Errorf("other prefix: %v", err)
	}
	for name, bad := range map[string]*tls.Config{
		"no certificate": withCert(), "unknown authority": {Certificates: []tls.Certificate{node}},
	} {
		s := openWith(t, Config{Endpoints: c.urls(), Timeout: 2 * time.Second, TLS: fixed(bad)})
		if _, err := s.Check(seconds(t), "a", 0); err == nil {
			t.Errorf("%s: checked", name)
		}
		if _, err := s.Commit(seconds(t), Commit{Node: "a", MemberRev: 1}); !errors.Is(err, ErrNotApplied) {
			t.Errorf("%s: commit: %v", name, err)
		}
	}
}

// fixed is a TLS configuration that never changes.
func fixed(c *tls.Config) func() (*tls.Config, error) {
	return func() (*tls.Config, error) { return c, nil }
}

// TestCertificatesAreReplaced: from one connection to the next, etcd and its clients get new certificates of a new authority.
func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	replace := func() {
		ca := newAuthority(t)
		ca.issue(t, dir, "server", x509.ExtKeyUsageServerAuth)
		ca.issue(t, dir, "node", x509.ExtKeyUsageClientAuth)
		if err := os.WriteFile(at("ca.pem"), ca.pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace()
	c, err := startCluster(1, "--cert-file", at("server.pem"), "--key-file", at("server.key"), "--trusted-ca-file", at("ca.pem"), "--client-cert-auth")
	if err != nil {
		t.Fatal(err)
	}
	m := c.members[0]
	defer func() { m.kill() }()
	s := openWith(t, Config{Endpoints: c.urls(), Timeout: 2 * time.Second, TLS: func() (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(at("node.pem"), at("node.key"))
		if err != nil {
			return nil, err
		}
		pem, err := os.ReadFile(at("ca.pem"))
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}, err
	}})
	checks := func() bool { _, err := s.Check(seconds(t), "a", 0); return err == nil }
	eventually(t, 10*time.Second, "a check is answered", checks)
	m.kill()
	replace()
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "a check is answered under the new authority", checks)

	m.kill()
	if err := os.Remove(at("node.key")); err != nil {
		t.Fatal(err)
	}
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(seconds(t), "a", 0); err == nil {
		t.Error("a check without a key was answered")
	}
}

// authority signs certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	a := &authority{cert: must[*x509.Certificate](t)(x509.ParseCertificate(der)), key: key, pool: x509.NewCertPool()}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate with the given common name, and writes it to dir as name.pem and name.key.
func (a *authority) issue(t *testing.T, dir, name string, usage x509.ExtKeyUsage) tls.Certificate {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))
	secret := must[[]byte](t)(x509.MarshalECPrivateKey(key))
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
	for file, b := range map[string][]byte{name + ".pem": certPEM, name + ".key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return must[tls.Certificate](t)(tls.X509KeyPair(certPEM, keyPEM))
}
