package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"

	"viplease/coordinator"
)

// ErrNoDaemon says that nobody answers on the socket: none there, none listening, or one that is stuck.
var ErrNoDaemon = errors.New("no daemon answers")

const (
	// callTimeout bounds one question and its answer.
	callTimeout = 5 * time.Second
	// maxReply is far above a snapshot of 10,000 VIPs, about 4 MB.
	maxReply = 32 << 20
	// maxErrorText is what one line of an error may hold of the text of others.
	maxErrorText = 2000
)

// Client asks the daemon on a socket. It keeps no connection, so there is nothing to close; its methods may be called concurrently, and each
// returns within 5 s. Their errors are ErrNoDaemon, or what the daemon said, or a sentence about why it cannot be understood.
type Client struct {
	socket  string
	timeout time.Duration // callTimeout; shorter in tests
	http    http.Client
}

// Dial returns a client for the socket. It connects only when asked something.
func Dial(socket string) *Client {
	return &Client{socket: socket, timeout: callTimeout, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Snapshot asks the daemon what it knows.
func (c *Client) Snapshot(ctx context.Context) (coordinator.Snapshot, error) {
	var s coordinator.Snapshot
	err := c.call(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Drain is Daemon.Drain.
func (c *Client) Drain(ctx context.Context, node string) error {
	return c.call(ctx, http.MethodPost, "/drain", nodeRequest{node}, nil)
}

// Undrain is Daemon.Undrain.
func (c *Client) Undrain(ctx context.Context, node string) error {
	return c.call(ctx, http.MethodPost, "/undrain", nodeRequest{node}, nil)
}

// Move is Daemon.Move.
func (c *Client) Move(ctx context.Context, vip, node string) (string, error) {
	return c.order(ctx, "/move", orderRequest{VIP: vip, Node: node})
}

// Pin is Daemon.Pin.
func (c *Client) Pin(ctx context.Context, vip, node string) (string, error) {
	return c.order(ctx, "/pin", orderRequest{VIP: vip, Node: node})
}

// Unpin is Daemon.Unpin.
func (c *Client) Unpin(ctx context.Context, vip string) (string, error) {
	return c.order(ctx, "/unpin", orderRequest{VIP: vip})
}

// Balance is Daemon.Balance.
func (c *Client) Balance(ctx context.Context) (string, error) {
	return c.order(ctx, "/balance", orderRequest{})
}

// Freeze is Daemon.Freeze.
func (c *Client) Freeze(ctx context.Context) (string, error) {
	return c.order(ctx, "/freeze", orderRequest{})
}

// Unfreeze is Daemon.Unfreeze.
func (c *Client) Unfreeze(ctx context.Context) (string, error) {
	return c.order(ctx, "/unfreeze", orderRequest{})
}

// Forget is Daemon.Forget.
func (c *Client) Forget(ctx context.Context, name string) (string, error) {
	return c.order(ctx, "/forget", orderRequest{Name: name})
}

// order asks for one thing and returns what the daemon said.
func (c *Client) order(ctx context.Context, path string, in orderRequest) (string, error) {
	var out orderReply
	err := c.call(ctx, http.MethodPost, path, in, &out)
	return out.Said, err
}

// Plan is Daemon.Plan.
func (c *Client) Plan(ctx context.Context, without []string) ([]byte, error) {
	var out json.RawMessage
	err := c.call(ctx, http.MethodGet, "/plan?"+url.Values{"without": without}.Encode(), nil, &out)
	return out, err
}

// call sends in, if not nil, and reads the answer into out, if not nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	deadline, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(deadline, method, "http://viplease"+path, body)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return c.explain(ctx, err)
	}
	if len(text) > maxReply {
		return fmt.Errorf("the answer on %s is longer than %d MiB", c.socket, maxReply>>20)
	}
	if resp.StatusCode != http.StatusOK {
		return c.complaint(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return c.stranger()
	}
	return nil
}

// explain turns an error of the transport into a line for an operator. ctx is the caller's.
func (c *Client) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("connect to %s: permission denied; try as root, or as a member of its group", c.socket)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w on %s", ErrNoDaemon, c.socket)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, unix.EAGAIN): // EAGAIN: the backlog is full, unix(7)
		return fmt.Errorf("%w on %s within %s, though one is there", ErrNoDaemon, c.socket, c.timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return fmt.Errorf("%w on %s: it hung up", ErrNoDaemon, c.socket)
	default: // its text may quote a megabyte of what came
		return c.stranger()
	}
}

func (c *Client) stranger() error {
	return fmt.Errorf("what answers on %s is no viplease daemon", c.socket)
}

// complaint is the error that the daemon's answer stands for.
func (c *Client) complaint(status int, body []byte) error {
	var reply errorReply
	if err := json.Unmarshal(body, &reply); err != nil || reply.Error == "" {
		return c.stranger()
	}
	text := cut(printable(reply.Error), maxErrorText)
	if status == http.StatusConflict {
		return Refuse(text)
	}
	return errors.New(text)
}
