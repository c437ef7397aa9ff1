package config

import (
	"net/netip"
	"strings"
)

// DefaultMetrics is where metrics are served unless the file says otherwise:
// on this host alone, since nobody is asked for a password there.
const DefaultMetrics = "127.0.0.1:9846"

// readListen reads an address and port to listen on. An empty value is one:
// nowhere.
func readListen(t table) string {
	if v, ok := t.value("listen"); ok && v == "" {
		return ""
	}
	s := t.text("listen", DefaultMetrics)
	whole := s
	if strings.HasPrefix(s, ":") {
		whole = "[::]" + s
	}
	if at, err := netip.ParseAddrPort(whole); err != nil || at.Port() == 0 {
		t.problem("listen", `%s is no address and port; write one such as %q, or "" for none`, quote(s), DefaultMetrics)
	}
	return s
}

func (m Metrics) describe() string {
	if m.Listen == "" {
		return "on the control socket alone"
	}
	return m.Listen + " and the control socket"
}

func (c Control) describe() string {
	if c.Group == "" {
		return c.Socket
	}
	return c.Socket + ", for root and group " + c.Group
}
