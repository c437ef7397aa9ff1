package control

import (
	"context"
	"errors"

	"viplease/coordinator"
)

// Daemon is what the socket offers, implemented by the coordinator. All methods may be called concurrently and must return when ctx ends; what takes longer
// than 4.5 s is answered with an error. What is said besides an error is one sentence for the operator.
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
	// Move moves a VIP to a node now, once, and returns when it is there. It is refused if the node cannot have it; then nothing has moved.
	Move(ctx context.Context, vip, node string) (said string, err error)
	// Pin keeps a VIP on a node whenever that can hold it, until Unpin. It returns when that is written. Idempotent.
	Pin(ctx context.Context, vip, node string) (said string, err error)
	// Unpin ends what Pin began. Idempotent.
	Unpin(ctx context.Context, vip string) (said string, err error)
	// Balance asks for the moves that even the load, without waiting for a round. Idempotent.
	Balance(ctx context.Context) (said string, err error)
	// Freeze makes the whole cluster move nothing, until Unfreeze. Idempotent.
	Freeze(ctx context.Context) (said string, err error)
	// Unfreeze ends what Freeze began. Idempotent.
	Unfreeze(ctx context.Context) (said string, err error)
	// Forget removes what a node that is gone, or a VIP that nobody configures, left in etcd. Idempotent.
	Forget(ctx context.Context, name string) (said string, err error)
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
