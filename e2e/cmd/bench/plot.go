package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"

	"viplease/e2e/probe"
)

// The values of the paper's figure: Yair Amir, Ryan Caudy, Ashima Munjal, Theo Schlossnagle and Ciprian Tutu, "N-Way Fail-Over Infrastructure for Reliable
// Servers and Routers", DSN 2003, section 6, with the timeouts of Spread by default and tuned.
var (
	wackamole      = published(10.82, 11.26, 10.79, 11.29, 11.22, 11.04, 10.97, 11.11, 11.34, 11.09, 12.08)
	wackamoleTuned = published(2.14, 2.17, 2.27, 2.21, 2.18, 2.23, 2.21, 2.26, 2.16, 2.25, 2.23)
)

// published are seconds for two nodes and upwards.
func published(values ...float64) map[int]time.Duration {
	out := map[int]time.Duration{}
	for i, v := range values {
		out[2+i] = time.Duration(math.Round(v*1000)) * time.Millisecond
	}
	return out
}

// A point is what was measured with one number of nodes.
type point struct {
	nodes               int
	median, least, most time.Duration
}

// A series is a line of the plot, or, where it is one point, that point.
type series struct {
	name, color string
	dashed      bool // published elsewhere
	points      []point
}

// A plot is outages against numbers of nodes, on a logarithmic scale.
type plot struct {
	title  string
	about  []string
	series []series
}

// plot is the paper's figure, and beside it what keepalived did on as many nodes as it ran on.
func (r *report) plot() plot {
	p := plot{title: "Outage of a VIP when its host dies", about: []string{
		"Ten VIPs; a host is frozen and cut off. Medians, with the least and the most.",
		"Dashed: published in 2003, a cable unplugged. Diamonds: keepalived, measured on three nodes.",
	}}
	p.series = []series{
		{name: "Wackamole", color: "#8a8a8a", dashed: true, points: printed(wackamole)},
		{name: "viplease, strict", color: "#0072b2"},
		{name: "Wackamole, tuned", color: "#8a8a8a", dashed: true, points: printed(wackamoleTuned)},
		{name: "viplease", color: "#009e73"},
		{name: "viplease, tight", color: "#d55e00"},
	}
	for i, s := range p.series {
		for _, program := range []*program{byDefault, tight, strict} {
			if program.name == s.name {
				p.series[i].points = points(r.figure, program)
			}
		}
	}
	for _, program := range programs {
		if program == vrrpDefault || program == vrrpTight {
			p.series = append(p.series, series{name: program.name, color: "#7b3fa0", points: points(r.comparison, program)})
		}
	}
	p.series = slices.DeleteFunc(p.series, func(s series) bool { return len(s.points) == 0 })
	return p
}

func printed(values map[int]time.Duration) (out []point) {
	for n := 2; n <= 12; n++ {
		out = append(out, point{n, values[n], values[n], values[n]})
	}
	return out
}

func points(gaps []gap, p *program) (out []point) {
	for n := 2; n <= 12; n++ {
		if all := lost(gaps, p, hostDeath, n); len(all) > 0 {
			median, _, _ := probe.Summary(all)
			out = append(out, point{n, median, slices.Min(all), slices.Max(all)})
		}
	}
	return out
}

// Where things are, in pixels.
const (
	width, height          = 880, 540
	left, right            = 80, 676 // of the plot's area; names stand to the right of it
	top, bottom            = 96, 482
	fewest, most           = 1.5, 12.5 // nodes
	shortest, longest      = 10 * time.Millisecond, 20 * time.Second
	lineHeight             = 17 // of names
	ink, faint, background = "#222", "#e4e4e4", "#fff"
)

func x(nodes float64) float64 { return left + (right-left)*(nodes-fewest)/(most-fewest) }

func y(d time.Duration) float64 {
	d = min(max(d, shortest), longest)
	return bottom - (bottom-top)*math.Log(float64(d)/float64(shortest))/math.Log(float64(longest)/float64(shortest))
}

