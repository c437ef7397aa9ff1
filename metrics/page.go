package metrics

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"viplease/coordinator"
)

const (
	refreshEvery = 5  // seconds between two views of the page
	shownEvents  = 50 // of the last events
)

// The page takes nothing from anywhere else, and runs no script.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page answers with what the node knows, as HTML.
func (m *Metrics) page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		page := m.pageData().render()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", pagePolicy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, string(page)) // a reader who has gone is no news
	})
}

// pageData is what the page shows.
type pageData struct {
	Snap     coordinator.Snapshot
	Version  string
	At       string
	Refresh  int
	Ready    bool
	Bad      int      // VIPs that nobody holds, or that this node holds and has not up
	Stale    bool     // what others do is not known any more
	Troubles []string // what an operator has to know first

	Left, Hold, Low float64 // seconds of authority
	Rows            []pageRow
	Events          []coordinator.Event // the last first
}

// pageRow is one VIP, with a cell for each member.
type pageRow struct {
	coordinator.VIPStatus
	Bad   bool
	Cells []pageCell
}

type pageCell struct{ Node, Text, Since, Tone string }

func (m *Metrics) pageData() pageData {
	s, at := m.view.get()
	d := pageData{
		Snap: s, Version: m.cfg.Version, At: at.UTC().Format("2006-01-02 15:04:05 UTC"), Refresh: refreshEvery,
		Stale: s.Etcd.AuthorityMS == 0,
		Left:  float64(s.Etcd.AuthorityMS) / 1000, Hold: m.cfg.Hold.Seconds(), Low: m.cfg.Hold.Seconds() / 2,
	}
	conditions := readiness(s)
	d.Ready = isReady(conditions)
	for _, c := range conditions {
		if c.why != "" {
			d.Troubles = append(d.Troubles, c.what+": "+c.why)
		}
	}
	for _, v := range s.VIPs {
		row := pageRow{VIPStatus: v, Bad: v.State != "held" && v.State != "moving" || v.Node == s.Node && !v.Here}
		row.Addresses = shown(v)
		for _, member := range s.Members {
			c := cell(v, member.Node, s.Node, at)
			c.Node = member.Node
			if d.Stale && c.Tone == "good" && c.Node != s.Node {
				c.Text, c.Tone = "held", "warn" // and may not any more
			}
			row.Cells = append(row.Cells, c)
		}
		if row.Bad {
			d.Bad++
		}
		d.Rows = append(d.Rows, row)
	}
	slices.SortStableFunc(d.Rows, func(a, b pageRow) int { return int(number(b.Bad) - number(a.Bad)) })
	d.Events = slices.Clone(s.Events[max(0, len(s.Events)-shownEvents):])
	slices.Reverse(d.Events)
	return d
}

// shown are the addresses of a VIP, but for one that is its name.
func shown(v coordinator.VIPStatus) []string {
	if len(v.Addresses) == 1 {
		if bare, _, _ := strings.Cut(v.Addresses[0], "/"); bare == v.Name {
			return nil
		}
	}
	return v.Addresses
}

// cell is what a VIP is to a node.
func cell(v coordinator.VIPStatus, node, self string, at time.Time) pageCell {
	since := ""
	if !v.Since.IsZero() {
		since = "for " + age(at.Sub(v.Since))
	}
	switch {
	case v.Node == node && v.State == "moving":
		return pageCell{Text: "hands over", Since: since, Tone: "warn"}
	case v.Node == node && node == self && !v.Here:
		return pageCell{Text: "claimed, not up", Since: since, Tone: "bad"}
	case v.Node == node && node != "":
		return pageCell{Text: "holds", Since: since, Tone: "good"}
	case node == self && v.Here:
		return pageCell{Text: "still up", Tone: "bad"}
	case v.To == node && node != "":
		return pageCell{Text: "takes over", Tone: "warn"}
	}
	return pageCell{}
}

func memberTone(state string) string {
	switch state {
	case "ready":
		return "good"
	case "gone", "unfit":
		return "bad"
	}
	return "warn"
}

// age is a time as precise as a person cares. Clocks of other nodes may be ahead: less than nothing is nothing.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/day)
}
