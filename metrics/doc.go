// Package metrics is what monitoring sees of a daemon: numbers for Prometheus, two answers for probes, and a page for people. It only looks: nothing that is
// served here can change anything, and nothing that happens here can hold the coordinator's loop up.
//
// # What does a scrape cost the daemon?
//
// One snapshot of the loop's view a second, however many scrape ([Metrics] keeps the last one), and the rest of the work in the scraper's own goroutine. What
// the loop reports of itself ([Metrics.Turned], [Metrics.Happened]) is a few atomic additions. A scraper that does not read its answer waits alone, and is
// thrown out after writeTimeout.
//
// # What is served?
//
//	/metrics   the text format of Prometheus
//	/healthz   200 as long as the loop turns, else 503: restart the daemon
//	/readyz    200 when this node can hold VIPs now, else 503 with the reason in its body
//	/          the page, on the TCP listener alone
//
// All but the page are on the control socket as well, whatever the configuration says: [Metrics.Handlers] is what main mounts there.
//
// # What if the port is taken?
//
// A metrics port must not cost a VIP, so [Serve] complains, carries on, and tries again every few seconds. A daemon that starts before its address is there,
// or beside another group's daemon that has the same port, does its work meanwhile, and the socket still answers.
//
// # How are things named?
//
// By https://prometheus.io/docs/practices/naming/: base units, _total for counters, no unit in a label; a linter holds the test to it. The label vip takes
// only names of this node's own configuration, and every other label a value of a fixed list, so what others write to etcd cannot make series.
package metrics
