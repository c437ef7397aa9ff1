package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// The server's limits. The clients are on this host, so what takes longer than these is not slow but stuck.
const (
	maxHeader     = 16 << 10 // bytes; the longest request line is a plan without many nodes
	maxBody       = 64 << 10 // bytes; a request names a node
	headerTimeout = 2 * time.Second
	// handleTimeout is for the daemon's work, which may include etcd: shorter than the client's timeout, so that the client hears the reason.
	handleTimeout = callTimeout - 500*time.Millisecond
	writeTimeout  = 2 * callTimeout
	idleTimeout   = 30 * time.Second
	// shutdownTimeout is what requests under way get when the daemon leaves. Their context has ended already.
	shutdownTimeout = time.Second
)

// Serve answers for d on ln until ctx ends, then closes ln and waits for every request; nil then. The handlers of mount are served at their
// paths ("/metrics"), under the same limits, and must keep to the 10 s that an answer may take. A panic in a request is logged and ends that request alone.
func Serve(ctx context.Context, ln net.Listener, d Daemon, mount map[string]http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           newHandler(d, mount, log),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       callTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()

	var err error
	select {
	case err = <-served:
		srv.Close()
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err = srv.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-served
	return err
}

type peerKey struct{}

// Caller returns the user id of whoever sent the request that ctx belongs to; ok is false when that is not known, or there is no request.
func Caller(ctx context.Context) (uid uint32, ok bool) {
	who, ok := ctx.Value(peerKey{}).(caller)
	return who.uid, ok
}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	if who, ok := peer(c); ok {
		return context.WithValue(ctx, peerKey{}, who)
	}
	return ctx
}

// route is one line of what the socket serves. The result of do is the answer's JSON, and for the log what was asked for, as one would type it.
type route struct {
	method string
	path   string
	do     func(r *http.Request) (out any, asked string, err error)
}

func routes(d Daemon) []route {
	return []route{
		{http.MethodGet, "/status", func(*http.Request) (any, string, error) { return d.Snapshot(), "status", nil }},
		{http.MethodGet, "/plan", func(r *http.Request) (any, string, error) {
			out, err := d.Plan(r.Context(), r.URL.Query()["without"])
			return json.RawMessage(out), "plan", err
		}},
		{http.MethodPost, "/drain", onNode(d.Drain)},
		{http.MethodPost, "/undrain", onNode(d.Undrain)},
		{http.MethodPost, "/move", onOrder(func(ctx context.Context, r orderRequest) (string, error) { return d.Move(ctx, r.VIP, r.Node) })},
		{http.MethodPost, "/pin", onOrder(func(ctx context.Context, r orderRequest) (string, error) { return d.Pin(ctx, r.VIP, r.Node) })},
		{http.MethodPost, "/unpin", onOrder(func(ctx context.Context, r orderRequest) (string, error) { return d.Unpin(ctx, r.VIP) })},
		{http.MethodPost, "/balance", onOrder(func(ctx context.Context, _ orderRequest) (string, error) { return d.Balance(ctx) })},
		{http.MethodPost, "/freeze", onOrder(func(ctx context.Context, _ orderRequest) (string, error) { return d.Freeze(ctx) })},
		{http.MethodPost, "/unfreeze", onOrder(func(ctx context.Context, _ orderRequest) (string, error) { return d.Unfreeze(ctx) })},
		{http.MethodPost, "/forget", onOrder(func(ctx context.Context, r orderRequest) (string, error) { return d.Forget(ctx, r.Name) })},
	}
}

// nodeRequest is the body of everything that is done to one node.
type nodeRequest struct {
	Node string `json:"node"` // "": the daemon's own
}

func onNode(do func(ctx context.Context, node string) error) func(*http.Request) (any, string, error) {
	return func(r *http.Request) (any, string, error) {
		var req nodeRequest
		asked, err := decodeOne(r, &req, &req.Node)
		if err != nil {
			return nil, asked, err
		}
		return struct{}{}, asked, do(r.Context(), req.Node)
	}
}

