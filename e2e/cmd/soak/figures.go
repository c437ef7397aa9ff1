package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viplease/e2e/faults"
	"viplease/e2e/judge"
	"viplease/e2e/probe"
)

// figures are what a soak found.
type figures struct {
	Seconds float64 `json:"seconds"`
	Seed    uint64  `json:"seed"`
	Nodes   int     `json:"nodes"`
	VIPs    int     `json:"vips"`
	Failure string  `json:"failure,omitempty"`

	Injected int            `json:"faults_injected"` // all that took effect
	Kinds    []*kindFigures `json:"kinds"`

	Unheld     float64 `json:"vip_seconds_unheld"`     // up on no machine, by the judge
	Unanswered float64 `json:"vip_seconds_unanswered"` // by the client
	WorstMS    float64 `json:"longest_outage_ms"`
	Moves      int     `json:"moves"`
	Overlaps   int     `json:"overlaps"`             // faults all of them
	Across     int     `json:"overlaps_across_cuts"` // with a machine that was cut off, which fast mode allows
	HealedMS   float64 `json:"longest_overlap_after_a_cut_ms"`

	Longest []string `json:"longest_outages"` // in words, with what was broken

	Settled   []float64 `json:"settled_seconds"` // each quiet phase
	Revisions [2]int64  `json:"etcd_revisions"`
}

// kindFigures are those of one kind of fault.
type kindFigures struct {
	Kind     string  `json:"kind"`
	Injected int     `json:"injected"`
	NoEffect int     `json:"no_effect"`
	Outages  int     `json:"outages"` // that nothing else can have caused
	WorstMS  float64 `json:"longest_outage_ms"`
}

// figures are those of the soak until an instant.
func (s *run) figures(until time.Duration) figures {
	f := figures{
		Seconds: (until - s.began).Seconds(), Seed: s.o.seed, Nodes: s.o.nodes, VIPs: s.o.vips,
		Overlaps: len(s.Judge.Faults()), Revisions: s.revisions,
	}
	all := s.Judge.Overlaps()
	f.Across = len(all) - f.Overlaps
	for _, o := range all {
		f.HealedMS = max(f.HealedMS, o.Together.Seconds()*1e3)
	}
	if s.began == 0 {
		f.Seconds = 0
		return f // there never was a beginning
	}
	for _, d := range s.settled {
		f.Settled = append(f.Settled, max(0, d).Seconds())
	}
	b := book{vips: s.VIPs, history: s.Judge.History(), outages: s.Probe.Outages(s.began), outcomes: s.Outcomes()}
	f.count(&b, s.began, until)
	return f
}

// book is what happened: all that figures are made of.
type book struct {
	vips     []netip.Addr
	history  []judge.Change
	outages  []probe.Outage
	outcomes []faults.Outcome
}

func (f *figures) count(b *book, from, until time.Duration) {
	of := map[string]*kindFigures{}
	for _, k := range faults.Kinds {
		of[k.Name] = &kindFigures{Kind: k.Name}
		f.Kinds = append(f.Kinds, of[k.Name])
	}
	for _, o := range b.outcomes {
		k := of[o.Kind.Name]
		if o.Without != "" {
			k.NoEffect++
			continue
		}
		k.Injected++
		f.Injected++
	}
	f.Longest = b.longest(3, from)
	var unheld time.Duration
	for _, v := range b.vips {
		down, moves := b.unheld(v, from, until)
		unheld += down
		f.Moves += moves
	}
	f.Unheld = unheld.Seconds()
	for _, o := range b.outages {
		f.Unanswered += o.Duration.Seconds()
		f.WorstMS = max(f.WorstMS, ms(o.Duration))
		if cause, ok := b.cause(o); ok {
			k := of[cause.Kind.Name]
			k.Outages++
			k.WorstMS = max(k.WorstMS, ms(o.Duration))
		}
	}
}

// unheld returns how long the VIP was up nowhere between two instants, and how often it came up elsewhere than before.
func (b *book) unheld(vip netip.Addr, from, until time.Duration) (down time.Duration, moves int) {
	up, last := map[string]bool{}, ""
	since := from // the last change, or the beginning
	for _, c := range b.history {
		if c.VIP != vip || c.At > until {
			continue
		}
		if c.At > from {
			if len(up) == 0 {
				down += c.At - since
			}
			if c.Up && last != "" && last != c.Node {
				moves++
			}
			since = c.At
		}
		if c.Up {
			up[c.Node], last = true, c.Node
		} else {
			delete(up, c.Node)
		}
	}
	if len(up) == 0 {
		down += until - since
	}
	return down, moves
}

