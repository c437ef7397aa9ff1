package config

import (
	"fmt"
	"io"
	"strings"
)

// Describe prints a summary for people, as "viplease check" shows it, with
// the warnings at its end. Errors of w are ignored.
func (c Config) Describe(w io.Writer) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "%s is right\n", c.Path)
	weight := ""
	if c.Weight != 1 {
		weight = fmt.Sprintf(" with weight %d", c.Weight)
	}
	line("group", "%s; this node is %s%s, ready %s after it joined", c.Group, c.Node, weight, Short(c.Mature))
	line("etcd", "%s, keys under %s/%s/", c.Etcd.describe(), c.Etcd.Prefix, c.Group)
	line("vips", "%s", describeVIPs(c.VIPs))
	l := c.Lease
	line("lease", "ttl %s, hold %s, a check every %s with a timeout of %s",
		Short(l.TTL), Short(l.Hold), Short(l.CheckInterval), Short(l.CheckTimeout))
	wait := l.Wait()
	name, otherwise := "takeover", "a dead host is replaced"
	if c.Takeover.Fast {
		line(name, "a dead host is replaced after %s, where a witness answers: %d questions, %s apart, and a grace of %s",
			Short(c.Takeover.Suspicion()), c.Takeover.Misses, Short(c.Takeover.ProbeInterval), Short(c.Takeover.Grace))
		name, otherwise = "", "otherwise"
	}
	line(name, "%s after ttl + 0..%s + W = %.1fs to %.1fs",
		otherwise, Short(RegistrationJitter), (l.TTL + wait).Seconds(), (l.TTL + RegistrationJitter + wait).Seconds())
	line("", "W = (timeout + hold + %s) x 1.002 + %s = %.2fs", Short(lateness), Short(waitMargin), wait.Seconds())
	line("balance", "%s", c.Balance.describe())
	if !c.ResetConnections {
		line("", "TCP connections to a VIP that leaves a node are not reset")
	}
	for i, check := range c.Checks {
		line([]string{"checks", ""}[min(i, 1)], "%s", check.describe())
	}
	if hooks := c.Hooks.describe(); hooks != "" {
		line("hooks", "%s", hooks)
	}
	line("announce", "again every %s; neighbours are looked for every %s and told directly", Short(c.Announce.Refresh), Short(c.Announce.ARPCache))
	for _, n := range c.Announce.Notify {
		line("", "%s", n.describe())
	}
	line("control", "%s", c.Control.describe())
	line("metrics", "%s", c.Metrics.describe())
	line("log", "%s", c.Log.describe())
	for _, warning := range c.Warnings() {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
}

func (e Etcd) describe() string {
	var b strings.Builder
	b.WriteString(count(len(e.Endpoints), "endpoint"))
	if e.Secure() {
		b.WriteString(" with TLS")
	} else {
		b.WriteString(" without TLS")
	}
	if e.CertFile != "" {
		b.WriteString(" and a client certificate")
	}
	if e.Username != "" {
		b.WriteString(", user " + e.Username)
	}
	return b.String()
}

func (b Balance) describe() string {
	home := "preferred nodes get their VIPs back"
	if !b.Failback {
		home = "no VIP goes back to a preferred node"
	}
	switch b.MovesPerRound {
	case 0:
		return "no VIP moves for balance; " + home
	case All:
		return fmt.Sprintf("all moves at once, a round every %s; %s", Short(b.Interval), home)
	}
	return fmt.Sprintf("at most %s every %s; %s", count(b.MovesPerRound, "move"), Short(b.Interval), home)
}

func (n Notify) describe() string {
	where := ""
	if n.Dev != "" {
		where = " on " + n.Dev
	}
	if n.Target.First == n.Target.Last {
		return fmt.Sprintf("%s%s is told directly", n.Target, where)
	}
	return fmt.Sprintf("%s%s are told directly, %d a second", n.Target, where, n.Throttle)
}

func describeVIPs(vips []VIP) string {
	var v4, v6, preferring int
	for _, vip := range vips {
		n4, n6 := vip.families()
		v4, v6 = v4+n4, v6+n6
		if len(vip.Prefer) > 0 {
			preferring++
		}
	}
	s := fmt.Sprintf("%s with %s (%d IPv4, %d IPv6)", count(len(vips), "VIP"), count(v4+v6, "address"), v4, v6)
	if preferring > 0 {
		s += fmt.Sprintf(", %d with preferred nodes", preferring)
	}
	return s
}

func (v VIP) families() (v4, v6 int) {
	for _, a := range v.Addresses {
		if a.Prefix.Addr().Is4() {
			v4++
		} else {
			v6++
		}
	}
	return v4, v6
}

// manyIPv6 is where IPv6 wants a trial: each address is a multicast group
// more on its interface (RFC 4291 section 2.7.1, RFC 3810), and network cards
// filter few groups in hardware.
const manyIPv6 = 300

// Warnings returns what is right but unwise, one line each.
func (c Config) Warnings() []string {
	var all []string
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	ipv6, long, example := 0, 0, ""
	for _, vip := range c.VIPs {
		if _, v6 := vip.families(); v6 > 0 {
			ipv6++
		}
		for _, a := range vip.Addresses {
			if !a.Prefix.IsSingleIP() {
				if long++; long == 1 {
					example = a.Prefix.String()
				}
			}
		}
	}
	if ipv6 > manyIPv6 {
		warn("%d VIPs have IPv6 addresses; over %d, try a failover of all of them: each joins one more multicast group of its interface", ipv6, manyIPv6)
	}
	if long > 0 {
		warn("%s not /32 or /128 (%s is the first): the kernel adds a route to the subnet with each and removes it with each; leave the length out", countAre(long, "address"), example)
	}
	if wait := c.Lease.Wait(); c.Mature < wait {
		warn("mature %s is shorter than W %.2fs: after a start of all nodes the VIPs still take W to come up", Short(c.Mature), wait.Seconds())
	}
	if c.Takeover.Fast && c.Takeover.Suspicion() >= c.Lease.Wait() {
		warn("fast takeover needs %s of silence, no less than W; shorten probe_interval, misses or grace", Short(c.Takeover.Suspicion()))
	}
	if c.Etcd.Username != "" && !c.Etcd.Secure() {
		warn("the password of etcd user %s crosses the network in clear text; write https endpoints", c.Etcd.Username)
	}
	return all
}

// count writes "1 address" or "2 addresses".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func countAre(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " is"
	}
	return count(n, noun) + " are"
}
