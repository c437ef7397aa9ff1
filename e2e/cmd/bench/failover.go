package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

// A rival is one program in one configuration.
type rival struct {
	name  string
	fast  string                                // viplease: more of [takeover]; "off": strict
	start func(c *cluster.Cluster, i int) error // another program: starts it on node i
}

const failoverVIPs = 10

// failover measures what a client loses, of all VIPs that the lost node held: when its host dies, frozen and cut with its carrier kept, and when its daemon is
// told to stop. The programs take turns.
func failover(args []string) error {
	flags := flag.NewFlagSet("bench failover", flag.ExitOnError)
	runs := flags.Int("runs", 3, "how often each program has each accident")
	nodes := flags.Int("nodes", 3, "how many `nodes`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := exec.LookPath("keepalived"); err != nil {
		return errors.New("keepalived is not installed; on Debian: apt-get install keepalived")
	}
	rivals := []rival{
		{name: "viplease, defaults"},
		{name: "viplease, probe_interval 10ms, misses 3, grace 30ms", fast: "probe_interval = \"10ms\"\nmisses = 3\ngrace = \"30ms\""},
		{name: "viplease, fast = false", fast: "off"},
		{name: "keepalived, defaults", start: keepalived(2, "1")},
		{name: "keepalived, VRRPv3 every 10 ms", start: keepalived(3, "0.01")},
	}
	type outcome struct{ death, stop []time.Duration }
	outcomes := make([]outcome, len(rivals))
	for range *runs {
		for i, r := range rivals {
			outcomes[i].death = append(outcomes[i].death, accident(r, *nodes, func(n *lab.Node) { n.Die() })...)
			outcomes[i].stop = append(outcomes[i].stop, accident(r, *nodes, func(n *lab.Node) { n.Signal(syscall.SIGTERM) })...)
		}
	}
	rows := [][]string{{"program", "host death: median", "worst", "times viplease's", "graceful stop: median", "worst", "times viplease's"}}
	first, _, _ := probe.Summary(outcomes[0].death)
	firstStop, _, _ := probe.Summary(outcomes[0].stop)
	for i, r := range rivals {
		median, _, worst := probe.Summary(outcomes[i].death)
		stop, _, worstStop := probe.Summary(outcomes[i].stop)
		rows = append(rows, []string{r.name, figure(median), figure(worst), ratio(median, first), figure(stop), figure(worstStop), ratio(stop, firstStop)})
	}
	fmt.Printf("%d nodes, %d IPv4 VIPs, %d runs each, the outage of each VIP of the node that was lost:\n\n", *nodes, failoverVIPs, *runs)
	table(rows)
	return nil
}

func figure(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }

func ratio(d, to time.Duration) string {
	if to == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(to))
}

// accident happens to the node that holds the first VIP. It returns the outages of all that the node held.
func accident(r rival, nodes int, happens func(*lab.Node)) (out []time.Duration) {
	o := cluster.Options{Nodes: nodes, Takeover: r.fast, Mode: cluster.Fast, Gateway: true}
	if r.fast == "off" {
		o.Takeover, o.Mode = "", cluster.Strict
	}
	for i := range failoverVIPs {
		o.Only = append(o.Only, netip.AddrFrom4([4]byte{192, 168, 3, byte(100 + i)}))
	}
	o.Idle = r.start != nil
	c := cluster.Start(lab.Program{}, o)
	if r.start == nil {
		c.Settled()
		c.Answering(5 * time.Second)
	} else {
		for i := range c.Nodes {
			if err := r.start(c, i); err != nil {
				lab.Program{}.Fatalf("bench: %v", err)
			}
		}
		c.Within(30*time.Second, "a master", c.AllHeld)
		c.Answering(10 * time.Second)
	}
	time.Sleep(2 * time.Second) // at rest
	victim := c.Node(c.Judge.Holders()[c.VIPs[0]][0])
	held, mark := holding(c, victim), c.Probe.Mark()
	happens(victim)
	c.Judge.RemoveMachine(victim.Name)
	c.Answering(30 * time.Second)
	time.Sleep(time.Second) // whatever follows
	sum := map[netip.Addr]time.Duration{}
	for _, outage := range c.Outages(mark) {
		sum[outage.VIP] += outage.Duration
	}
	for _, v := range held {
		out = append(out, sum[v])
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", r.name, out)
	c.Probe.Close()
	c.Judge.Close()
	c.Lab.Close()
	return out
}

// keepalived starts it with one VRRP instance for all VIPs, the first node being the master.
func keepalived(version int, interval string) func(*cluster.Cluster, int) error {
	return func(c *cluster.Cluster, i int) error {
		n := c.Nodes[i]
		var vips []string
		for _, v := range c.VIPs {
			vips = append(vips, v.String()+"/32 dev net1")
		}
		conf := fmt.Sprintf(`global_defs {
    router_id %s
    vrrp_version %d
}
vrrp_instance www {
    state BACKUP
    interface net1
    virtual_router_id 51
    priority %d
    advert_int %s
    virtual_ipaddress {
        %s
    }
}
`, n.Name, version, 150-10*i, interval, strings.Join(vips, "\n        "))
		file := n.Path("/etc/viplease/keepalived.conf")
		if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
			return err
		}
		n.StartCommand("keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", "/etc/viplease/keepalived.conf", "-p", "/run/keepalived.pid", "-r", "/run/vrrp.pid")
		return nil
	}
}
