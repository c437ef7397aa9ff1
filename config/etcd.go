package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Etcd is where etcd is and how to be let in.
type Etcd struct {
	Endpoints    []string // URLs, all http or all https, without a path
	Prefix       string   // of all keys: "/viplease"
	CAFile       string   // "": the certificates that the system trusts
	CertFile     string   // of the client, with KeyFile; "": none
	KeyFile      string
	Username     string // "": no authentication by password
	PasswordFile string
	Password     string // what PasswordFile held; never to be logged
}

// maxCredential bounds the files that the section names.
const maxCredential = 1 << 20

// Secure says whether the connections use TLS.
func (e Etcd) Secure() bool {
	return len(e.Endpoints) > 0 && strings.HasPrefix(e.Endpoints[0], "https://")
}

// TLS returns what a client needs for one connection to an https endpoint. It
// reads CAFile, CertFile and KeyFile now: called for each connection, it makes
// renewed files count without a restart. The errors are those that Parse would
// report.
func (e Etcd) TLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		pool, err := readCA(e.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		c.RootCAs = pool
	}
	if e.CertFile != "" {
		pair, err := e.keyPair()
		if err != nil {
			return nil, fmt.Errorf("read cert_file and key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{*pair}
	}
	return c, nil
}

func (e Etcd) keyPair() (*tls.Certificate, error) {
	cert, err := readBounded(e.CertFile, 0)
	if err != nil {
		return nil, err
	}
	key, err := readBounded(e.KeyFile, 0)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &pair, err
}

func readCA(path string) (*x509.CertPool, error) {
	pem, err := readBounded(path, 0)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate; write a file in PEM format", quote(path))
	}
	return pool, nil
}

// readBounded reads a regular file of moderate size that has none of the
// permissions in forbidden. The check is on the open file, and a FIFO or a
// device is neither waited for nor read.
func readBounded(path string, forbidden fs.FileMode) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, cannotRead(path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; write the path of one", quote(path))
	case info.Size() > maxCredential:
		return nil, fmt.Errorf("%s is larger than %d MiB; write the path of another file", quote(path), maxCredential>>20)
	case info.Mode().Perm()&forbidden != 0:
		safe := info.Mode().Perm() &^ forbidden
		return nil, fmt.Errorf("%s is open to others (mode %04o); run: chmod %o %s", quote(path), info.Mode().Perm(), safe, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCredential))
	if err != nil {
		return nil, cannotRead(path, err)
	}
	return data, nil
}

func cannotRead(path string, err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s cannot be read: %w; write the path of a file that this user may read", quote(path), err)
}

func readEtcd(t table) Etcd {
	e := Etcd{
		Endpoints:    readEndpoints(t),
		Prefix:       readPrefix(t),
		CAFile:       t.file("ca_file"),
		CertFile:     t.file("cert_file"),
		KeyFile:      t.file("key_file"),
		Username:     t.text("username", ""),
		PasswordFile: t.file("password_file"),
	}
	e.checkTLS(t)
	e.readPassword(t)
	return e
}

// readEndpoints reads the URLs. The first that is right tells the scheme.
func readEndpoints(t table) []string {
	var good []string
	lines := map[string]int{}
	scheme := ""
	for _, it := range t.texts("endpoints") {
		endpoint, err := parseEndpoint(it.text)
		line, twice := lines[endpoint]
		s, _, _ := strings.Cut(endpoint, ":")
		switch {
		case err != nil:
			t.r.problem(it.line, t.name("endpoints"), "%s", err)
			continue
		case twice:
			t.r.problem(it.line, t.name("endpoints"), "%q is already at line %d; write each member of etcd once", endpoint, line)
			continue
		case scheme == "":
			scheme = s
		case s != scheme:
			t.r.problem(it.line, t.name("endpoints"), "%q is %s where the others are %s; write all of them with one scheme", endpoint, s, scheme)
			continue
		}
		lines[endpoint] = it.line
		good = append(good, endpoint)
	}
	if nothing(t, "endpoints") {
		t.problem("endpoints", `is missing; write endpoints = ["http://192.0.2.1:2379"] with the members of etcd`)
	}
	return good
}

