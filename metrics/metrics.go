package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"viplease/coordinator"
)

// Config is what Metrics needs to know. All fields but Frames are required.
type Config struct {
	Version string        // of the program
	Group   string        // of the nodes
	VIPs    []string      // names in this node's configuration
	Hold    time.Duration // kernel lifetime of an address
	Wait    time.Duration // W, the takeover wait
	// Snapshot returns what the node knows now. It may block for a few seconds when the loop hangs. Called by one goroutine at a time.
	Snapshot func() coordinator.Snapshot
	// Frames returns what was announced since the start. It may be called concurrently. nil: nothing is counted.
	Frames func() Frames
}

// Frames counts announcements, in frames: two of ARP or one of ND each time.
type Frames struct {
	IPv4, IPv6 uint64 // given to the kernel
	Directed   uint64 // of both families, to single hosts; not among those
	Withheld   uint64 // not sent, since authority had passed
	Errors     uint64
}

// Metrics counts, and answers those who ask. Its methods may be called concurrently; those that report return at once.
type Metrics struct {
	cfg      Config
	view     *recent
	registry *prometheus.Registry

	takeovers, transfers, events *prometheus.CounterVec
	conflicts                    prometheus.Counter
	requests                     *prometheus.HistogramVec
	requestErrors                *prometheus.CounterVec
	kernel                       *prometheus.HistogramVec
	decide, lag                  prometheus.Histogram
}

// Kinds of requests to etcd, the values of the label kind.
var requestKinds = []string{"check", "commit", "edit", "grant", "put", "read", "register", "renew", "revoke"}

// Words that are there from the start; others, of a part that this package does not know, begin when they first come.
var (
	takeCauses     = []string{"evicted", "gone", "nobody", "released"}
	transferCauses = []string{"balance", "drain", "move", "other", "pin", "prefer", "unfit"}
	events         = []string{
		"acquired", "address gone", "address replaced", "adopted", "balance", "challenged", "claim lost", "claimed", "conflict", "cut off", "drained", "etcd answers",
		"etcd silent", "evicted", "fault", "frozen", "in contact", "lapsed", "not ready", "paused", "pinned", "ready", "refused", "refuted", "registered", "released", "restored", "store went back",
		"transferred", "undrained", "unfit", "unfrozen", "unpinned", "withdrawn",
	}
)

// Buckets in seconds: etcd's answers take 0.5 ms on an idle LAN and end by the check timeout of at most 0.5 s, writes by 2 s; the loop decides in microseconds.
var (
	requestBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .2, .3, .5, 1, 2.5, 5}
	kernelBuckets  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1}
	loopBuckets    = []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .25, 1}
)

// New makes a Metrics. It starts nothing. Every series that can be there from the start is, at zero, so that a rate over it means something.
func New(cfg Config) *Metrics {
	m := &Metrics{cfg: cfg, view: newRecent(cfg.Snapshot), registry: prometheus.NewRegistry()}
	counters := func(name, help, label string, values []string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "viplease", Name: name, Help: help}, []string{label})
		for _, v := range values {
			c.WithLabelValues(v)
		}
		m.registry.MustRegister(c)
		return c
	}
	histograms := func(name, help, label string, buckets []float64, values []string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "viplease", Name: name, Help: help, Buckets: buckets}, []string{label})
		for _, v := range values {
			h.WithLabelValues(v)
		}
		m.registry.MustRegister(h)
		return h
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "viplease", Name: name, Help: help, Buckets: buckets})
		m.registry.MustRegister(h)
		return h
	}
	m.takeovers = counters("takeovers_total", "VIPs that this node took over, by why they were free: their owner was evicted, was gone, had released them, or nobody was known to hold them.",
		"why", takeCauses)
	m.transfers = counters("transfers_total", "VIPs that this node handed over to another, by why.", "why", transferCauses)
	m.events = counters("events_total", "What this node noted in its log and in the events of status.", "event", events)
	m.conflicts = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "viplease", Name: "conflicts_total", Help: "Machines that were found to use an address of a VIP besides its holder.",
	})
	m.requests = histograms("etcd_request_seconds", "Time of the requests to etcd, failed ones included.", "kind", requestBuckets, requestKinds)
	m.requestErrors = counters("etcd_request_errors_total", "Requests to etcd that failed or were not answered in time.", "kind", requestKinds)
	m.kernel = histograms("address_operation_seconds", "Time of bursts of address operations in the kernel.", "operation", kernelBuckets, []string{OpRaise, OpDelete})
	m.decide = histogram("plan_seconds", "Time that the loop took to decide, each turn.", loopBuckets)
	m.lag = histogram("loop_lag_seconds", "How late the loop turned, of the turns that it had set a time for.", loopBuckets)
	m.registry.MustRegister(
		m.conflicts, view{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Turned implements coordinator.Observer.
func (m *Metrics) Turned(late, took time.Duration) {
	if late > 0 {
		m.lag.Observe(late.Seconds())
	}
	m.decide.Observe(took.Seconds())
}

// Happened implements coordinator.Observer. What an event is called, and its cause, are words of this program's own.
func (m *Metrics) Happened(e coordinator.Event) {
	m.events.WithLabelValues(e.What).Inc()
	switch e.What {
	case "claimed":
		m.takeovers.WithLabelValues(e.Cause).Inc()
	case "transferred":
		m.transfers.WithLabelValues(e.Cause).Inc()
	case "conflict":
		m.conflicts.Inc()
	}
}

// Requested counts one request to etcd, of one of the kinds that there are.
func (m *Metrics) Requested(kind string, took time.Duration, err error) {
	m.requests.WithLabelValues(kind).Observe(took.Seconds())
	if err != nil {
		m.requestErrors.WithLabelValues(kind).Inc()
	}
}

// Address operations, the values of the label operation.
const (
	OpRaise  = "raise"
	OpDelete = "delete"
)

// Operated counts one burst of address operations.
func (m *Metrics) Operated(operation string, took time.Duration) {
	m.kernel.WithLabelValues(operation).Observe(took.Seconds())
}

var _ coordinator.Observer = (*Metrics)(nil)
