package metrics

import (
	_ "embed"
	"fmt"
	"strconv"

	"viplease/coordinator"
)

//go:embed page.css
var pageStyle markup

// render is the whole page.
func (d pageData) render() markup {
	refresh := strconv.Itoa(d.Refresh)
	return "<!DOCTYPE html>\n" + element("html", attrs{"lang", "en"},
		element("head", nil,
			tag("meta", attrs{"charset", "utf-8"}),
			tag("meta", attrs{"name", "viewport", "content", "width=device-width, initial-scale=1"}),
			tag("meta", attrs{"name", "color-scheme", "content", "light dark"}),
			tag("meta", attrs{"http-equiv", "refresh", "content", refresh}),
			element("title", nil, text("%s%s on %s", d.headline(), d.Snap.Group, d.Snap.Node)),
			tag("link", attrs{"rel", "icon", "href", "data:,"}),
			element("style", nil, pageStyle),
		), "\n",
		element("body", nil,
			element("header", nil,
				element("h1", nil, text("%s", d.Snap.Group)),
				element("span", nil, "as ", element("b", nil, text("%s", d.Snap.Node)), " sees it"), "\n",
				element("small", nil, text("viplease %s, %s, again every %s s", d.Version, d.At, refresh)),
			), "\n",
			element("div", class("facts"), d.facts()...), "\n",
			d.notes(),
			element("h2", nil, "VIPs"), "\n", d.vips(), "\n",
			element("h2", nil, "What happened here lately"), "\n", d.events(), "\n",
			element("p", class("soft"), element("small", nil, "Read only. ", link("/metrics"), " ", link("/healthz"), " ", link("/readyz"),
				". Changes: ", element("code", nil, "viplease drain"), ", ", element("code", nil, "viplease plan"), " on a node.")), "\n",
		)) + "\n"
}

func link(path string) markup { return element("a", attrs{"href", path}, text("%s", path)) }

// headline is what the title begins with: it is what a tab shows.
func (d pageData) headline() string {
	switch {
	case d.Bad > 0:
		return fmt.Sprintf("%d not up, ", d.Bad)
	case d.Stale:
		return "no etcd, "
	}
	return ""
}

// facts is how it stands, in one line.
func (d pageData) facts() []markup {
	vips := element("span", attrs{"id", "vips", "class", "good"}, text("all %d VIPs held", len(d.Rows)))
	switch {
	case d.Bad > 0:
		vips = element("span", attrs{"id", "vips", "class", "bad"}, element("b", nil, text("%d of %d VIPs not up", d.Bad, len(d.Rows))))
	case d.Stale:
		vips = element("span", attrs{"id", "vips", "class", "warn"}, text("%d VIPs", len(d.Rows)))
	}
	ready := element("span", class("warn"), "this node is not ready")
	if d.Ready {
		ready = element("span", class("good"), "this node is ready")
	}
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'g', -1, 64) }
	left := element("meter", attrs{"min", "0", "max", seconds(d.Hold), "low", seconds(d.Low), "value", seconds(d.Left)}, text("%s", seconds(d.Left)))
	return []markup{
		vips, "\n", element("span", attrs{"id", "ready"}, ready), "\n",
		element("span", attrs{"id", "authority"}, "authority ", left, text(" %.1f s of %s s left", d.Left, seconds(d.Hold))), "\n",
		element("span", attrs{"id", "takeover"}, d.takeover()), "\n",
		element("span", nil, text("etcd revision %d", d.Snap.Revision)),
	}
}

// takeover is how soon others would have this node's VIPs if its host died.
func (d pageData) takeover() markup {
	switch t := d.Snap.Takeover; {
	case !t.On:
		return "takeover waits for the lease"
	case t.Slow() != "":
		return element("span", class("warn"), "takeover is not fast")
	default:
		return text("fast takeover, guarded by %d", t.Guards)
	}
}

// notes is what an operator has to know first.
func (d pageData) notes() markup {
	note := func(tone, format string, args ...any) markup {
		return element("p", class("note "+tone), text(format, args...)) + "\n"
	}
	return when(d.Stale, note("bad", "This node hears nothing from etcd: what the others do is shown as of revision %d, and may be different by now.", d.Snap.Revision)) +
		each(d.Troubles, func(why string) markup { return note("bad", "%s", why) }) +
		when(d.Snap.Takeover.Slow() != "", note("warn", "takeover: %s", d.Snap.Takeover.Slow())) +
		when(d.Snap.Frozen != "", note("warn", "frozen %s: no VIP is moved", d.Snap.Frozen))
}

// vips is the table of who holds what.
func (d pageData) vips() markup {
	if len(d.Rows) == 0 {
		return element("p", class("soft"), "None is known.")
	}
	return element("div", class("wide"), element("table", class("vips"),
		element("thead", nil, element("tr", nil,
			heading("VIP"), "\n",
			each(d.Snap.Members, d.column),
			heading("why"),
		)), "\n",
		element("tbody", nil, "\n", each(d.Rows, pageRow.render)),
	))
}

func heading(name string) markup { return element("th", attrs{"scope", "col"}, text("%s", name)) }

func (d pageData) column(m coordinator.MemberStatus) markup {
	return element("th", attrs{"scope", "col", "data-node", m.Node},
		text("%s", m.Node),
		when(m.Node == d.Snap.Node, " "+element("span", attrs{"class", "soft", "title", "this node"}, "*")),
		element("small", class(memberTone(m.State)), text("%s, %d held", m.State, m.Held)),
		when(m.Why != "" && m.State != "ready", element("small", nil, text("%s", m.Why))),
	) + "\n"
}

func (r pageRow) render() markup {
	why := "why"
	if r.Bad {
		why += " bad"
	}
	small := func(s string) markup { return element("small", nil, text("%s", s)) }
	return element("tr", attrs{"data-vip", r.Name, "data-state", r.State},
		element("th", attrs{"scope", "row"}, text("%s", r.Name), each(r.Addresses, small)), "\n",
		each(r.Cells, func(c pageCell) markup {
			return element("td", attrs{"class", "cell " + c.Tone, "data-node", c.Node}, text("%s", c.Text), when(c.Since != "", small(c.Since))) + "\n"
		}),
		element("td", class(why),
			when(r.Bad && r.State != "held", element("b", nil, text("%s", r.State))+": "),
			text("%s", r.Why),
			when(r.Rival != "", element("small", class("bad"), text("also used by machine %s", r.Rival))),
		),
	) + "\n"
}

// events is the table of the last events, the last first.
func (d pageData) events() markup {
	if len(d.Events) == 0 {
		return element("p", class("soft"), "Nothing.")
	}
	return element("div", class("wide"), element("table", class("events"),
		element("thead", nil, element("tr", nil, each([]string{"time (UTC)", "event", "VIP", "node", "why"}, heading))), "\n",
		element("tbody", nil, "\n", each(d.Events, func(e coordinator.Event) markup {
			return element("tr", nil,
				element("td", class("nowrap soft"), text("%s", e.At.UTC().Format("Jan _2 15:04:05"))),
				element("td", class("nowrap"), text("%s", e.What)),
				element("td", nil, element("b", nil, text("%s", e.VIP))),
				element("td", nil, text("%s", e.Node)),
				element("td", class("why"), text("%s", e.Why)),
			) + "\n"
		})),
	))
}
