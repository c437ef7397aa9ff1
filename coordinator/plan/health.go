package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"viplease/coordinator/placement"
)

// Health checks say which node a VIP is better off on. Each node writes into its state which of its checks do not pass, and everybody plans with that:
//
//   - where a check fails, its VIPs leave for a node on which all of theirs pass;
//   - when there is no such node, the checks tell nothing: a VIP stays where it is, and one that has no holder goes to any node that could hold it otherwise.
//     So two nodes that fail one after the other do not pass a VIP to and fro: it moves only to a node that passes;
//   - where a check with Require fails, its VIPs are not held, even if it fails everywhere;
//   - a check without a verdict, as after a restart, and one that passes again for less than Config.Mature, gives the node nothing and takes nothing away.

// HealthCheck is one [[check]] of the configuration.
type HealthCheck struct {
	Name    string
	VIPs    []string // empty: all
	Require bool
}

// CheckState is a health check that does not pass, as its node says it in State.Checks. Its JSON is part of the contract with the outside.
type CheckState struct {
	Check   string    `json:"check"`
	Fails   bool      `json:"fails"` // else it has no verdict, or passes for too short a time
	Why     string    `json:"why"`
	Since   time.Time `json:"since,omitzero"`
	Require bool      `json:"require,omitempty"`
	VIPs    []string  `json:"vips,omitempty"` // which it is about; empty: all
}

func (c CheckState) about(vip string) bool { return len(c.VIPs) == 0 || slices.Contains(c.VIPs, vip) }

// text says it in words.
func (c CheckState) text() string { return fmt.Sprintf("check %s %s", c.Check, c.Why) }

func (c CheckState) equal(o CheckState) bool {
	return c.Check == o.Check && c.Fails == o.Fails && c.Why == o.Why && c.Since.Equal(o.Since) && c.Require == o.Require && slices.Equal(c.VIPs, o.VIPs)
}

// fitness is what the checks of a member say about it as the holder of one VIP.
type fitness int

const (
	fit       fitness = iota // all pass
	untold                   // none fails, and one has nothing to say yet
	unfit                    // one fails
	forbidden                // one with Require fails
)

func (st State) fitness(vip string) fitness {
	worst := fit
	for _, c := range st.Checks {
		switch {
		case !c.about(vip):
		case !c.Fails:
			worst = max(worst, untold)
		case !c.Require:
			worst = max(worst, unfit)
		default:
			worst = forbidden
		}
	}
	return worst
}

// heed excludes members from the VIPs that their checks keep from them.
func (v *View) heed(in *placement.Input) {
	if !slices.ContainsFunc(in.Members, func(m placement.Member) bool { return len(v.etcd.states[m.Node].Checks) > 0 }) {
		return
	}
	for k := range in.Members {
		in.Members[k].Cannot = slices.Clone(in.Members[k].Cannot) // members may share it
	}
	all := make([]fitness, len(in.Members))
	for i, vip := range in.VIPs {
		passes, stays := false, false // a node passes; its holder may keep it if none does
		for k, m := range in.Members {
			if !m.Ready || m.Cannot.Has(i) {
				all[k] = forbidden
				continue
			}
			all[k] = v.etcd.states[m.Node].State.fitness(vip.Name)
			stays = stays || vip.Holder == m.Node && all[k] != forbidden
			passes = passes || all[k] == fit
		}
		for k := range in.Members {
			m := &in.Members[k]
			holds := vip.Holder == m.Node
			may := all[k] == fit || all[k] == untold && holds || all[k] == unfit && !passes && (holds || !stays)
			if m.Ready && !may {
				m.Cannot.Add(i)
			}
		}
	}
}

// health is what this node knows of one of its checks.
type health struct {
	HealthCheck
	known, passes bool
	failed        bool // it did not pass before
	why           string
	since         time.Time     // of the verdict, for people; without one, of the process
	from          time.Duration // of the verdict
}

