package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"golang.org/x/net/html"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
	"viplease/e2e/prometheus"
)

// What monitoring sees of a cluster, on an etcd that wants a password: numbers, probes, the page, alerts and dashboard; and what the log must not show.

// TestMonitoring: all of it before and after etcd is cut off.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	// All that can be logged is held against the password.
	c := cluster.Start(t, cluster.Options{Idle: true, VIPs: 6, Tables: "[metrics]\nlisten = \":9846\"\n[log]\nlevel = \"debug\"\n"})
	// A login takes a millisecond: on a busy machine three of 60 ms outlast their timeouts.
	authenticate(t, c, []string{"--bcrypt-cost", "4"}, []string{"viplease", "--password", "/run/host/password"})
	m := monitor(t, c)
	taken := takePort(t, c.Nodes[2])
	for _, n := range c.Nodes {
		if err := os.WriteFile(n.Path("/etc/viplease/password"), []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		n.Start(strings.Replace(c.Config(n.Name), "[etcd]\n", "[etcd]\nusername = \"viplease\"\npassword_file = \"/etc/viplease/password\"\n", 1))
	}
	c.Within(cluster.Wait+10*time.Second, "cold start, a metrics port taken", c.Even(c.Nodes...))
	taken.Close()
	for _, n := range c.Nodes {
		m.answers(n, "/readyz", 200, "ok   authority")
		m.answers(n, "/healthz", 200, "ok   loop")
	}
	first := c.Nodes[0]
	if out := run(t, first, "drain", "--wait", "--timeout", "10s"); !c.None(first)(c.Judge.Holders()) {
		t.Fatalf("the drained node holds VIPs: %s", out)
	}
	m.answers(first, "/readyz", 503, "FAIL state: drained")
	run(t, first, "undrain")
	second := c.Nodes[1]
	second.Signal(syscall.SIGHUP)
	m.await(func() string { return "the port is served again after a reload" }, func() bool { return strings.Count(second.Logs(), "serving metrics") == 2 })
	c.Within(10*time.Second, "back", c.Even(c.Nodes...))
	for _, n := range c.Nodes {
		m.answers(n, "/readyz", 200, "ok   state")
	}

	m.page(c)
	m.eventually("every VIP is up once, by the numbers", `sum(viplease_vip_held) == 6 and max(sum by (vip) (viplease_vip_held)) == 1`)
	m.eventually("the drain was counted", `sum(viplease_transfers_total{why="drain"}) >= 2`)
	m.dashboard()
	alerts := rules(t)
	m.quiet(alerts)

	c.Etcd.Servers[0].Cut()
	for _, n := range c.Nodes {
		m.answers(n, "/readyz", 503, "FAIL authority")
		m.answers(n, "/healthz", 200, "ok   loop")
	}
	for _, alert := range []string{"VipleaseNoAuthority", "VipleaseNotReady", "VipleaseVIPNotHeld"} {
		m.eventually(alert+" fires", alerts[alert])
	}
	for _, n := range c.Nodes {
		logs := n.Logs()
		if !strings.Contains(logs, "level=DEBUG msg=do") {
			t.Errorf("%s has no debug log", n.Name)
		}
		if strings.Contains(logs, password) {
			t.Errorf("%s has logged the password", n.Name)
		}
	}
	if logs := c.Nodes[2].Logs(); !strings.Contains(logs, "metrics are not served there") || !strings.Contains(logs, "serving metrics") {
		t.Errorf("the metrics port was taken and is free; the log says nothing of it:\n%s", logs)
	}
}

