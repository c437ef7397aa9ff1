package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Check is one [[check]]: whether this node is fit to hold VIPs.
type Check struct {
	Name string

	HTTP    string   // exactly one of these three is set: a URL
	TCP     string   // host and port
	Command []string // a program by its absolute path, and its arguments

	Interval time.Duration
	Timeout  time.Duration
	Rise     int      // so many successes in a row make it healthy
	Fall     int      // so many failures in a row make it unhealthy
	VIPs     []string // names; nil: all
	Require  bool     // where it fails the VIPs are not held, even if it fails everywhere
	Line     int      // where it stands in the file
}

// minPeriod keeps a slip of the pen from starting a program a thousand times
// a second.
const minPeriod = 100 * time.Millisecond

func readChecks(top table, vips []VIP) []Check {
	var all []Check
	lines := map[string]int{}
	for _, t := range top.tables("check") {
		c := Check{
			Name:     t.label("name", ""),
			HTTP:     t.httpURL("http"),
			TCP:      t.hostPort("tcp"),
			Command:  t.program("command"),
			Interval: t.duration("interval", time.Second, minPeriod, maxTimer),
			Timeout:  t.duration("timeout", time.Second, minPeriod, maxTimer),
			Rise:     t.number("rise", 2, 1, math.MaxInt32),
			Fall:     t.number("fall", 2, 1, math.MaxInt32),
			VIPs:     t.vipNames("vips", vips),
			Require:  t.flag("require", false),
			Line:     t.r.lines[t.path],
		}
		line, taken := lines[c.Name]
		switch {
		case !t.has("name"):
			t.problem("name", `is missing; write name = "nginx", or what else status shall call it`)
		case taken:
			t.problem("name", "%q is already the name of the check at line %d; write another name", c.Name, line)
		case c.Name != "":
			lines[c.Name] = c.Line
		}
		if n := given(t, "http", "tcp", "command"); n != 1 {
			t.r.problem(c.Line, t.key, `says %d of http, tcp and command; write one: http = "http://127.0.0.1:80/", tcp = "127.0.0.1:80" or command = ["/usr/lib/x", "arg"]`, n)
		}
		all = append(all, c)
	}
	return all
}

// given counts the keys that have a value.
func given(t table, keys ...string) (n int) {
	for _, key := range keys {
		if t.has(key) && !nothing(t, key) {
			n++
		}
	}
	return n
}

// httpURL reads a URL that can be asked for.
func (t table) httpURL(key string) string {
	s := t.text(key, "")
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		t.problem(key, `%s is no URL of a web server; write one such as "http://127.0.0.1:80/healthz"`, quote(s))
	}
	return s
}

// hostPort reads a host with a port number.
func (t table) hostPort(key string) string {
	s := t.text(key, "")
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numErr != nil || n == 0 || host == "" {
		t.problem(key, `%s is no host with a port; write it as "127.0.0.1:80" or "[::1]:80"`, quote(s))
	}
	return s
}

// program reads a program with its arguments, which no shell reads.
func (t table) program(key string) []string {
	var argv []string
	for i, it := range t.texts(key) {
		switch {
		case strings.ContainsRune(it.text, 0):
			t.r.problem(it.line, t.name(key), "%s contains a NUL byte; remove it", quote(it.text))
		case i == 0 && !filepath.IsAbs(it.text):
			t.r.problem(it.line, t.name(key), "%s is not an absolute path; write where the program is, such as [\"/usr/lib/x\", \"arg\"]; no shell reads it", quote(it.text))
		}
		argv = append(argv, it.text)
	}
	return argv
}

// vipNames reads a list of VIPs and pools, and returns the names of the VIPs.
func (t table) vipNames(key string, vips []VIP) []string {
	var names []string
	for _, name := range t.labels(key) {
		found := false
		for _, vip := range vips {
			if vip.Name == name || vip.Pool == name {
				found = true
				if !slices.Contains(names, vip.Name) {
					names = append(names, vip.Name)
				}
			}
		}
		if !found {
			t.problem(key, "%q is no VIP and no pool of this file; write the name of one, or leave vips out for all", name)
		}
	}
	return names
}

// describe is one line about a check.
func (c Check) describe() string {
	what := c.HTTP + c.TCP + strings.Join(c.Command, " ")
	about := "all VIPs"
	if len(c.VIPs) > 0 {
		about = count(len(c.VIPs), "VIP")
	}
	s := fmt.Sprintf("%s: %s every %s within %s; fails after %d, passes after %d; for %s",
		c.Name, what, Short(c.Interval), Short(c.Timeout), c.Fall, c.Rise, about)
	if c.Require {
		s += ", which are not held where it fails"
	}
	return s
}