func newHealth(cfg Config, now Now) []health {
	var all []health
	for _, c := range cfg.Checks {
		all = append(all, health{HealthCheck: c, since: now.Wall})
	}
	return all
}

func (v *View) foldHealth(f HealthJudged, now Now) {
	for i := range v.health {
		h := &v.health[i]
		if h.Name != f.Check || h.known && h.passes == f.Passes {
			continue
		}
		h.failed = h.known && !h.passes
		h.known, h.passes, h.why, h.since, h.from = true, f.Passes, f.Why, now.Wall, now.Boot
		if f.Passes {
			v.note("", "fit", fmt.Sprintf("check %s passes", h.Name))
		} else {
			v.alarm("", "unfit", fmt.Sprintf("check %s fails: %s", h.Name, f.Why))
		}
	}
}

// checks are the checks that do not pass now, as State.Checks has them.
func (d *decision) checks() []CheckState {
	var out []CheckState
	for _, h := range d.v.health {
		c := CheckState{Check: h.Name, Since: h.since, Require: h.Require, VIPs: h.VIPs}
		switch {
		case !h.known:
			c.Why = "has no verdict yet"
		case !h.passes:
			c.Fails, c.Why = true, "fails: "+h.why
		case h.failed && !d.at(h.from+d.v.cfg.Mature):
			c.Why = fmt.Sprintf("passes again; it counts when it has passed for %v", d.v.cfg.Mature)
		default:
			continue
		}
		out = append(out, c)
	}
	return out
}

// told tells whether etcd has what this node's checks say: until then everybody plans with something else.
func (d *decision) told() bool {
	return slices.EqualFunc(d.checks(), d.v.etcd.states[d.v.cfg.Node].Checks, CheckState.equal)
}

// chosen tells whether this node may be given the VIP, as far as its checks go: they pass, or everybody comes to the conclusion that it goes here all the same.
func (d *decision) chosen(vip string) bool {
	v := d.v
	return d.told() && (v.etcd.states[v.cfg.Node].State.fitness(vip) == fit || v.placement().assign[vip] == v.cfg.Node)
}

// forbids says which check of this node forbids it to hold the VIP, and since when; "" if none does.
func (v *View) forbids(vip string) (why string, since time.Duration) {
	for _, h := range v.health {
		if h.Require && h.known && !h.passes && (CheckState{VIPs: h.VIPs}).about(vip) {
			return fmt.Sprintf("check %s fails: %s", h.Name, h.why), h.from
		}
	}
	return "", 0
}

// forbidTimeout is how long a VIP that must not be here waits for etcd to take note and for another node to take it over.
const forbidTimeout = time.Second

// checkStatus puts what the checks of a member say into its status.
func (m *MemberStatus) checkStatus(checks []CheckState) {
	m.Checks = checks
	var failing, untold []string
	for _, c := range checks {
		text, all := c.text(), len(c.VIPs) == 0
		if !all {
			text += fmt.Sprintf(" (for %s)", shorten(c.VIPs))
		}
		switch {
		case c.Fails:
			failing = append(failing, text)
			if all && m.State != "unfit" {
				m.State, m.Since = "unfit", c.Since
			}
		default:
			untold = append(untold, text)
			if all && m.State == StateReady {
				m.State, m.Since = StateJoining, c.Since
			}
		}
	}
	if texts := slices.Concat(failing, untold); len(texts) > 0 {
		m.Why = strings.TrimPrefix(m.Why+"; "+strings.Join(texts, "; "), "; ")
	}
}

// keptAnyway says why a VIP is where its check fails; "" if it is not.
func (v *View) keptAnyway(vip, node string, p *placed) string {
	if p.assign[vip] != node {
		return ""
	}
	for _, c := range v.etcd.states[node].Checks {
		if c.Fails && !c.Require && c.about(vip) {
			return fmt.Sprintf("%s keeps it although check %s fails there: no node that could hold it passes its checks", node, c.Check)
		}
	}
	return ""
}
