package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"viplease/coordinator"
)

const (
	// shownEvents is how many of the last events the table ends with.
	shownEvents = 8
	// What a terminal that is too low keeps of a table, its head included: of events and of VIPs at first, and of any table at last.
	fewEvents = 4
	fewRows   = 6
	leastRows = 2
	// cutNote stands for VIPs that a terminal has no room for.
	cutNote = "  ... and more; `viplease status` prints all"
)

// status lays a snapshot out: who tells this, the members, the VIPs with those that need an operator first, the last events, and the sum in
// the last line, where a terminal that scrolled leaves it.
func (s screen) status(snap coordinator.Snapshot) []string {
	head := s.header(snap)
	members := s.members(snap.Members)
	vips := s.vips(snap.VIPs)
	events := s.events(snap.Events)
	sum := s.sum(snap)

	if s.height > 0 {
		over := 4 + len(head) + len(members) + len(vips) + len(events) + len(sum) - s.height
		events, over = keepEnd(events, over, fewEvents)
		vips, over = keepStart(vips, over, fewRows)
		events, over = keepEnd(events, over, 0)
		vips, over = keepStart(vips, over, leastRows)
		members, _ = keepStart(members, over, leastRows)
	}
	var lines []string
	for _, part := range [][]string{head, members, vips, events, sum} {
		if len(part) == 0 {
			continue
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, part...)
	}
	return lines
}

// keepEnd takes over lines out of a table, below its head, but leaves the least; with 0 all of it may go.
func keepEnd(lines []string, over, least int) ([]string, int) {
	keep := max(len(lines)-over, min(least, len(lines)))
	switch {
	case over <= 0 || len(lines) == 0:
		return lines, over
	case keep < leastRows:
		return nil, over - len(lines) - 1 // the empty line goes too
	}
	return slices.Concat(lines[:1], lines[len(lines)-keep+1:]), over - (len(lines) - keep)
}

// keepStart takes over lines off the end of a table, but leaves the least.
func keepStart(lines []string, over, least int) ([]string, int) {
	if over <= 0 || len(lines) <= least+1 {
		return lines, over
	}
	keep := max(len(lines)-over-1, least)
	return append(slices.Clone(lines[:keep]), cutNote), over - (len(lines) - keep - 1)
}

func (s screen) header(snap coordinator.Snapshot) []string {
	parts := []string{"group " + snap.Group, "node " + snap.Node}
	fromDaemon := snap.Source != "etcd"
	if !fromDaemon {
		parts = []string{"group " + snap.Group, "as etcd has it, for no daemon answers on " + orDash(snap.Node)}
	}
	parts = append(parts, "revision "+strconv.FormatInt(snap.Revision, 10))
	if snap.Etcd.Reachable {
		parts = append(parts, "etcd reachable")
	} else {
		parts = append(parts, "etcd NOT reachable")
	}
	if left := snap.Etcd.AuthorityMS; fromDaemon && left > 0 {
		parts = append(parts, "authority "+age(time.Duration(left)*time.Millisecond)+" left")
	} else if fromDaemon {
		parts = append(parts, "NO authority")
	}
	if snap.Version != "" {
		parts = append(parts, "viplease "+snap.Version)
	}
	lines := wrap(printable(strings.Join(parts, ", ")), s.width)

	warn := func(text string) { lines = append(lines, s.warning(text)...) }
	if !snap.Etcd.Reachable {
		warn("etcd: " + orElse(snap.Etcd.Trouble, "the last check was not answered"))
	}
	if trouble := snap.Self.Trouble; fromDaemon && (trouble != "" || !snap.Self.Registered) {
		warn("this node: " + orElse(trouble, "not registered"))
	}
	if why := snap.Takeover.Slow(); fromDaemon && why != "" {
		warn("takeover: " + why)
	}
	if snap.Frozen != "" {
		warn("frozen: " + snap.Frozen)
	}
	return lines
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (s screen) members(members []coordinator.MemberStatus) []string {
	t := table{head: []string{"NODE", "STATE", "SINCE", "HELD", "WEIGHT", "WHY"}, right: []bool{3: true, 4: true}}
	for _, m := range members {
		t.rows = append(t.rows, row{
			bad:   m.State == "unfit" || m.State == "gone",
			cells: []string{m.Node, m.State, s.since(m.Since), strconv.Itoa(m.Held), strconv.Itoa(m.Weight)},
			why:   m.Why,
		})
	}
	return s.table(t)
}

func (s screen) vips(vips []coordinator.VIPStatus) []string {
	t := table{head: []string{"VIP", "ADDRESSES", "NODE", "STATE", "SINCE", "WHY"}}
	for _, v := range vips {
		node := orDash(v.Node)
		if v.To != "" && v.To != v.Node {
			node += " > " + v.To
		}
		why := v.Why
		if v.Pin != "" {
			why = strings.TrimPrefix(why+"; pinned to "+v.Pin, "; ")
		}
		t.rows = append(t.rows, row{bad: !isHeld(v), cells: []string{v.Name, shortAddresses(v.Name, v.Addresses), node, v.State, s.since(v.Since)}, why: why})
	}
	slices.SortStableFunc(t.rows, func(a, b row) int {
		switch {
		case a.bad == b.bad:
			return 0
		case a.bad:
			return -1
		default:
			return 1
		}
	})
	return s.table(t)
}

// since is how long ago something began, if that is known.
func (s screen) since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return age(s.now.Sub(t))
}

