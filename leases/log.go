package leases

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// logEvery is how often the same message of the client library is passed on: while etcd is away it repeats itself at every request,
// and the request's error says the same.
const logEvery = 10 * time.Second

// slogCore passes warnings and errors of the etcd client library on to slog, as details: whatever comes of them is an error that our caller gets.
type slogCore struct {
	log  *slog.Logger
	with []zapcore.Field
	last *lastSaid
}

// lastSaid remembers when each message was last passed on. The library has a few dozen messages.
type lastSaid struct {
	mu sync.Mutex
	at map[string]time.Time
}

func newSlogCore(log *slog.Logger) *slogCore {
	return &slogCore{log: log, last: &lastSaid{at: map[string]time.Time{}}}
}

func (c *slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }
func (c *slogCore) Sync() error                  { return nil }

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{log: c.log, with: slices.Concat(c.with, fields), last: c.last}
}

func (c *slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		// The loser of a hedged request was cancelled by us.
		if err, ok := f.Interface.(error); ok && status.Code(err) == codes.Canceled {
			return nil
		}
	}
	if !c.last.due(e.Message, e.Time) {
		return nil
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.with, fields) {
		f.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields))
	for _, k := range slices.Sorted(maps.Keys(enc.Fields)) {
		attrs = append(attrs, slog.Any(k, enc.Fields[k]))
	}
	level := slog.LevelDebug
	if e.Level > zapcore.WarnLevel {
		level = slog.LevelWarn
	}
	c.log.LogAttrs(context.Background(), level, "etcd client: "+e.Message, attrs...)
	return nil
}

func (l *lastSaid) due(message string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.at[message]; ok && now.Sub(at) < logEvery {
		return false
	}
	l.at[message] = now
	return true
}
