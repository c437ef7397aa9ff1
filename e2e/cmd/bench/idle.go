package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// idle is nodes with nothing to do: the CPU and the memory of their daemons, and what they ask of etcd, by its own counters.
func idle(args []string) error {
	flags := flag.NewFlagSet("bench idle", flag.ExitOnError)
	length := flags.Duration("for", 30*time.Second, "how long each size is watched")
	sizes := flags.String("vips", "10,100,1000", "how many VIPs there are, a list")
	nodes := flags.Int("nodes", 3, "how many nodes there are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rows := [][]string{{"VIPs", "on a node", "CPU of a daemon, % of a core", "resident memory, MB", "etcd requests a second and node", "etcd revisions"}}
	for size := range strings.SplitSeq(*sizes, ",") {
		vips, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		c := large(vips, cluster.Options{Nodes: *nodes})
		c.Settled()
		before, revision, used := requests(c), c.Etcd.Revision(), cpu(c)
		time.Sleep(*length)
		n := float64(len(c.Nodes))
		rows = append(rows, []string{
			strconv.Itoa(vips), strconv.Itoa(vips / len(c.Nodes)),
			fmt.Sprintf("%.2f", 100*(cpu(c)-used).Seconds()/length.Seconds()/n),
			fmt.Sprintf("%.0f", resident(c)/n/1e6),
			fmt.Sprintf("%.1f", (requests(c)-before)/length.Seconds()/n),
			strconv.FormatInt(c.Etcd.Revision()-revision, 10),
		})
		c.Probe.Close()
		c.Judge.Close()
		c.Lab.Close()
	}
	fmt.Printf("Idle for %v, %d nodes, IPv4:\n\n", *length, *nodes)
	table(rows)
	return nil
}

// probed is how many of the VIPs the client probes.
const probed = 20

// large is a cluster with so many IPv4 VIPs, outside the LAN's subnet.
func large(vips int, o cluster.Options) *cluster.Cluster {
	stride := max(vips/probed, 1)
	for first := range stride { // the client probes the first ones, which are to stand for all
		for i := first; i < vips; i += stride {
			o.Only = append(o.Only, netip.AddrFrom4([4]byte{10, 77, byte(i / 250), byte(1 + i%250)}))
		}
	}
	o.Dev, o.Probed = "net1", probed
	c := cluster.Start(lab.Program{}, o)
	c.Client.Route(netip.MustParsePrefix("10.77.0.0/16"))
	return c
}

// requests is how many messages etcd has had from its clients.
func requests(c *cluster.Cluster) (sum float64) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.Dial(ctx, network, address)
	}}}
	for _, url := range c.Etcd.Endpoints() {
		r, err := client.Get(url + "/metrics")
		if err != nil {
			lab.Program{}.Fatalf("bench: etcd's metrics: %v", err)
		}
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			if name, text, _ := strings.Cut(lines.Text(), " "); strings.HasPrefix(name, "grpc_server_msg_received_total") {
				value, _ := strconv.ParseFloat(text, 64)
				sum += value
			}
		}
		r.Body.Close()
	}
	return sum
}

// cpu is the time that all daemons have spent; utime and stime of proc_pid_stat(5), in hundredths of a second.
func cpu(c *cluster.Cluster) (sum time.Duration) {
	for _, n := range c.Nodes {
		stat := read(fmt.Sprintf("/proc/%d/stat", n.Pid()))
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		for _, f := range fields[11:13] {
			ticks, _ := strconv.Atoi(f)
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

// resident is the memory of all daemons in bytes; VmRSS of proc_pid_status(5).
func resident(c *cluster.Cluster) (sum float64) {
	for _, n := range c.Nodes {
		for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/status", n.Pid()))) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
				kb, _ := strconv.ParseFloat(f[1], 64)
				sum += kb * 1024
			}
		}
	}
	return sum
}

func read(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		lab.Program{}.Fatalf("bench: %v", err)
	}
	return string(text)
}
