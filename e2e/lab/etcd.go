package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Cluster is a real etcd with its default timers, each server a host on the management network.
type Cluster struct {
	Servers []*Server // etcd1 at 10.9.0.11, and so on

	lab    *Lab
	client *clientv3.Client
}

// Server is one etcd server on a host of its own.
type Server struct {
	*Host
	Args    []string // more arguments of etcd, from the next start on
	cluster *Cluster
	process *process
}

// startEtcd starts size servers and waits until the cluster answers through each of them.
func (l *Lab) startEtcd(size int) (err error) {
	if l.release == "" {
		return errors.New("call lab.Main(lab.NeedEtcd)")
	}
	c := &Cluster{lab: l}
	l.Etcd = c
	for i := 1; i <= size; i++ {
		h, err := l.addHost(fmt.Sprintf("etcd%d", i), mgmtPort(10+i))
		if err != nil {
			return err
		}
		c.Servers = append(c.Servers, &Server{Host: h, cluster: c})
	}
	if c.client, err = c.connect(c.Endpoints()); err != nil {
		return err
	}
	if err := l.settle(l.ports...); err != nil {
		return err
	}
	for _, s := range c.Servers {
		if err := s.launch(); err != nil {
			return err
		}
	}
	return c.ready(c.Servers)
}

// connect makes a client that dials from the switch and is quick to try again.
func (c *Cluster) connect(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints,
		Logger:    zap.NewNop(), // the faults are ours; its complaints about them are noise
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return c.lab.Dial(ctx, "tcp", address)
			}),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
				MinConnectTimeout: time.Second,
			}),
		},
	})
}

// ready waits until each of the servers answers a linearizable read.
func (c *Cluster) ready(servers []*Server) error {
	for _, s := range servers {
		err := await(patience, func() error {
			return c.at(s, func(ctx context.Context, client *clientv3.Client) error {
				status, err := client.Status(ctx, s.Endpoint())
				if err == nil && status.Leader == 0 {
					return errNoLeader // a read that came now would be tried again only after 500 ms (readIndexRetryTime)
				}
				if err == nil {
					_, err = client.Get(ctx, "ready")
				}
				if errors.Is(err, rpctypes.ErrUserEmpty) {
					return nil // it answers those whom it knows
				}
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("%s does not answer: %w\n%s", s.Name, err, s.tail(20))
		}
	}
	return nil
}

var errNoLeader = errors.New("etcd has no leader")

// at runs fn with a client of that server alone, for at most a second.
func (c *Cluster) at(s *Server, fn func(context.Context, *clientv3.Client) error) error {
	client, err := c.connect([]string{s.Endpoint()})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return fn(ctx, client)
}

// Endpoint is the server's client URL, on the management network.
func (s *Server) Endpoint() string { return fmt.Sprintf("http://%v:2379", s.Mgmt.Addr4()) }

func (s *Server) peerURL() string { return fmt.Sprintf("http://%v:2380", s.Mgmt.Addr4()) }

// dataDir is where the server keeps its data on its host: in memory.
const dataDir = "/run/etcd"

func (s *Server) data() string { return s.Path(dataDir) }

// launch starts the server's process.
func (s *Server) launch() (err error) {
	var peers []string
	for _, p := range s.cluster.Servers {
		peers = append(peers, p.Name+"="+p.peerURL())
	}
	args := append([]string{
		"--name", s.Name,
		"--data-dir", dataDir,
		"--listen-client-urls", s.Endpoint(), "--advertise-client-urls", s.Endpoint(),
		"--listen-peer-urls", s.peerURL(), "--initial-advertise-peer-urls", s.peerURL(),
		"--initial-cluster", strings.Join(peers, ","), "--initial-cluster-token", filepath.Base(s.lab.dir),
		"--log-level", "error"}, s.Args...)
	s.process, err = s.start(exec.Command(filepath.Join(s.lab.release, "etcd"), args...))
	return err
}

// Start starts a server that was stopped or killed, with its data, and waits until it answers (so a majority must run).
func (s *Server) Start() {
	s.lab.t.Helper()
	if s.process.running() {
		s.lab.t.Fatalf("lab: start %s: it is running", s.Name)
	}
	s.lab.check(s.relaunch(), "start "+s.Name)
}

func (s *Server) relaunch() error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.cluster.ready([]*Server{s})
}

// Stop ends the server in order (SIGTERM; a leader hands its office over first) and waits.
func (s *Server) Stop() {
	s.lab.t.Helper()
	s.process.signal(syscall.SIGTERM)
	// etcd ends itself by the signal that it was sent.
	if err := s.stopped(s.process); errors.Is(err, errLate) {
		s.lab.check(err, "stop "+s.Name)
	}
}

// Kill ends the server without a word (SIGKILL).
func (s *Server) Kill() { s.process.kill() }

// Pause stops the server in its tracks (SIGSTOP) and waits until it stands: its connections stay open and silent.
func (s *Server) Pause() {
	s.lab.t.Helper()
	s.lab.check(s.process.pause(), "pause "+s.Name)
}

// Continue lets a paused server go on.
func (s *Server) Continue() { s.process.signal(syscall.SIGCONT) }

// Running reports whether the server's process is there, paused or not.
func (s *Server) Running() bool { return s.process.running() }

// Cut drops everything from and to the server, other servers included; the carrier stays.
func (s *Server) Cut() { s.lab.t.Helper(); s.Mgmt.Cut() }

// Heal ends Cut.
func (s *Server) Heal() { s.lab.t.Helper(); s.Mgmt.Heal() }

// Wipe deletes the data of a server that does not run. A single server starts anew as an empty cluster with another id.
func (s *Server) Wipe() {
	s.lab.t.Helper()
	s.needStopped("wipe")
	s.lab.check(os.RemoveAll(s.data()), "wipe "+s.Name)
}

// Save keeps a copy of the data of a server that does not run; Restore brings the copy back: the store goes back in time.
func (s *Server) Save() {
	s.lab.t.Helper()
	s.needStopped("save")
	s.lab.check(copyDir(s.data()+".saved", s.data()), "save "+s.Name)
}

// Restore replaces the data of a server that does not run by what Save kept.
func (s *Server) Restore() {
	s.lab.t.Helper()
	s.needStopped("restore")
	s.lab.check(copyDir(s.data(), s.data()+".saved"), "restore "+s.Name)
}

func copyDir(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

func (s *Server) needStopped(what string) {
	s.lab.t.Helper()
	if s.process.running() {
		s.lab.t.Fatalf("lab: %s %s: stop it first", what, s.Name)
	}
}

func (c *Cluster) close() {
	if c.client != nil {
		c.client.Close()
	}
}