// spaced is a round duration with a space before its unit.
func spaced(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// svg draws the plot.
func (p plot) svg() string {
	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	draw(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, 'Helvetica Neue', Arial, sans-serif" font-size="13">`, width, height, width, height)
	draw(`<title>%s</title>`, html.EscapeString(p.title))
	draw(`<rect width="%d" height="%d" fill="%s"/>`, width, height, background)
	draw(`<text x="%d" y="32" font-size="18" font-weight="600" fill="%s">%s</text>`, left, ink, html.EscapeString(p.title))
	for i, line := range p.about {
		draw(`<text x="%d" y="%d" fill="#555">%s</text>`, left, 53+i*lineHeight, html.EscapeString(line))
	}
	p.axes(draw)
	for _, s := range p.series {
		s.draw(draw)
	}
	p.names(draw)
	draw(`</svg>`)
	return b.String()
}

// axes draws the grid and what is written along it.
func (p plot) axes(draw func(string, ...any)) {
	for _, decade := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second} {
		for k := time.Duration(1); k < 10 && k*decade <= longest; k++ {
			at, color := y(k*decade), faint
			if k == 1 {
				color = "#b8b8b8"
			}
			draw(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s"/>`, left, right, at, at, color)
			if k == 1 {
				draw(`<text x="%d" y="%.1f" text-anchor="end" fill="%s">%v</text>`, left-10, at+4.5, ink, spaced(decade))
			}
		}
	}
	for n := 2; n <= 12; n++ {
		draw(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#999"/>`, x(float64(n)), x(float64(n)), bottom, bottom+5)
		draw(`<text x="%.1f" y="%d" text-anchor="middle" fill="%s">%d</text>`, x(float64(n)), bottom+21, ink, n)
	}
	draw(`<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#999"/>`, left, right, bottom, bottom)
	draw(`<text x="%d" y="%d" text-anchor="middle" fill="%s">nodes</text>`, (left+right)/2, bottom+44, ink)
	draw(`<text transform="translate(24 %d) rotate(-90)" text-anchor="middle" fill="%s">outage, logarithmic</text>`, (top+bottom)/2, ink)
}

func (s series) draw(draw func(string, ...any)) {
	draw(`<g stroke="%s" fill="%s" stroke-width="1.6">`, s.color, s.color)
	if len(s.points) > 1 {
		var line []string
		for _, p := range s.points {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(float64(p.nodes)), y(p.median)))
		}
		dash := ""
		if s.dashed {
			dash = ` stroke-dasharray="6 4"`
		}
		draw(`<polyline fill="none" stroke-width="2"%s points="%s"/>`, dash, strings.Join(line, " "))
	}
	for _, p := range s.points {
		at := x(float64(p.nodes))
		if p.least != p.most {
			draw(`<path fill="none" d="M%.1f %.1fV%.1fm-4 0h8M%.1f %.1fh8"/>`, at, y(p.least), y(p.most), at-4, y(p.least))
		}
		s.mark(draw, at, y(p.median), fmt.Sprintf("%s, %d nodes: %v", s.name, p.nodes, p.median.Round(time.Millisecond)))
	}
	draw(`</g>`)
}

// mark draws what a point of the series looks like.
func (s series) mark(draw func(string, ...any), x, y float64, says string) {
	says = html.EscapeString(says)
	switch {
	case len(s.points) == 1:
		draw(`<path d="M%.1f %.1fl6 -6l6 6l-6 6z" stroke="%s"><title>%s</title></path>`, x-6, y, background, says)
	case s.dashed:
		draw(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s</title></circle>`, x, y, background, says)
	default:
		draw(`<circle cx="%.1f" cy="%.1f" r="4.5" stroke="%s"><title>%s</title></circle>`, x, y, background, says)
	}
}

// names writes the name of each series at the height of its last point, or as near to that as there is room.
func (p plot) names(draw func(string, ...any)) {
	sorted := slices.SortedFunc(slices.Values(p.series), func(a, b series) int { return int(y(last(a)) - y(last(b))) })
	free := float64(top)
	for _, s := range sorted {
		at := max(y(last(s)), free)
		free = at + lineHeight
		draw(`<g stroke="%s" fill="%s" stroke-width="1.6">`, s.color, s.color)
		s.mark(draw, right+18, at, s.name)
		draw(`</g>`)
		draw(`<text x="%d" y="%.1f" fill="%s" font-weight="600">%s</text>`, right+32, at+4.5, s.color, html.EscapeString(s.name))
	}
}

func last(s series) time.Duration { return s.points[len(s.points)-1].median }
