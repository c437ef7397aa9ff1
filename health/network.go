package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
)

// maxBody is how much of an answer or of a program's output is looked at.
const maxBody = 4 << 10

// maxHeader bounds the headers of an answer. Servers send some hundred bytes, and accept 8 KiB to 64 KiB themselves.
const maxHeader = 64 << 10

// dial connects. It uses Go's own resolver because a lookup by the C library cannot be cancelled.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Resolver: &net.Resolver{PreferGo: true}}
	return dialer.DialContext(ctx, network, address)
}

type httpProbe struct{ target string }

func (p httpProbe) try(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "viplease")
	response, err := client(ctx).Do(request)
	if err != nil {
		var wrapped *url.Error // it repeats the URL, which the operator has in the configuration
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return overdue(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("HTTP %s%s", response.Status, told(response.Header, body))
	}
	if err != nil {
		return fmt.Errorf("HTTP %s, but the body broke off: %w", response.Status, overdue(ctx, err))
	}
	return nil
}

// told is what a server says about its failure to people: the first line of a plain text.
func told(header http.Header, body []byte) string {
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return ""
	}
	return firstLine(body)
}

func (httpProbe) close() error { return nil }

// client is for one request, and its connection ends with ctx. A transport that is kept would connect, and shake hands, on in the background when a request
// is over, for minutes, in the hope of another request; with a server that hangs, those pile up. And a connection that is kept would say that the server
// still has that one, not that it accepts another.
func client(ctx context.Context) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if err == nil {
					context.AfterFunc(ctx, func() { _ = conn.Close() })
				}
				return conn, err
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type tcpProbe struct{ address string }

func (p tcpProbe) try(ctx context.Context) error {
	conn, err := dial(ctx, "tcp", p.address)
	if err != nil {
		return overdue(ctx, err)
	}
	_ = conn.Close() // it was accepted; how it ends says nothing about the service
	return nil
}

func (tcpProbe) close() error { return nil }
