package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"viplease/e2e/judge"
	"viplease/e2e/probe"
)

// A report is what failover found: tables, a plot, and every gap.
type report struct {
	at               time.Time
	machine, command string
	comparison       []gap // all programs, with stops and deaths
	figure           []gap // deaths of viplease's hosts, by the number of nodes
	overlaps         map[*program][]judge.Overlap
	wrong            []string // what was not measured, and why
}

func (r *report) fault(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	fmt.Fprintln(os.Stderr, "bench:", what)
	r.wrong = append(r.wrong, what)
}

// write puts the report into a folder.
func (r *report) write(folder string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "failover.md"), []byte(r.markdown()), 0o644),
		os.WriteFile(filepath.Join(folder, "failover.svg"), []byte(r.plot().svg()), 0o644),
		r.writeGaps(filepath.Join(folder, "failover.csv")),
	)
}

func (r *report) writeGaps(file string) error {
	rows := [][]string{{"part", "program", "nodes", "event", "node", "vip", "gap_ms", "stalled_ms"}}
	for part, gaps := range map[string][]gap{"comparison": r.comparison, "figure": r.figure} {
		for _, g := range gaps {
			rows = append(rows, []string{part, g.program.name, strconv.Itoa(g.nodes), g.event, g.victim, g.vip.String(),
				fmt.Sprintf("%.3f", milliseconds(g.lost)), fmt.Sprintf("%.3f", milliseconds(g.stalled))})
		}
	}
	slices.SortStableFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// lost are the gaps of one kind; nodes 0: of all sizes.
func lost(gaps []gap, p *program, event string, nodes int) (out []time.Duration) {
	for _, g := range gaps {
		if g.program == p && g.event == event && (nodes == 0 || g.nodes == nodes) {
			out = append(out, g.lost)
		}
	}
	return out
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Failover, measured\n\n    %s\n\nmade this page on %s, its plot, and [every gap](failover.csv): %s.\n", r.command, r.at.Format(time.DateOnly), r.machine)
	b.WriteString("How it is measured, and whether the comparison is fair: [benchmarks.md](benchmarks.md#failover).\n")
	for _, w := range r.wrong {
		fmt.Fprintf(&b, "\n**Not whole**: %s.\n", strings.ReplaceAll(w, "\n", " "))
	}
	fmt.Fprintf(&b, "\n## Beside keepalived\n\nThree nodes, ten VIPs, five of each family. A figure is what the client lost of one VIP.\n\n")
	b.WriteString(r.comparisonTable())
	b.WriteString("\n## The figure of the paper\n\n![Outage against the number of nodes](failover.svg)\n\n")
	b.WriteString("Ten VIPs; a host dies. Median, and in brackets the least and the most. Wackamole's values are those of the paper (DSN 2003, section 6): one VIP, probed every 10 ms,\nthe owner's cable unplugged.\n\n")
	b.WriteString(r.figureTable())
	return b.String()
}

// comparisonTable has a row for each program, with ratios to viplease as shipped, and the settings below.
func (r *report) comparisonTable() string {
	rows := [][]string{{"program", "host death: median", "p95", "worst", "times viplease", "graceful stop: median", "p95", "worst", "times viplease", "gaps", "VIPs on two hosts at once"}}
	var settings strings.Builder
	for _, p := range programs {
		row, count := []string{p.name}, 0
		for _, event := range []string{hostDeath, gracefulStop} {
			all := lost(r.comparison, p, event, 0)
			median, p95, worst := probe.Summary(all)
			base, _, _ := probe.Summary(lost(r.comparison, byDefault, event, 0))
			row = append(row, figure(median, all), figure(p95, all), figure(worst, all), ratio(median, base))
			count += len(all)
		}
		rows = append(rows, append(row, strconv.Itoa(count), overlapped(r.overlaps[p])))
		fmt.Fprintf(&settings, "- %s: %s\n", p.name, p.settings)
	}
	return markdown(rows) + "\n" + settings.String()
}

// figureTable has a row for each number of nodes.
func (r *report) figureTable() string {
	rows := [][]string{{"nodes", "Wackamole", "Wackamole, tuned", "viplease, strict", "viplease", "viplease, tight", "Wackamole / viplease", "Wackamole, tuned / viplease, tight"}}
	for _, n := range r.sizes() {
		row := []string{strconv.Itoa(n), seconds(wackamole[n]), seconds(wackamoleTuned[n])}
		median := map[*program]time.Duration{}
		for _, p := range []*program{strict, byDefault, tight} {
			all := lost(r.figure, p, hostDeath, n)
			median[p], _, _ = probe.Summary(all)
			text := figure(median[p], all)
			if len(all) > 0 {
				text += fmt.Sprintf(" (%.0f to %.0f)", milliseconds(slices.Min(all)), milliseconds(slices.Max(all)))
			}
			row = append(row, text)
		}
		rows = append(rows, append(row, ratio(wackamole[n], median[byDefault]), ratio(wackamoleTuned[n], median[tight])))
	}
	return markdown(rows)
}

// sizes are the numbers of nodes that were measured.
func (r *report) sizes() (out []int) {
	for _, g := range r.figure {
		if !slices.Contains(out, g.nodes) {
			out = append(out, g.nodes)
		}
	}
	slices.Sort(out)
	return out
}

func figure(d time.Duration, of []time.Duration) string {
	if len(of) == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f ms", milliseconds(d))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func ratio(d, to time.Duration) string {
	if d == 0 || to == 0 {
		return ""
	}
	digits := 2
	for r := float64(d) / float64(to); r >= 1 && digits > 0; r /= 10 {
		digits--
	}
	return strconv.FormatFloat(float64(d)/float64(to), 'f', digits, 64)
}

// overlapped counts overlaps and names the longest.
func overlapped(all []judge.Overlap) string {
	longest := time.Duration(0)
	for _, o := range all {
		longest = max(longest, o.Together)
	}
	if len(all) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, up to %.1f ms", len(all), milliseconds(longest))
}
