package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// The listener's limits. Whoever can reach it may be anybody.
const (
	maxConns      = 64 // file descriptors that scrapers can cost; further ones wait in the kernel's backlog
	maxHeader     = 16 << 10
	headerTimeout = 2 * time.Second
	writeTimeout  = 10 * time.Second // that long a scraper may take over its answer
	idleTimeout   = 2 * time.Minute  // scrapers come every 15 to 60 s and like to keep their connection
	// shutdownTimeout is what answers under way get when the daemon leaves: a scraper that does not read must not keep it.
	shutdownTimeout = 200 * time.Millisecond
	// bindAgain is how long a port stays taken before it is tried again.
	bindAgain = 2 * time.Second
)

// Serve answers on the TCP address until ctx ends, with the page as well. It never gives up and never fails, see the package comment; what is wrong, it
// logs, once for each different reason.
func (m *Metrics) Serve(ctx context.Context, address string, log *slog.Logger) {
	mux := http.NewServeMux()
	for path, h := range m.Handlers() {
		mux.Handle(path, h)
	}
	mux.Handle("/{$}", readOnly(m.page()))
	complained := ""
	for {
		err := serve(ctx, address, mux, log)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != complained {
			complained = text
			log.Warn("metrics are not served there; the VIPs are not affected, and it is tried again",
				"listen", address, "err", err, "again", bindAgain, "hint", "write another metrics.listen if something else has the port, or \"\" for none")
		}
		again := time.NewTimer(bindAgain)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
}

// serve answers until ctx ends or the listener breaks.
func serve(ctx context.Context, address string, h http.Handler, log *slog.Logger) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err // it names the address
	}
	log.Info("serving metrics", "listen", ln.Addr().String())
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers send is no news
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(ln, maxConns)) }()
	select {
	case err = <-served:
		err = fmt.Errorf("serve on %s: %w", address, err)
		srv.Close()
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
		<-served
		err = nil
	}
	return err
}