// isHeld agrees with Snapshot.AllHeld.
func isHeld(v coordinator.VIPStatus) bool {
	return coordinator.Snapshot{VIPs: []coordinator.VIPStatus{v}}.AllHeld()
}

// shortAddresses is the first address, bare where it is a host's, "same" where it is the VIP's name, and how many there are besides.
func shortAddresses(name string, addresses []string) string {
	if len(addresses) == 0 {
		return "-"
	}
	first, _, _ := strings.Cut(addresses[0], " ")
	if bare, bits, ok := strings.Cut(first, "/"); ok && (bits == "128" || bits == "32" && !strings.Contains(bare, ":")) {
		first = bare
	}
	if first == name {
		first = "same"
	}
	if more := len(addresses) - 1; more > 0 {
		first += fmt.Sprintf(" +%d", more)
	}
	return first
}

func (s screen) events(events []coordinator.Event) []string {
	t := table{head: []string{"TIME", "VIP", "NODE", "EVENT", "WHY"}}
	for _, e := range events[max(0, len(events)-shownEvents):] {
		t.rows = append(t.rows, row{cells: []string{s.clock(e.At), orDash(e.VIP), orDash(e.Node), e.What}, why: e.Why})
	}
	return s.table(t)
}

// clock is the time of an event in the reader's zone, with the date where it is not today.
func (s screen) clock(t time.Time) string {
	t = t.In(s.now.Location())
	if t.Format(time.DateOnly) == s.now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("Jan _2 15:04:05")
}

// sum is the last line: what an operator wants to know.
func (s screen) sum(snap coordinator.Snapshot) []string {
	var lost []string
	moving := 0
	for _, v := range snap.VIPs {
		switch {
		case !isHeld(v) && v.Since.IsZero():
			lost = append(lost, fmt.Sprintf("%s (%s)", v.Name, v.State))
		case !isHeld(v):
			lost = append(lost, fmt.Sprintf("%s (%s, %s)", v.Name, v.State, age(s.now.Sub(v.Since))))
		case v.State == "moving":
			moving++
		}
	}
	text := fmt.Sprintf("%d of %s held", len(snap.VIPs)-len(lost), count(len(snap.VIPs), "VIP"))
	if len(lost) > 0 {
		text = fmt.Sprintf("%d of %s NOT held: %s", len(lost), count(len(snap.VIPs), "VIP"), shortList(lost))
	}
	if moving > 0 {
		text += fmt.Sprintf("; %d moving", moving)
	}
	if !snap.Etcd.Reachable {
		text += fmt.Sprintf("; as of revision %d, etcd is not reachable", snap.Revision)
	}
	lines := wrap(text, s.width)
	if len(lost) > 0 {
		for i := range lines {
			lines[i] = s.alarm(lines[i])
		}
	}
	return lines
}
