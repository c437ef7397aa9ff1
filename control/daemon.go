package control

import (
	"context"
	"errors"

	"viplease/coordinator"
)

// Daemon is what the socket offers, implemented by the coordinator. All methods may be called concurrently and must return when ctx ends.
//
// An error whose chain holds a method Refused() bool that says true is a refusal: the daemon understood and will not. It becomes HTTP 409 and
// exit code 1, with its text for the operator. See Refuse.
type Daemon interface {
	// Snapshot returns what is known now. It does not block on a running daemon; see Deps.Direct for the other case.
	Snapshot() coordinator.Snapshot
	// Drain makes a node shed its VIPs and stay out until Undrain, across restarts. It returns when that is written, not when the VIPs have
	// moved. Idempotent. Node "" is this node.
	Drain(ctx context.Context, node string) error
	// Undrain ends what Drain began. Idempotent. Node "" is this node.
	Undrain(ctx context.Context, node string) error
	// Plan returns what would move if the nodes of without were drained, as the JSON of `plan --json`.
	Plan(ctx context.Context, without []string) ([]byte, error)
}

// Refuse returns a refusal: an error with this text that the operator reads as it stands.
func Refuse(text string) error { return refusal(text) }

type refusal string

func (r refusal) Error() string { return string(r) }

// Refused marks the error as a refusal for any package, without importing this one.
func (r refusal) Refused() bool { return true }

func refused(err error) bool {
	var r interface{ Refused() bool }
	return errors.As(err, &r) && r.Refused()
}