// parseEndpoint returns the URL of a member of etcd in its plain form.
func parseEndpoint(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf(`%s is no endpoint; write a URL such as "http://192.0.2.1:2379"`, quote(s))
	case u.User != nil:
		return "", errors.New("a user in the URL of an endpoint is not used; write username and password_file")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fmt.Errorf("%s has more than a host and a port; write %q", quote(s), u.Scheme+"://"+u.Host)
	case u.Hostname() == "":
		return "", fmt.Errorf(`%s has no host; write a URL such as "http://192.0.2.1:2379"`, quote(s))
	case u.Port() == "":
		return "", fmt.Errorf("%s has no port; write %q", quote(s), u.Scheme+"://"+strings.TrimSuffix(u.Host, ":")+":2379")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return "", fmt.Errorf("%s has port %s; write one from 1 to 65535", quote(s), u.Port())
	}
	return u.Scheme + "://" + u.Host, nil
}

// readPrefix returns the prefix with one slash at its start and none at its
// end.
func readPrefix(t table) string {
	const absent = "/viplease"
	s := t.text("prefix", absent)
	names := strings.Split(strings.Trim(s, "/"), "/")
	for _, name := range names {
		why := badName(name)
		if name == "" {
			why = `has an empty part; write one such as "/viplease"`
		}
		if why != "" {
			t.problem("prefix", "%s %s", quote(s), why)
			return absent
		}
	}
	return "/" + strings.Join(names, "/")
}

// file reads the absolute path of a file.
func (t table) file(key string) string {
	s := t.text(key, "")
	if s != "" && (!filepath.IsAbs(s) || strings.ContainsRune(s, 0)) {
		t.problem(key, "%s is not an absolute path; write one from the root, such as %q", quote(s), filepath.Join("/etc/viplease", s))
		return ""
	}
	return s
}

// checkTLS reads what the client will need.
func (e Etcd) checkTLS(t table) {
	for _, key := range []string{"ca_file", "cert_file", "key_file"} {
		if t.has(key) && len(e.Endpoints) > 0 && !e.Secure() {
			t.problem(key, `is of no use with endpoints that are http; write "https://..." endpoints, or remove it`)
		}
	}
	if e.CAFile != "" {
		if _, err := readCA(e.CAFile); err != nil {
			t.problem("ca_file", "%s", err)
		}
	}
	switch {
	case t.has("cert_file") && !t.has("key_file"):
		t.problem("cert_file", "needs the key of the certificate; write key_file too")
	case t.has("key_file") && !t.has("cert_file"):
		t.problem("key_file", "needs the certificate of the key; write cert_file too")
	case e.CertFile != "" && e.KeyFile != "":
		e.checkKeyPair(t)
	}
}

// checkKeyPair: others must not read the key, but a group may: there are
// hosts with a group for TLS keys.
func (e Etcd) checkKeyPair(t table) {
	cert, certErr := readBounded(e.CertFile, 0)
	if certErr != nil {
		t.problem("cert_file", "%s", certErr)
	}
	key, keyErr := readBounded(e.KeyFile, 0o007)
	if keyErr != nil {
		t.problem("key_file", "%s", keyErr)
	}
	if certErr != nil || keyErr != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		t.problem("cert_file", "%s and %s are not a certificate and its key in PEM format: %s; write the files that belong together",
			quote(e.CertFile), quote(e.KeyFile), oneLine(err.Error()))
	}
}

// readPassword reads the password, which stands in a file of its own so that
// the configuration may be shown to anybody.
func (e *Etcd) readPassword(t table) {
	switch {
	case t.has("username") && !t.has("password_file"):
		t.problem("username", "needs a password; write password_file too")
	case t.has("password_file") && !t.has("username"):
		t.problem("password_file", "needs a user; write username too")
	}
	if e.PasswordFile == "" {
		return
	}
	data, err := readBounded(e.PasswordFile, 0o077)
	if err != nil {
		t.problem("password_file", "%s", err)
		return
	}
	e.Password = strings.TrimRight(string(data), "\r\n")
	if e.Password == "" {
		t.problem("password_file", "%s is empty; write the password into it", quote(e.PasswordFile))
	}
}
