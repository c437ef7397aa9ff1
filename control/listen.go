package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process serves the socket: stop it, or give this group a socket of its own.
var ErrInUse = errors.New("another daemon is there")

const (
	// socketMode lets root and the socket's group in.
	socketMode fs.FileMode = 0o660
	// maxConns bounds the file descriptors that clients can cost the daemon, which needs its own for etcd. Further clients wait in the
	// kernel's backlog; slow ones are thrown out by the timeouts of the server.
	maxConns = 64
	// probeTimeout is for one connect(2) on this host.
	probeTimeout = time.Second
)

// Listener accepts on the socket of a daemon. Close removes the socket.
type Listener struct {
	unix   *net.UnixListener
	path   string
	lock   *os.File
	slots  chan struct{}
	closed chan struct{}
	close  sync.Once
}

// NoGroup leaves the socket to the group of the process.
const NoGroup = -1

// Listen takes the socket at path with the given mode (0: 0660) and group, an id or NoGroup; the folder must exist. What a dead daemon left there is replaced. The error
// is ErrInUse when the path is in use: a lock file beside the socket, held as long as the Listener is open, keeps two daemons that start at
// once apart, and a connect finds those that have no lock.
//
// The path appears complete, by rename(2): a client sees a socket that accepts and has its mode, or what was there before.
func Listen(path string, mode fs.FileMode, group int) (*Listener, error) {
	if mode == 0 {
		mode = socketMode
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	ln, err := replaceSocket(path, mode, group)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &Listener{
		unix: ln, path: path, lock: lock,
		slots: make(chan struct{}, maxConns), closed: make(chan struct{}),
	}, nil
}

// lockSocket takes the lock beside the socket. The file stays for ever: removing a lock file is a race of its own.
func lockSocket(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock socket: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("listen on %s: %w", path, ErrInUse)
	}
	return nil, fmt.Errorf("lock socket %s: %w", path, err)
}

// replaceSocket binds under another name and moves the result to path, once nobody answers there.
func replaceSocket(path string, mode fs.FileMode, group int) (*net.UnixListener, error) {
	if err := probe(path); err != nil {
		return nil, err
	}
	fresh := path + ".new"
	if limit := len(unix.RawSockaddrUnix{}.Path) - 1; len(fresh) > limit {
		return nil, fmt.Errorf("listen on %s: the path is %d bytes long, at most %d are possible", path, len(path), limit-len(".new"))
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false) // it would remove the name of the bind
	if err = os.Chmod(fresh, mode); err == nil && group != NoGroup {
		err = give(fresh, group)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		ln.Close()
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), os.Remove(fresh))
	}
	return ln, nil
}

// give makes the socket that of a group. Who is not root may give it to a group of his own alone: chown(2).
func give(socket string, group int) error {
	err := os.Chown(socket, -1, group)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: the daemon's user is not in group %d; add it with usermod -aG, or SupplementaryGroups= in the unit", err, group)
	}
	return err
}

// probe returns nil when path is free, or a socket on which nobody listens any more. unix(7): ECONNREFUSED is the answer of a socket without
// a listener; EAGAIN is that of one whose listener is busy.
func probe(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen on %s: a file that is no socket is there; remove it or set another path", path)
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		conn.Close()
		return fmt.Errorf("listen on %s: %w", path, ErrInUse)
	}
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("listen on %s: %w (%w)", path, ErrInUse, err)
	}
	return nil
}

// Accept waits for a free slot and then for a client.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.unix.AcceptUnix()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotConn{UnixConn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Addr is the socket.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket, ends Accept and gives the path free. Further calls do nothing.
func (l *Listener) Close() error {
	var err error
	l.close.Do(func() {
		close(l.closed)
		err = os.Remove(l.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		// A child that is being forked may hold the lock's file open for an instant longer than this process.
		err = errors.Join(err, l.unix.Close(), unix.Flock(int(l.lock.Fd()), unix.LOCK_UN), l.lock.Close())
	})
	return err
}

// slotConn gives its slot back once, however often it is closed.
type slotConn struct {
	*net.UnixConn
	release func()
}

func (c *slotConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}
