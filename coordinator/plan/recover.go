package plan

import (
	"slices"
	"time"

	"viplease/coordinator/placement"
)

// A node that could not hold a VIP, because of its link or because the address could not be set, and can again, is not trusted at once: a link that flaps would
// move the VIP each time. Until it has been able to for Config.Mature, which doubles with each time that setting the address failed, it says so in
// State.Recovers, and is given the VIP only if no other node can have it.

// recoveryMost bounds how long a node is not trusted with a VIP again.
const recoveryMost = 5 * time.Minute

// recovered is when this node is as good as any for the VIP, having been able to hold it for long enough; 0: it always was.
func (v *View) recovered(l *local) time.Duration {
	since := l.able
	if l.fails > 0 {
		since = max(since, l.raiseAt)
	}
	if since == 0 {
		return 0
	}
	return since + min(v.cfg.Mature<<min(l.fails, 16), recoveryMost)
}

// recovers lists the VIPs that this node has not been able to hold for long enough.
func (d *decision) recovers() (out []string) {
	for i, vip := range d.v.names {
		l := d.v.locals[i]
		always, cannot := l.able == 0 && l.fails == 0, l.place.Why != "" || d.now.Boot < l.raiseAt
		if !always && !cannot && !l.up && l.here && !d.at(d.v.recovered(l)) {
			out = append(out, vip)
		}
	}
	return out
}

// recovering keeps VIPs from members that recover, where others can have them.
func (v *View) recovering(in *placement.Input) {
	if !slices.ContainsFunc(in.Members, func(m placement.Member) bool { return len(v.etcd.states[m.Node].Recovers) > 0 }) {
		return
	}
	recovers := make([]map[string]bool, len(in.Members))
	for k, m := range in.Members {
		recovers[k] = map[string]bool{}
		for _, vip := range v.etcd.states[m.Node].Recovers {
			recovers[k][vip] = true
		}
		in.Members[k].Cannot = slices.Clone(m.Cannot) // members share them
	}
	for i, vip := range in.VIPs {
		trusted := false // some other node can have it, or has it
		for k, m := range in.Members {
			trusted = trusted || m.Ready && !m.Cannot.Has(i) && (!recovers[k][vip.Name] || vip.Holder == m.Node)
		}
		for k := range in.Members {
			if m := &in.Members[k]; trusted && recovers[k][vip.Name] && vip.Holder != m.Node {
				m.Cannot.Add(i)
			}
		}
	}
}
