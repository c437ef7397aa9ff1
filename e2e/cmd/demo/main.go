// The demo: a LAN of network namespaces with a real etcd, nodes that run viplease, and a client that sends each VIP a packet a millisecond. It drains a
// node, kills a host and brings it back, and prints what the client saw and who holds what. Run it with scripts/demo.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/judge"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

func main() {
	nodes := flag.Int("nodes", 3, "how many `nodes` run viplease")
	vips := flag.Int("vips", 10, "how many virtual `addresses`, half of them IPv4, half IPv6")
	keep := flag.Bool("keep", false, "stay up at the end, and say how to enter a node")
	asJSON := flag.Bool("json", false, "print the figures as JSON on the last line")
	flag.Parse()
	if *nodes < 2 || *nodes > 50 || *vips < 1 || *vips > 100 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "demo: --nodes takes 2 to 50, --vips 1 to 100, and nothing else is taken")
		os.Exit(2)
	}
	lab.Main(lab.NeedEtcd, lab.NeedViplease)
	d := &demo{Cluster: cluster.Start(lab.Program{}, cluster.Options{Nodes: *nodes, VIPs: *vips, Gateway: true})}
	d.show()
	if *asJSON {
		line, _ := json.Marshal(d.figures)
		defer fmt.Println(string(line))
	}
	if *keep {
		d.keep()
	}
	d.Probe.Close()
	err := d.Judge.Close()
	d.Lab.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: the judge:", err)
		os.Exit(1)
	}
	fmt.Println("\nAt no instant did two nodes have one address up (heard from the kernel, not asked).")
}

type demo struct {
	*cluster.Cluster
	figures []figure
}

// figure is what one step cost the client.
type figure struct {
	Step     string  `json:"step"`
	Moved    int     `json:"vips_moved"`
	MedianMS float64 `json:"outage_median_ms"`
	WorstMS  float64 `json:"outage_worst_ms"`
}

func (d *demo) show() {
	n := d.Nodes[0]
	title("%d nodes start; %d VIPs; etcd at %s", len(d.Nodes), len(d.VIPs), strings.Join(d.Etcd.Endpoints(), ", "))
	fmt.Println("The client on the LAN sends every VIP a packet a millisecond. A cold start takes W = 4.6 s: nobody held these VIPs, as far as anybody can tell.")
	d.Settled()
	d.status(n)

	title("What etcd holds: etcdctl get --prefix /viplease/www/claims")
	out, err := d.Etcd.Ctl("get", "--prefix", "/viplease/www/claims")
	d.fail(err)
	fmt.Print(out)

	last := d.Nodes[len(d.Nodes)-1]
	title("viplease drain %s", last.Name)
	d.step("drain", func() {
		d.command(n, "drain", last.Name, "--wait")
		d.Within(5*time.Second, "drain", d.AllHeld)
	})
	d.status(n)

	title("viplease undrain %s: it gets its share back", last.Name)
	d.step("undrain", func() {
		d.command(n, "undrain", last.Name)
		d.Within(15*time.Second, "undrain", d.Even(d.Nodes...))
	})

	title("%s dies: it is frozen, and both its links are cut (their carrier stays)", last.Name)
	d.step("host death", func() {
		d.Die(last)
		d.Within(15*time.Second, "takeover", d.Even(d.Nodes[:len(d.Nodes)-1]...))
		d.Answering(5 * time.Second)
	})
	d.status(n)

	title("%s boots again and gets its share back", last.Name)
	d.fail(d.Judge.RemoveMachine(last.Name))
	last.Return()
	d.fail(d.Judge.AddMachine(judge.Machine{Name: last.Name, NS: last.NetNS()}))
	d.step("return", func() {
		last.Restart()
		d.Within(20*time.Second, "return", d.Even(d.Nodes...))
	})
	d.status(n)
}

func title(format string, args ...any) { fmt.Printf("\n== "+format+"\n\n", args...) }

func (d *demo) fail(err error) {
	if err != nil {
		lab.Program{}.Fatalf("demo: %v", err)
	}
}

// command runs viplease on a node and shows what it says.
func (d *demo) command(n *lab.Node, args ...string) {
	out, err := n.Viplease(args...)
	fmt.Print(indent(out))
	if err != nil {
		d.fail(fmt.Errorf("viplease %s on %s: %w", strings.Join(args, " "), n.Name, err))
	}
}

func (d *demo) status(n *lab.Node) {
	fmt.Printf("%s$ viplease status\n", n.Name)
	d.command(n, "status")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

// step makes a change and prints what the client saw of it.
func (d *demo) step(name string, change func()) {
	before, mark := d.Judge.Holders(), d.Probe.Mark()
	change()
	after, sum := d.Judge.Holders(), map[string]time.Duration{}
	for _, o := range d.Outages(mark) {
		sum[o.VIP.String()] += o.Duration
	}
	var gaps []time.Duration
	for _, v := range d.VIPs {
		if _, hurt := sum[v.String()]; hurt || strings.Join(before[v], "") != strings.Join(after[v], "") {
			gaps = append(gaps, sum[v.String()])
		}
	}
	median, _, worst := probe.Summary(gaps)
	f := figure{name, len(gaps), float64(median.Microseconds()) / 1000, float64(worst.Microseconds()) / 1000}
	d.figures = append(d.figures, f)
	fmt.Printf("-> %d VIPs moved; the client missed each for %.1f ms (median), %.1f ms at the worst\n\n", f.Moved, f.MedianMS, f.WorstMS)
}

// keep stays up until it is interrupted.
func (d *demo) keep() {
	title("It stays up until you press ctrl-C. In another terminal:")
	fmt.Printf("    scripts/enter %s                            a shell on that node: viplease status, ip addr, kill ...\n", d.Nodes[0].Name)
	fmt.Printf("    scripts/enter %s viplease status --watch    or one command\n", d.Nodes[0].Name)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