// orderRequest is the body of everything else that is asked for, orderReply what the operator reads then.
type (
	orderRequest struct {
		VIP  string `json:"vip,omitempty"`
		Node string `json:"node,omitempty"`
		Name string `json:"name,omitempty"` // of a node or a VIP
	}
	orderReply struct {
		Said string `json:"said"`
	}
)

func onOrder(do func(ctx context.Context, r orderRequest) (string, error)) func(*http.Request) (any, string, error) {
	return func(r *http.Request) (any, string, error) {
		var req orderRequest
		asked, err := decodeOne(r, &req, &req.VIP, &req.Node, &req.Name)
		if err != nil {
			return nil, asked, err
		}
		said, err := do(r.Context(), req)
		return orderReply{said}, asked, err
	}
}

// badRequest is an error of the client.
type badRequest struct{ error }

// decodeOne reads one JSON object, whose names may be empty but nothing that cannot be one, and returns what was asked for. Unknown fields are refused: a
// newer client may mean something by them.
func decodeOne(r *http.Request, into any, names ...*string) (asked string, err error) {
	asked = strings.TrimPrefix(r.URL.Path, "/")
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return asked, badRequest{fmt.Errorf("read the request: %w", err)}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return asked, badRequest{errors.New("read the request: something follows the JSON object")}
	}
	for _, name := range names {
		if *name == "" {
			continue
		}
		if err := checkName(*name); err != nil {
			return asked, badRequest{err}
		}
		asked += " " + *name
	}
	return asked, nil
}

// handler finds the route; http.ServeMux would answer unknown ones in plain text.
type handler struct {
	routes []route
	mount  map[string]http.Handler
	log    *slog.Logger
}

func newHandler(d Daemon, mount map[string]http.Handler, log *slog.Logger) http.Handler {
	return &handler{routes: routes(d), mount: mount, log: log}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if m, ok := h.mount[r.URL.Path]; ok {
		m.ServeHTTP(w, r)
		return
	}
	other := ""
	for _, rt := range h.routes {
		if rt.path != r.URL.Path {
			continue
		}
		if rt.method == r.Method {
			h.answer(w, r, rt)
			return
		}
		other = rt.method
	}
	if other != "" {
		w.Header().Set("Allow", other)
		writeError(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s wants %s, not %.20s", r.URL.Path, other, r.Method))
		return
	}
	writeError(w, http.StatusNotFound, fmt.Sprintf("%.60q is not served here", r.URL.Path))
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request, rt route) {
	ctx, cancel := context.WithTimeout(r.Context(), handleTimeout)
	defer cancel()
	out, asked, err := rt.do(r.WithContext(ctx))
	if rt.method != http.MethodGet {
		h.logAsked(ctx, asked, out, err)
	}
	if err != nil {
		writeError(w, statusOf(err), err.Error())
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// logAsked records who changed something.
func (h *handler) logAsked(ctx context.Context, asked string, out any, err error) {
	args := []any{"request", asked}
	if who, ok := ctx.Value(peerKey{}).(caller); ok {
		args = append(args, "uid", who.uid, "pid", who.pid)
	}
	if err != nil {
		args = append(args, "refused", err)
	} else if reply, ok := out.(orderReply); ok {
		args = append(args, "answer", reply.Said)
	}
	h.log.InfoContext(ctx, "operator asked", args...)
}

func statusOf(err error) int {
	var bad badRequest
	switch {
	case refused(err):
		return http.StatusConflict
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// errorReply is the body of every answer that is not 200.
type errorReply struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, errorReply{text})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a plan that is no JSON: our own fault, but not worth the daemon
		status = http.StatusInternalServerError
		body, _ = json.Marshal(errorReply{"write the answer: " + err.Error()})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone is no news
}
