package metrics

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"viplease/coordinator"
)

// condition is one thing that must hold.
type condition struct {
	what string
	why  string // it does not; "": it does
}

// liveness is what /healthz asks for: a daemon without it will not mend by itself.
func liveness(s coordinator.Snapshot) []condition {
	return []condition{{"loop", unless(s.Self.Answers, s.Self.Trouble, "the coordinator's loop does not answer")}}
}

// readiness is what /readyz asks for: a node that has all of it can hold VIPs now.
func readiness(s coordinator.Snapshot) []condition {
	member := "this node is no member"
	if i := slices.IndexFunc(s.Members, func(m coordinator.MemberStatus) bool { return m.Node == s.Node }); i >= 0 {
		m := s.Members[i]
		member = unless(m.State == "ready", strings.TrimSuffix(m.State+": "+m.Why, ": "), "")
	}
	return append(liveness(s),
		condition{"registered", unless(s.Self.Registered, s.Self.Trouble, "not registered in etcd")},
		condition{"authority", unless(s.Etcd.AuthorityMS > 0, s.Etcd.Trouble, "no good check for as long as an address may stay")},
		condition{"state", member},
	)
}

// unless returns why, or what stands for it, unless it holds.
func unless(holds bool, why, otherwise string) string {
	switch {
	case holds:
		return ""
	case why == "":
		return otherwise
	}
	return why
}

func isReady(list []condition) bool {
	return !slices.ContainsFunc(list, func(c condition) bool { return c.why != "" })
}

// probe answers with the conditions, one a line, and 200 if all hold.
func (m *Metrics) probe(conditions func(coordinator.Snapshot) []condition) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s, _ := m.view.get()
		list := conditions(s)
		var b strings.Builder
		for _, c := range list {
			if c.why == "" {
				fmt.Fprintf(&b, "ok   %s\n", c.what)
			} else {
				fmt.Fprintf(&b, "FAIL %s: %s\n", c.what, strings.Join(strings.Fields(c.why), " "))
			}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if !isReady(list) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(b.String())) // a client that has gone is no news
	})
}

// Handlers are what is served, by path: on the TCP listener together with the page, and on the control socket.
func (m *Metrics) Handlers() map[string]http.Handler {
	numbers := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, ErrorHandling: promhttp.ContinueOnError})
	return map[string]http.Handler{
		"/metrics": readOnly(numbers),
		"/healthz": readOnly(m.probe(liveness)),
		"/readyz":  readOnly(m.probe(readiness)),
	}
}

// readOnly refuses every method that could want to change something.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "read only: GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}