// cause is the fault that an outage comes from, if only one can be: it was in force, or over for no longer than a second, and hit the VIP, or the machine
// that had it, or etcd.
func (b *book) cause(o probe.Outage) (cause faults.Outcome, ok bool) {
	const after = time.Second
	on := b.holder(o.VIP, o.Start)
	for _, f := range b.outcomes {
		if f.Without != "" || !during(f, o.Start-after, o.Start) || !f.Touches(on, o.VIP) {
			continue
		}
		if ok {
			return cause, false
		}
		cause, ok = f, true
	}
	return cause, ok
}

// during tells whether a fault was in force at any time between two instants.
func during(f faults.Outcome, from, to time.Duration) bool {
	return f.Began <= to && (f.Ended == 0 || from <= f.Ended)
}

// holder is the machine that had the VIP up at an instant, or had it last before.
func (b *book) holder(vip netip.Addr, at time.Duration) (node string) {
	for _, c := range b.history {
		if c.At > at {
			break
		}
		if c.VIP == vip && c.Up {
			node = c.Node
		}
	}
	return node
}

// longest describes the longest outages: who had the VIP, and every fault that may have prolonged them. Of those that began together it takes one.
func (b *book) longest(most int, from time.Duration) (all []string) {
	const before = 5 * time.Second // a fault may show so late
	outages := slices.Clone(b.outages)
	slices.SortFunc(outages, func(x, y probe.Outage) int { return cmp.Compare(y.Duration, x.Duration) })
	var told []time.Duration
	for _, o := range outages {
		if slices.ContainsFunc(told, func(at time.Duration) bool { return (o.Start - at).Abs() < before }) {
			continue
		}
		if told = append(told, o.Start); len(told) > most {
			break
		}
		end := o.Start + o.Duration + o.Stalled
		text := fmt.Sprintf("%s for %.1fs from %.1fs on", o.VIP, o.Duration.Seconds(), (o.Start - from).Seconds())
		for _, c := range b.history {
			if c.VIP == o.VIP && o.Start-before <= c.At && c.At <= end+time.Second {
				text += fmt.Sprintf("\n        %7.1fs %s", (c.At - from).Seconds(), map[bool]string{true: "up on ", false: "gone from "}[c.Up]+c.Node)
			}
		}
		for _, f := range b.outcomes {
			if during(f, o.Start-before, end) && f.Without == "" {
				text += fmt.Sprintf("\n        %7.1fs to %.1fs %v", (f.Began - from).Seconds(), (f.Ended - from).Seconds(), f)
			}
		}
		all = append(all, text)
	}
	return all
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// print prints them for people.
func (f *figures) print() {
	tried, worst := 0, 0.0
	fmt.Printf("\n%-18s %9s %10s %16s %15s\n", "fault", "injected", "no effect", "outages by it", "longest")
	for _, k := range f.Kinds {
		tried += k.Injected + k.NoEffect
		if k.Injected+k.NoEffect > 0 {
			fmt.Printf("%-18s %9d %10d %16d %12.1f ms\n", k.Kind, k.Injected, k.NoEffect, k.Outages, k.WorstMS)
		}
	}
	for _, s := range f.Settled {
		worst = max(worst, s)
	}
	total := f.Seconds * float64(f.VIPs)
	fmt.Printf("\n%.1f minutes, seed %d, %d nodes, %d VIPs\n", f.Seconds/60, f.Seed, f.Nodes, f.VIPs)
	fmt.Printf("faults injected: %d of %d that were tried, %.1f a minute\n", f.Injected, tried, 60*float64(f.Injected)/max(f.Seconds, 1))
	fmt.Printf("VIP-seconds down: %.1f up nowhere (%.2f %%), %.1f without an answer at the client (%.2f %%); the longest outage %.1f s\n",
		f.Unheld, 100*f.Unheld/max(total, 1), f.Unanswered, 100*f.Unanswered/max(total, 1), f.WorstMS/1000)
	for _, o := range f.Longest {
		fmt.Println("    " + o)
	}
	fmt.Printf("moves: %d; etcd went from revision %d to %d\n", f.Moves, f.Revisions[0], f.Revisions[1])
	fmt.Printf("quiet phases: %d, at rest after %.1f s at the worst\n", len(f.Settled), worst)
	fmt.Printf("overlaps: %d\n", f.Overlaps)
	if f.Across > 0 {
		fmt.Printf("across cuts: %d, two answered for %.1f ms at the most after one had healed\n", f.Across, f.HealedMS)
	}
}
