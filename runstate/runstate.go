// Package runstate keeps what a daemon leaves for the next one of the same boot, and the lock that makes it the only one: two files in the runtime
// directory, which a reboot empties.
//
// The state is one JSON file. It says which registrations in etcd were this boot's own, so that a daemon that was killed can be continued, and which
// addresses were configured, so that those that have left the configuration are found and taken down.
package runstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds the directory: a daemon of this group runs.
var ErrLocked = errors.New("a daemon of this group runs on this host")

// Format is the version of the state file, field "v". A state of another version is one of another boot: there is nothing to continue, which is safe.
const Format = 1

// State is what one daemon leaves for the next.
type State struct {
	V         int      `json:"v"`    // Save sets it
	Boot      string   `json:"boot"` // boot id that all of it belongs to
	Node      string   `json:"node"`
	Reg       string   `json:"reg"` // the last registration: id, create revision of its member key, lease, granted TTL in seconds
	MemberRev int64    `json:"member_rev"`
	Lease     int64    `json:"lease"`
	TTL       int64    `json:"ttl"`
	Cluster   uint64   `json:"cluster"` // of the etcd that it lived in, and the highest revision seen there
	Revision  int64    `json:"revision"`
	Known     []string `json:"known"`     // ids of all registrations of this boot
	Addresses []string `json:"addresses"` // "192.168.3.100/32 dev net1": what this daemon may have set
	Fast      []string `json:"fast"`      // interfaces on which its claims said that it holds to the terms of fast takeover
	Gained    []string `json:"gained"`    // names of the VIPs whose gain a program was told, and their loss not yet
}

// Dir is the runtime directory of one group, locked.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the directory if need be and locks it, without waiting. [ErrLocked]: somebody else has it.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the runtime directory: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = ErrLocked
		fallthrough
	case err != nil:
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Dir{path, lock}, nil
}

// Close gives the lock back.
func (d *Dir) Close() error {
	// A child that is being forked may hold the file open for an instant longer than this process.
	return errors.Join(unix.Flock(int(d.lock.Fd()), unix.LOCK_UN), d.lock.Close())
}

// Load returns what the last daemon of this boot left for this node; the zero State when there is none, or it is of another boot, format or node, or
// torn. Its Addresses are returned whatever node they were set for.
func (d *Dir) Load(boot, node string) (State, error) {
	data, err := os.ReadFile(filepath.Join(d.path, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the state: %w", err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil || s.V != Format || s.Boot != boot {
		return State{}, nil // torn by a crash, or of another boot: nothing to continue; the kernel ends what may be up
	}
	if s.Node != node {
		return State{Addresses: s.Addresses}, nil
	}
	return s, nil
}

// Save replaces the state, so that a reader finds the old one or the new one, the old one after an error.
func (d *Dir) Save(s State) error {
	s.V = Format
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := filepath.Join(d.path, "state.json.new")
	if err := os.WriteFile(temp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(d.path, "state.json")); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}