// takePort listens where the node's daemon would.
func takePort(t *testing.T, n *lab.Node) net.Listener {
	t.Helper()
	var ln net.Listener
	err := n.Do(func() (err error) {
		ln, err = net.Listen("tcp", ":9846")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// monitoring looks at all nodes, from the management network.
type monitoring struct {
	t      *testing.T
	client *http.Client
	server *prometheus.Server
}

const scrapeEvery = 100 * time.Millisecond

// monitor scrapes every node until the test ends.
func monitor(t *testing.T, c *cluster.Cluster) *monitoring {
	m := &monitoring{t: t, client: &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}}
	m.server = prometheus.New(m.client)
	ctx, stop := context.WithCancel(context.Background())
	var scraping sync.WaitGroup
	for _, n := range c.Nodes {
		scraping.Go(func() {
			tick := time.NewTicker(scrapeEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				if err := m.server.Scrape(ctx, n.Name, m.url(n, "/metrics")); err != nil && ctx.Err() == nil {
					slog.Debug("scrape", "node", n.Name, "err", err) // it is not up yet, or its port is taken
				}
				<-tick.C
			}
		})
	}
	t.Cleanup(func() { stop(); scraping.Wait() })
	return m
}

// url is the node's address on the management network, where the first node is .101.
func (m *monitoring) url(n *lab.Node, path string) string {
	number := strings.TrimPrefix(n.Name, "node")
	return fmt.Sprintf("http://10.9.0.%s:9846%s", "10"+number, path)
}

func (m *monitoring) get(n *lab.Node, path string) (int, string, error) {
	answer, err := m.client.Get(m.url(n, path))
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// answers waits until the node answers with the status and the text.
func (m *monitoring) answers(n *lab.Node, path string, status int, text string) {
	m.t.Helper()
	var last string
	m.await(func() string { return fmt.Sprintf("%s of %s: %d %q; it says %s", path, n.Name, status, text, last) }, func() bool {
		code, body, err := m.get(n, path)
		last = fmt.Sprint(code, " ", body, err)
		return code == status && strings.Contains(body, text)
	})
}

// eventually waits until the expression has a result.
func (m *monitoring) eventually(what, expression string) {
	m.t.Helper()
	var last string
	m.await(func() string { return fmt.Sprintf("%s: %s; %s", what, expression, last) }, func() bool {
		v, err := m.server.Query(context.Background(), expression)
		last = fmt.Sprint(v, err)
		return err == nil && len(v) > 0
	})
}

func (m *monitoring) await(what func() string, ok func() bool) {
	m.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			m.t.Fatalf("not within 20 s: %s", what())
		}
		observe(20 * time.Millisecond)
	}
}

// page holds the page of a node against who holds what.
func (m *monitoring) page(c *cluster.Cluster) {
	m.t.Helper()
	var told string
	m.await(func() string { return "the page tells what the judge sees:\n" + c.Layout() + "the page:\n" + told }, func() bool {
		_, body, err := m.get(c.Nodes[1], "/")
		if err != nil {
			return false
		}
		shown, err := readPage(body)
		told = fmt.Sprint(shown, err)
		up := c.Judge.Holders()
		return err == nil && len(shown) == len(c.VIPs) && !slices.ContainsFunc(c.VIPs, func(v netip.Addr) bool {
			return len(up[v]) != 1 || shown[v.String()] != up[v][0]
		})
	})
}

// readPage returns the node that each VIP is with, by the page.
func readPage(source string) (map[string]string, error) {
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return nil, err
	}
	attr := func(n *html.Node, key string) string {
		i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
		if i < 0 {
			return ""
		}
		return n.Attr[i].Val
	}
	var nodes []string
	shown := map[string]string{}
	for n := range doc.Descendants() {
		switch {
		case n.Data == "th" && attr(n, "data-node") != "":
			nodes = append(nodes, attr(n, "data-node"))
		case n.Data == "tr" && attr(n, "data-vip") != "":
			column := 0
			for cell := range n.ChildNodes() {
				if cell.Data != "td" {
					continue
				}
				if strings.Contains(attr(cell, "class"), "good") && column < len(nodes) {
					shown[attr(n, "data-vip")] = nodes[column]
				}
				column++
			}
		}
	}
	return shown, nil
}

// dashboard holds that every query of the Grafana dashboard has a result.
func (m *monitoring) dashboard() {
	m.t.Helper()
	data, err := os.ReadFile("../contrib/grafana/viplease.json")
	if err != nil {
		m.t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		m.t.Fatal(err)
	}
	queries := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries++
			m.eventually("panel "+p.Title, strings.NewReplacer("$group", "www", "$__rate_interval", "10s").Replace(target.Expr))
		}
	}
	m.t.Logf("%d queries of the dashboard have results", queries)
	if queries < 20 {
		m.t.Errorf("the dashboard has %d queries", queries)
	}
}

// rules parses the alert rules as Prometheus does, and returns their expressions by name.
func rules(t *testing.T) map[string]string {
	t.Helper()
	file, errs := rulefmt.ParseFile("../contrib/prometheus/viplease.rules.yml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if len(errs) > 0 {
		t.FailNow()
	}
	alerts := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s has no summary, or no severity", r.Alert)
			}
			alerts[r.Alert] = r.Expr
		}
	}
	return alerts
}

// upToTheMachine are alerts that a host which stands still for some hundred milliseconds sets off, rightly.
var upToTheMachine = map[string]bool{
	"VipleaseChecksSlow": true, "VipleaseLoopLate": true, "VipleaseCutOff": true, "VipleaseEvicted": true, "VipleaseFalseAlarms": true, "VipleaseTakeovers": true,
}

// quiet holds that no alert fires in a cluster that is well, though all that it looks at is there.
func (m *monitoring) quiet(alerts map[string]string) {
	m.t.Helper()
	for name, expression := range alerts {
		metrics, err := prometheus.Metrics(expression)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, metric := range metrics {
			if v, err := m.server.Query(context.Background(), metric); err != nil || len(v) == 0 {
				m.t.Errorf("%s looks at %s, which no node has: %v", name, metric, err)
			}
		}
		if upToTheMachine[name] {
			continue
		}
		var last string
		m.await(func() string { return name + " does not fire in a cluster that is well: " + last }, func() bool {
			v, err := m.server.Query(context.Background(), expression)
			last = fmt.Sprint(v, err)
			return err == nil && len(v) == 0
		})
	}
}

// TestAlertRules: the rules are right, whether or not a lab can be had.
func TestAlertRules(t *testing.T) {
	alerts := rules(t)
	for name, expression := range alerts {
		if metrics, err := prometheus.Metrics(expression); err != nil || len(metrics) == 0 {
			t.Errorf("%s: %v %v", name, metrics, err)
		}
	}
	if len(alerts) < 10 {
		t.Errorf("%d alerts", len(alerts))
	}
}
