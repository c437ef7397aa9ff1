package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"viplease/coordinator"
)

// fresh is how old a snapshot may be that is shown: however many ask, the loop copies its view once in this time.
const fresh = time.Second

// recent keeps the last snapshot.
type recent struct {
	mu   sync.Mutex // held while a snapshot is taken: who comes meanwhile wants the same one
	read func() coordinator.Snapshot
	last coordinator.Snapshot
	at   time.Time
	now  func() time.Time // time.Now; another in tests
}

func newRecent(read func() coordinator.Snapshot) *recent { return &recent{read: read, now: time.Now} }

// get returns a snapshot that is not older than fresh, and when it was taken.
func (r *recent) get() (coordinator.Snapshot, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || r.now().Sub(r.at) >= fresh {
		r.last, r.at = r.read(), r.now()
	}
	return r.last, r.at
}

// What a snapshot says, by name.
var (
	buildInfo = describe("build_info", "Always 1; the program's version and the group that it serves.", "version", "group")
	answers   = describe("loop_answers", "1 when the coordinator's loop answers, else 0: then nothing that the view holds is here.")
	holdTime  = describe("hold_seconds", "How long the kernel keeps an address after the last good check, as configured.")
	waitTime  = describe("takeover_wait_seconds", "W: how long a node waits before it takes a VIP whose owner is gone, as configured.")

	vipHeld    = describe("vip_held", "1 when the addresses of the VIP are up on this node, else 0.", "vip")
	vips       = describe("vips", "VIPs of the cluster, by state, as this node sees them.", "state")
	members    = describe("members", "Nodes of the cluster, by state, as this node sees them.", "state")
	authority  = describe("authority_seconds", "How long this node may still show its addresses without another good check.")
	reachable  = describe("etcd_reachable", "1 when the last authority check was answered.")
	revision   = describe("etcd_revision", "Revision of etcd that this node's view shows.")
	registered = describe("registered", "1 when this node is registered in etcd.")
	ready      = describe("ready", "1 when this node can hold VIPs now: what /readyz says.")
	frozen     = describe("frozen", "1 when an operator has frozen the cluster.")

	fast        = describe("fast_takeover", "1 when this node takes part in fast takeover.")
	witness     = describe("link_has_witness", "1 when a host on the interface's network answers: without one, VIPs there wait for W.", "link")
	challenges  = describe("challenges_total", "Challenges: made by this node, consented to, taken back by it, and refuted when this node was challenged.", "what")
	evictions   = describe("evictions_total", "Registrations ended because nobody answered: of another node by this one, or this node's own.", "of")
	quarantines = describe("quarantines_total", "How often this node was cut off on an interface, and gave up its VIPs there.")

	frames      = describe("announcements_total", "Frames sent that announce an address: two of ARP, or one of ND, each time.", "family")
	directed    = describe("announcements_directed_total", "Frames sent that tell one host of an address.")
	withheld    = describe("announcements_withheld_total", "Frames not sent because authority had passed.")
	frameErrors = describe("announcement_errors_total", "Tries to send an announcement that failed.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("viplease_"+name, help, labels, nil)
}

// States that are told apart; any other is counted as other, since it comes from etcd.
var (
	vipStates    = []string{"held", "moving", "waiting", "unheld", "unplaceable", "other"}
	memberStates = []string{"ready", "joining", "drained", "unfit", "gone", "other"}
)

// view is the Collector of what a snapshot says.
type view struct{ *Metrics }

// Describe implements prometheus.Collector.
func (v view) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		fast, witness, challenges, evictions, quarantines, buildInfo, answers, holdTime, waitTime, vipHeld, vips, members, authority, reachable, revision, registered, ready, frozen,
		frames, directed, withheld, frameErrors,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (v view) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(buildInfo, 1, v.cfg.Version, v.cfg.Group)
	gauge(holdTime, v.cfg.Hold.Seconds())
	gauge(waitTime, v.cfg.Wait.Seconds())
	if v.cfg.Frames != nil {
		f := v.cfg.Frames()
		counter(frames, f.IPv4, "ipv4")
		counter(frames, f.IPv6, "ipv6")
		counter(directed, f.Directed)
		counter(withheld, f.Withheld)
		counter(frameErrors, f.Errors)
	}
	s, _ := v.view.get()
	gauge(answers, number(s.Self.Answers))
	gauge(ready, number(isReady(readiness(s))))
	if !s.Self.Answers {
		return
	}
	v.collectView(s, gauge)
	t := s.Takeover
	gauge(fast, number(t.On))
	for _, l := range t.Links {
		gauge(witness, number(l.Witness && !l.Lost), l.Link)
	}
	for what, n := range map[string]int{"made": t.Challenges, "consented": t.Consents, "cancelled": t.Cancelled, "refuted": t.Refuted} {
		counter(challenges, uint64(n), what)
	}
	counter(evictions, uint64(t.Evictions), "another")
	counter(evictions, uint64(t.Evicted), "self")
	counter(quarantines, uint64(t.Quarantines))
}

func (v view) collectView(s coordinator.Snapshot, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(authority, float64(s.Etcd.AuthorityMS)/1000)
	gauge(reachable, number(s.Etcd.Reachable))
	gauge(revision, float64(s.Revision))
	gauge(registered, number(s.Self.Registered))
	gauge(frozen, number(s.Frozen != ""))
	here, byState := map[string]bool{}, map[string]int{}
	for _, vip := range s.VIPs {
		here[vip.Name] = vip.Here
		byState[known(vipStates, vip.State)]++
	}
	for _, name := range v.cfg.VIPs {
		gauge(vipHeld, number(here[name]), name)
	}
	for _, state := range vipStates {
		gauge(vips, float64(byState[state]), state)
	}
	clear(byState)
	for _, m := range s.Members {
		byState[known(memberStates, m.State)]++
	}
	for _, state := range memberStates {
		gauge(members, float64(byState[state]), state)
	}
}

func known(states []string, state string) string {
	if slices.Contains(states, state) {
		return state
	}
	return "other"
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
