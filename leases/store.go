package leases

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Directories below the prefix that this package itself has to know. Every other key is the caller's business.
const (
	members    = "members/"
	states     = "states/"
	claims     = "claims/"
	challenges = "challenges/"
	evictions  = "evictions/"
)

const (
	// MaxValue is the longest value, in bytes, that is written or handed out. A longer one found in etcd is handed out empty: its
	// revisions still allow to replace it.
	MaxValue = 1 << 20

	// callTimeout bounds every request but the check, which has a timeout of its own. It is longer than the 1.6 s for which reads
	// and writes stand still when etcd's leader hangs, so that a request can outlive an election.
	callTimeout = 2 * time.Second

	// patience is how long an idempotent request may stay unanswered until the next server is asked as well.
	patience = 500 * time.Millisecond
)

// Config says which etcd to talk to. The zero value of a field means what its comment says.
type Config struct {
	Endpoints []string // URLs of the etcd servers, at least one; with TLS all of them start with https://
	Prefix    string   // what all keys begin with, for example "/viplease/www"; no slash at the end

	// TLS returns the configuration of one more connection to an https:// endpoint: it is called for each, from several goroutines, and reads its files
	// again. nil: the system's certificate authorities and no client certificate.
	TLS func() (*tls.Config, error)

	Username, Password string // empty: no password authentication

	// Timeout bounds one authority check, measured by Now; zero: 0.3 s.
	Timeout time.Duration
	// Now is CLOCK_BOOTTIME as the time since boot. It is called from several goroutines. Required.
	Now func() time.Duration
	// Log gets what the etcd client library complains about; nil: nothing is logged.
	Log *slog.Logger
}

// Store is one etcd cluster seen through one prefix. Its methods may be called from several goroutines.
type Store struct {
	cfg Config
	zap *zap.Logger

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	mu     sync.Mutex // guards the next two
	closed bool
	order  []*server // whom to ask first: whoever fails to answer goes to the end

	dials sync.WaitGroup // connections being made, or found out about
	doubt time.Duration  // doubtTimeout; tests have more of it
	alive renewer
}

// Open checks the configuration and returns at once: connections are made when they are first needed, so a Store can be opened
// while etcd is away. Close it to end them.
func Open(cfg Config) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 300 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, zap: zap.New(newSlogCore(cfg.Log)), alive: renewer{turn: make(chan struct{}, 1)}, doubt: doubtTimeout}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, url := range cfg.Endpoints {
		s.order = append(s.order, &server{url: url, store: s})
	}
	// Nodes with the same file start at different servers, so that each server gets its share of the load.
	rand.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
	return s, nil
}

func (c Config) check() error {
	if len(c.Endpoints) == 0 {
		return errors.New("etcd: no endpoints: write at least one, such as https://10.0.0.1:2379")
	}
	seen := map[string]bool{}
	for _, url := range c.Endpoints {
		switch {
		case url == "":
			return errors.New("etcd: an endpoint is empty")
		case seen[url]:
			return fmt.Errorf("etcd: endpoint %s is listed twice", url)
		case c.TLS != nil && strings.HasPrefix(url, "http://"):
			return fmt.Errorf("etcd: endpoint %s would ignore the certificates configured: write https://", url)
		}
		seen[url] = true
	}
	switch {
	case !strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/"):
		return fmt.Errorf("etcd: prefix %q: it starts with a slash and does not end with one", c.Prefix)
	case (c.Username == "") != (c.Password == ""):
		return errors.New("etcd: a user name needs a password, and the reverse")
	case c.Timeout < 0:
		return fmt.Errorf("etcd: timeout %v is negative", c.Timeout)
	case c.Now == nil:
		return errors.New("etcd: no clock")
	}
	return nil
}

// Close ends all connections, and with them every call under way, and waits for every goroutine that the Store started. A lease is
// left alone: revoke it first, or let it lapse. Calls made afterwards fail with [ErrClosed].
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	servers := append([]*server(nil), s.order...)
	s.mu.Unlock()

	s.stop()
	s.dials.Wait()
	var errs []error
	for _, srv := range servers {
		errs = append(errs, srv.close())
	}
	return errors.Join(errs...)
}

// bound derives the context of one call: it ends with ctx, with the Store, and after d.
func (s *Store) bound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), d)
	unhook := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { unhook(); cancel() }
}

func (s *Store) key(below string) string { return s.cfg.Prefix + "/" + below }

// Entry is one key as it stood at some revision.
type Entry struct {
	Key     string // below the prefix, for example "claims/web". Anyone may have written it: treat the name as untrusted.
	Value   []byte // empty when longer than MaxValue
	Create  int64  // revision that created the key; it changes when the key is deleted and made again
	Mod     int64  // revision of the last write
	Version int64  // number of writes since Create
	Lease   int64  // 0: none
}

func (s *Store) entry(kv *mvccpb.KeyValue) Entry {
	e := Entry{
		Key:    strings.TrimPrefix(string(kv.GetKey()), s.cfg.Prefix+"/"),
		Value:  kv.GetValue(),
		Create: kv.GetCreateRevision(), Mod: kv.GetModRevision(), Version: kv.GetVersion(), Lease: kv.GetLease(),
	}
	if len(e.Value) > MaxValue {
		e.Value = nil
	}
	return e
}

func (s *Store) entries(kvs []*mvccpb.KeyValue) []Entry {
	if len(kvs) == 0 {
		return nil
	}
	out := make([]Entry, len(kvs))
	for i, kv := range kvs {
		out[i] = s.entry(kv)
	}
	return out
}

// first is the entry of a get of one key: nil when the key is absent.
func (s *Store) first(kvs []*mvccpb.KeyValue) *Entry {
	if len(kvs) == 0 {
		return nil
	}
	e := s.entry(kvs[0])
	return &e
}
