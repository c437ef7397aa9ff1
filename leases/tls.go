package leases

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// renewed is TLS with a configuration made anew for each connection, so that certificates and authorities that were replaced in their files count from the
// next connection on. One that stands is left alone.
type renewed struct {
	credentials.TransportCredentials // for all but the handshake
	config                           func() (*tls.Config, error)
}

func newRenewed(config func() (*tls.Config, error)) credentials.TransportCredentials {
	return renewed{credentials.NewTLS(nil), config}
}

// ClientHandshake implements credentials.TransportCredentials.
func (r renewed) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, err := r.config()
	if err != nil {
		return nil, nil, fmt.Errorf("make the TLS configuration: %w", err)
	}
	return credentials.NewTLS(c).ClientHandshake(ctx, authority, conn)
}

// Clone implements credentials.TransportCredentials.
func (r renewed) Clone() credentials.TransportCredentials {
	return renewed{r.TransportCredentials.Clone(), r.config}
}
